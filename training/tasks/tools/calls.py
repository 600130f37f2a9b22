"""Requests with tools at hand: calls, answers without one, and answers that use a result."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from training.tasks.numbers import arithmetic
from training.tasks.problem import Problem, Turn, ask
from training.tasks.talk import talk
from training.tasks.tools.inventions import invented, invented_action
from training.tasks.tools.kinds import Kind, listed
from training.tasks.tools.missing import GAPS
from training.tasks.tools.offers import (
    COMMON_KINDS,
    KINDS,
    STYLES,
    Call,
    Offer,
    draw_call,
    draw_offer,
    say_call,
    say_plainly,
)
from training.tasks.tools.results import Told, draw_result
from training.tasks.tools.wordings import (
    FOLLOW_UPS,
    JOINED_IMPERATIVES,
    JOINED_LINES,
    JOINED_SENTENCES,
    TOOL_QUESTIONS,
)
from training.tool_prompt import system_with_tools
from training.wordings import Draw

LONGEST_LISTING = 740  # characters
NO_TOOL = "None of my tools can do that."
NEAR_SUMS = frozenset(
    "add subtract multiply divide calculate average search ask_web roll_dice factorial square_root "
    "is_prime rectangle_area calculate_tip random_number".split()
)
OWN_SKILLS = NEAR_SUMS | frozenset(
    "define convert_units translate reverse_text get_population tell_joke get_date "
    "flip_coin".split()
)
"""Tools whose requests the model answers without them."""
ANSWERS_ALL = frozenset(
    "search ask_web run_command define get_news create_note set_reminder".split()
)
"""Tools that may help with a request for another one."""
ALIKE = tuple(
    frozenset(names.split())
    for names in (
        "set_timer set_alarm set_reminder create_event add_todo create_note",
        "send_email send_message make_call find_contact send_money get_user",
        "get_directions get_distance search_flights book_taxi book_hotel",
        "order_pizza book_table find_restaurants find_recipe add_items",
        "book_table book_hotel book_taxi create_event",
        "get_stock_price convert_currency",
        "play_music set_volume open_app",
        "read_file open_app delete_file",
        "roll_dice random_number",
    )
)
"""Tools of which one may be taken for another."""
OFTEN_ASKED = frozenset(
    "get_weather get_forecast get_time get_date send_email send_message make_call play_music "
    "stop_music set_timer set_alarm generate_image open_app read_file delete_file list_files "
    "run_command take_screenshot create_event add_todo order_pizza book_hotel book_taxi "
    "search_flights get_movie find_recipe get_stock_price convert_currency send_money".split()
)
"""Tools for what people ask the model whether it can."""
UNCLEAR = frozenset("to dest start when at who about q by".split())
"""Names of parameters that make no sentence."""
PLAIN: tuple[Callable[[Draw], Problem], ...] = (
    arithmetic.addition,
    arithmetic.subtraction,
    talk.small_talk,
)
"""Generators of what the model answers itself."""


def tool_call(draw: Draw) -> Problem:
    """One call of the right one of several tools."""
    target = _target(draw)
    offers = _listing(draw, [target])
    call = draw_call(draw, offers[0])
    request = say_call(draw, call)
    return _problem("tool", draw, offers, ask(request), call.text, call.key)


def tool_calls(draw: Draw) -> Problem:
    """Two or three calls: for two requests, or for a request with several places or names."""
    calls, offers, request = _two_calls(draw)
    text = "\n".join(call.text for call in calls)
    return _problem("tools", draw, offers, ask(request), text, *[call.key for call in calls])


def tool_unneeded(draw: Draw) -> Problem:
    """A sum or small talk, answered as without tools."""
    if draw.chance(0.25):
        problem = with_useless_tools(draw, talk.about_self(draw), OFTEN_ASKED)
    else:
        problem = with_useless_tools(draw, draw.pick(PLAIN)(draw))
    return replace(problem, task="tool_none")


def with_useless_tools(
    draw: Draw, problem: Problem, avoided: frozenset[str] = frozenset()
) -> Problem:
    """The problem with tools that are of no use for anything that the model can do itself."""
    avoided = avoided | OWN_SKILLS | ANSWERS_ALL
    kinds = [kind for kind in KINDS if kind.names[0] not in avoided]
    offers = _listing(draw, [draw.pick(kinds)], avoided=avoided)
    return replace(problem, tools=_texts(draw, offers), raw=None)


def tool_lacking(draw: Draw) -> Problem:
    """A request for which there is no tool."""
    pool = COMMON_KINDS if draw.chance(0.5) else KINDS
    kind = draw.pick([one for one in pool if one.names[0] not in OWN_SKILLS])
    if draw.chance(0.2):
        kind = invented(draw)
    call = draw_call(draw, draw_offer(draw, kind))
    near = _near(kind)
    others = [one for one in KINDS if one.names[0] not in near and not _clash(one, kind)]
    offers = _listing(draw, [draw.pick(others)], avoided=near, like=kind)
    request = say_call(draw, call)
    return _problem("tool_none", draw, offers, ask(request), NO_TOOL, f"none:{call.key}")


def tool_missing(draw: Draw) -> Problem:
    """A question for what a tool needs, as the request does not tell."""
    if draw.chance(0.4):
        return _missing_of_invented(draw)
    gap = draw.pick(GAPS)
    while True:
        offers = _listing(draw, [gap.kind], avoided=_near(gap.kind))
        if offers[0].names[gap.parameter] not in UNCLEAR:
            break
    call = draw_call(draw, offers[0], optional_share=0)
    request = draw.say(gap.requests, **call.slots)
    given = {key: value for key, value in call.given.items() if key != gap.parameter}
    answer = f"Please tell me the {offers[0].names[gap.parameter]}."
    listing = [offer.name for offer in offers]
    key = f"missing:{replace(call, given=given).key}:{listing}"
    return _problem("tool_missing", draw, offers, ask(request), answer, key)


def _missing_of_invented(draw: Draw) -> Problem:
    while True:
        kind = invented_action(draw)
        needed = [key for key, parameter in kind.parameters.items() if not parameter.phrases]
        if needed:
            break
    offers = _listing(draw, [kind])
    call = draw_call(draw, offers[0])
    lost = draw.rng.sample(needed, draw.rng.randint(1, len(needed)))
    names = [name for key, name in offers[0].names.items() if key in lost]
    given = {key: value for key, value in call.given.items() if key not in lost}
    call = replace(call, given=given)
    return _problem(
        "tool_missing",
        draw,
        offers,
        ask(say_call(draw, call)),
        f"Please tell me the {listed(names)}.",
        f"missing:{call.key}",
    )


def tool_result(draw: Draw) -> Problem:
    """A sentence on what a tool has returned, or a line for each of two calls."""
    if draw.chance(0.12):
        calls, offers, request = _two_calls(draw)
    else:
        offers = _listing(draw, [_target(draw)])
        calls = [draw_call(draw, offers[0])]
        request = say_call(draw, calls[0])
    results = [draw_result(draw, call) for call in calls]
    return _problem(
        "tool_result",
        draw,
        offers,
        _exchange(request, calls, results),
        "\n".join(told.answer for told in results),
        *[f"result:{call.key}:{told.content}" for call, told in zip(calls, results, strict=True)],
        *[call.key for call in calls],
    )


def tool_follow_up(draw: Draw) -> Problem:
    """The same call with another value, after an exchange."""
    kinds = [kind for kind in KINDS if kind.lists]
    offers = _listing(draw, [draw.pick(kinds)])
    first, second = _different(draw, offers[0], 2)
    told = draw_result(draw, first)
    request = say_call(draw, first)
    turns = (*_exchange(request, [first], [told]), Turn("assistant", told.answer))
    key, *_ = second.offer.kind.parameters
    request = draw.say(FOLLOW_UPS, value=second.slots[key])
    return _problem("tool", draw, offers, (*turns, *ask(request)), second.text, second.key)


def tool_names(draw: Draw) -> Problem:
    """The names of the tools, in the order of the listing."""
    offers = _listing(draw, [_target(draw)])
    draw.rng.shuffle(offers)
    names = [offer.name for offer in offers]
    request = draw.say(TOOL_QUESTIONS)
    return Problem(
        "tool_names",
        (f"tool_names:{names}",),
        ask(request),
        f"I can call {listed(names)}.",
        said=tuple(draw.said),
        tools=_texts(draw, offers, shuffled=False),
    )


def _target(draw: Draw) -> Kind:
    """A kind to call: one that newcomers try, any, or an invented one."""
    share = draw.rng.random()
    if share < 0.35:
        return draw.pick(COMMON_KINDS)
    return draw.pick(KINDS) if share < 0.65 else invented(draw)


def _near(kind: Kind) -> frozenset[str]:
    """The tools that may help with requests for one."""
    name = kind.names[0]
    return ANSWERS_ALL.union({name}, *(names for names in ALIKE if name in names))


def _clash(a: Kind, b: Kind) -> bool:
    """Say whether two tools may serve the same request."""
    if a.names[0] == b.names[0] or (a.group != "" and a.group == b.group):
        return True
    if a.words and a.words == b.words:
        return True
    return a.names[0] in b.group.split() or b.names[0] in a.group.split()


def _unlike(draw: Draw) -> list[Kind]:
    """Kinds of which no two are of a group, in random order."""
    found: list[Kind] = []
    for kind in draw.rng.sample(KINDS, len(KINDS)):
        if not any(_clash(kind, other) for other in found):
            found.append(kind)
    return found


def _listing(
    draw: Draw,
    kinds: Sequence[Kind],
    avoided: frozenset[str] = frozenset(),
    like: Kind | None = None,
) -> list[Offer]:
    """Tools for the kinds, in their order, and up to three others after them."""
    style = draw.pick(STYLES)
    chosen = list(kinds)
    wanted = max(len(chosen), draw.pick((1, 1, 2, 2, 2, 3, 3, 4)))
    while len(chosen) < wanted:
        share = draw.rng.random()
        other = draw.pick(COMMON_KINDS) if share < 0.4 else draw.pick(KINDS)
        if share > 0.75:
            noun = chosen[0].words.get("noun") if draw.chance(0.5) else None
            other = invented_action(draw, noun) if noun else invented(draw)
        seen = [*chosen, like] if like else chosen
        if other.names[0] not in avoided and not any(_clash(other, one) for one in seen):
            chosen.append(other)
    names: set[str] = set()
    offers: list[Offer] = []
    for kind in chosen:
        offer = draw_offer(draw, kind, style)
        while offer.name in names:
            offer = draw_offer(draw, kind, style)
        names.add(offer.name)
        offers.append(offer)
    while len(offers) > len(kinds) and _length(offers) > LONGEST_LISTING:
        offers.pop()
    return offers


def _length(offers: Sequence[Offer]) -> int:
    return len(system_with_tools(None, [offer.tool() for offer in offers]))


def _texts(draw: Draw, offers: Sequence[Offer], *, shuffled: bool = True) -> tuple[str, ...]:
    order = draw.rng.sample(offers, len(offers)) if shuffled else offers
    return tuple(offer.tool() for offer in order)


def _different(draw: Draw, offer: Offer, count: int) -> list[Call]:
    """Calls of a tool with different values of its first parameter, and no optional ones."""
    found: dict[str, Call] = {}
    key, *_ = offer.kind.parameters
    while len(found) < count:
        call = draw_call(draw, offer, optional_share=0)
        found[str(call.given[key])] = call
    return list(found.values())


def _two_calls(draw: Draw) -> tuple[list[Call], list[Offer], str]:
    """Two or three calls, the tools, and the request."""
    if draw.chance(0.65):
        offers = _listing(draw, _unlike(draw)[:2])
        calls = [draw_call(draw, offer) for offer in offers[:2]]
        return calls, offers, _joined(draw, calls)
    kind = draw.pick([kind for kind in KINDS if kind.lists])
    offers = _listing(draw, [kind])
    calls = _different(draw, offers[0], draw.pick((2, 2, 2, 3)))
    key, *_ = kind.parameters
    values = listed([call.slots[key] for call in calls], draw.pick(("", ",")))
    return calls, offers, draw.say(kind.lists, alone=draw.chance(0.3), **{key: values})


def _joined(draw: Draw, calls: Sequence[Call]) -> str:
    """One request for two calls."""
    as_imperative = draw.chance(0.6)
    texts = [say_plainly(draw, call, as_imperative=as_imperative) for call in calls]
    if draw.chance(0.12):
        return draw.say(JOINED_LINES, alone=True, first=texts[0], second=texts[1])
    if as_imperative:
        first, second = (text.rstrip(".?!") for text in texts)
        templates: Sequence[str] = JOINED_IMPERATIVES
    else:
        first, second = (text if text.endswith((".", "?", "!")) else f"{text}." for text in texts)
        templates = JOINED_SENTENCES
    if as_imperative or draw.chance(0.2):
        second = second[0].lower() + second[1:]
    if draw.chance(0.3):
        first = first[0].lower() + first[1:]
    return draw.say(templates, first=first, second=second)


def _exchange(request: str, calls: Sequence[Call], results: Sequence[Told]) -> tuple[Turn, ...]:
    return (
        Turn("user", request),
        Turn("assistant", "\n".join(call.text for call in calls)),
        *(Turn("tool", told.content) for told in results),
    )


def _problem(
    task: str,
    draw: Draw,
    offers: Sequence[Offer],
    turns: tuple[Turn, ...],
    answer: str,
    *keys: str,
) -> Problem:
    return Problem(
        task,
        tuple(f"tool:{key}" for key in keys),
        turns,
        answer,
        said=tuple(draw.said),
        tools=_texts(draw, offers),
    )
