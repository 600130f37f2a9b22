"""Tools of random words, of which nothing can be known but what their listing says."""

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Kind, Parameter, Result, Value
from training.wordings import Draw

VERBS = (
    "paint clean move fold count lift pack polish label shake open close weigh scan print cut mix "
    "heat cool wash rotate check update reset start stop sort stack hide track merge split rename "
    "archive build repair test ship return collect freeze melt drop fetch load store feed measure "
    "inspect sign copy wrap tie press record block invite rank tag upload import export restart"
).split()
PARAMETER_WORDS = (
    "name id color size weight speed mode level target source label owner place height width "
    "depth count limit key code path date time title text group kind shape material index amount "
    "price age score duration reason status user item category note max_size min_size first_name "
    "team start end channel format host port depth angle quality batch_size priority_level tag x "
    "y z order_number street zip_code room_number gate seat flavor brightness radius delay"
).split()
WHOLE_WORDS = frozenset(
    "id size weight speed level height width depth count limit index amount price age score "
    "duration max_size min_size port angle quality batch_size x y z order_number zip_code "
    "room_number gate seat brightness radius delay".split()
)
INVENTED_REQUESTS = (
    "~{verb} the {noun}{args}.",
    "~{verb} [a|one|my|this|that] {noun}{args}.",
    "~{verb} {noun}{args}",
    "I [want|need|would like] to {verb} the {noun}{args}.",
    "[Somebody|Someone|We] should {verb} the {noun}{args}.",
    "~Use the tool to {verb} the {noun}{args}.",
    "[It is time|We have|I have|You have] to {verb} the {noun}{args}.",
    "~Help me {verb} the {noun}{args}.",
    "{verb} {noun}{args}",
    "Could we {verb} the {noun}{args}?",
    "~Do this: {verb} the {noun}{args}.",
    "How about we {verb} the {noun}{args}?",
    "[Next|Job|Task]: {verb} the {noun}{args}",
    "~Go and {verb} the {noun}{args}.",
    "~Make sure to {verb} the {noun}{args}.",
    "[When can you|Would you] {verb} the {noun}{args}?",
    "The {noun}: {verb} it{args}",
    "{noun}: {verb}{args}",
    "My {noun}? {verb} it{args}.",
    "We [need|want] to {verb} [a|our|this] {noun}{args}.",
    "[I forgot|Don't forget] to {verb} the {noun}{args}.",
    "There is a {noun} to {verb}{args}.",
    "~Start to {verb} the {noun}{args}.",
    "I wonder if you can {verb} the {noun}{args}.",
)
LOOKUP_NAMES = (
    *("get_{noun}", "get_{noun}", "find_{noun}", "lookup_{noun}", "fetch_{noun}", "check_{noun}"),
    *("{noun}_of", "{noun}", "get_{noun}_by_{word}", "{noun}_info", "{noun}_lookup", "read_{noun}"),
)
LOOKUP_REQUESTS = (
    "[What is|What's] the {noun} [of|for] {value}?",
    "~[Get|Find|Look up|Fetch|Check] the {noun} [of|for] {value}.",
    "~[Give|Tell|Show] me the {noun} [of|for] {value}.",
    "{noun} [of|for] {value}[?|]",
    "{value} {noun}[?|]",
    "I [need|want|would like] the {noun} [of|for] {value}.",
    "[Which|What] {noun} does {value} have?",
    "Does {value} have a {noun}?",
    "Can I [see|have|get] the {noun} [of|for] {value}?",
    "Do you know the {noun} [of|for] {value}?",
    "I [want|need] to know the {noun} [of|for] {value}.",
    "{noun}[,|:] {value}",
    "[What about|How is] the {noun} [of|for] {value}?",
    "Is there [a|any] {noun} for {value}?",
    "~Read me the {noun} of {value}.",
    "~Let me see the {noun} [of|for] {value}.",
)
DONE = (Result("Done."),)


def invented(draw: Draw) -> Kind:
    """A tool of random words."""
    return invented_lookup(draw) if draw.chance(0.35) else invented_action(draw)


def invented_lookup(draw: Draw) -> Kind:
    """A tool that looks up a random noun by its only parameter."""
    noun, word = draw.word(), draw.slot(PARAMETER_WORDS)
    parameter = Parameter((word,), "string", draw.pick((t.person, t.city, t.word, t.order_number)))
    if word in WHOLE_WORDS:
        parameter = Parameter((word,), "integer", t.up_to(9, 99, 999))
    name = draw.pick(LOOKUP_NAMES).format(noun=noun, word=word)
    descriptions = (
        f"Get the {noun}.",
        f"Look up the {noun} by {word}.",
        f"The {noun} of a {word}.",
    )
    return Kind(
        (name,), descriptions, {word: parameter}, LOOKUP_REQUESTS, DONE, words={"noun": noun}
    )


def invented_action(draw: Draw, noun: str | None = None) -> Kind:
    """A tool of a random verb and noun, with up to three parameters of random words."""
    verb, noun = draw.slot(VERBS), noun or draw.word()
    words = draw.slots(PARAMETER_WORDS, draw.pick((0, 1, 1, 1, 2, 2, 2, 3)))
    parameters: dict[str, Parameter] = {}
    for word in words:
        phrases = (", {param} {value}", " ({param}: {value})", ", {param} = {value}")
        optional = phrases if draw.chance(0.2) else ()
        parameters[word] = _invented_parameter(draw, word, optional)
    return Kind(
        (f"{verb}_{noun}" if draw.chance(0.8) else f"{noun}_{verb}",),
        (f"{verb.capitalize()} the {noun}.", f"{verb} a {noun}"),
        parameters,
        INVENTED_REQUESTS,
        DONE,
        words={"verb": verb, "noun": noun},
    )


def _invented_parameter(draw: Draw, word: str, phrases: tuple[str, ...]) -> Parameter:
    if word in WHOLE_WORDS:
        return Parameter((word,), "integer", t.up_to(9, 99, 999), phrases)
    kind = draw.rng.random()
    if kind < 0.15:
        options = {one: one for one in draw.distinct(draw.pick((2, 3)))}
        return Parameter((word,), "string", lambda draw: "", phrases, (options,))
    if kind < 0.25:
        return Parameter(
            (word,), "boolean", lambda draw: draw.chance(0.5), phrases, say=_true_or_false
        )
    value = draw.pick((Draw.word, Draw.word, t.person, t.city, t.phrase))
    return Parameter((word,), "string", value, phrases)


def _true_or_false(draw: Draw, value: Value) -> str:
    return str(value).lower()
