"""A line that sums a short text up, and the names, numbers or cities that a text contains."""

import re
from collections.abc import Mapping

from training.tasks.passages.facts import Scene, people
from training.tasks.passages.frames import FILLERS
from training.tasks.passages.lookup import Fact, capital, draw_facts, sentences
from training.tasks.passages.more import BUILDING
from training.tasks.passages.places import EVENT, PRODUCT, SHOP, WEATHER
from training.tasks.passages.scenes import PEOPLE, SHOPPERS, TRAVELERS
from training.tasks.problem import Problem, ask
from training.tasks.words import ANIMALS, CITIES, COLORS, DAYS, ITEMS, MONTHS, OWN_NAMES
from training.wordings import Draw, expand

SUMMARIES: tuple[tuple[Scene, tuple[str, ...], str], ...] = (
    (TRAVELERS, ("goal", "vehicle"), "{S} went to {goal} by {vehicle}."),
    (TRAVELERS, ("goal", "day"), "{S} went to {goal} on {day}."),
    (TRAVELERS, ("goal", "vehicle", "day"), "{S} went to {goal} by {vehicle} on {day}."),
    (SHOPPERS, ("thing", "price"), "{S} bought {thing} for {price}."),
    (EVENT, ("day", "time"), "{S} is on {day} at {time}."),
    (EVENT, ("time", "place"), "{S} is at {time} {place}."),
    (EVENT, ("day", "place"), "{S} is on {day} {place}."),
    (EVENT, ("day", "time", "place"), "{S} is on {day} at {time} {place}."),
    (SHOP, ("opens", "closes"), "{S} is open from {opens} to {closes}."),
    (PRODUCT, ("paint", "price"), "{S} is {paint} and costs {price}."),
    (BUILDING, ("town", "year"), "{S} in {town} was built in {year}."),
    (WEATHER, ("sky", "degrees"), "It is {sky} in {s}, with {degrees}."),
)
PERSONAL = "city job pet food age drink sport language hobby".split()
JOB_AND_CITY_SHARE = 0.5
SUMMARIZE = (
    "~[Summarize|Summarise|Sum up|Shorten] [this|this text|the text|the following][:|.] {p}",
    "~[Summarize|Summarise|Sum up] [this|this text|the text] in one [sentence|line][:|.] {p}",
    "~[Summarize|Summarise|Sum up|Condense] [this|the following text|the text][:|.]\n{p}",
    "[Summary|One-line summary|Short summary|tldr|TL;DR|Summarize|Summarise|In short][:|] {p}",
    "{p}\n[Summarize.|Summarise.|Summarize this.|Summary?|Summary:|TL;DR|tldr|tl;dr]",
    "{p}\n[Summarize|Summarise|Sum up] [this|the text|that] in one [sentence|line].",
    "~[Write|Give|Give me|Make] a [one-line|one-sentence|short|brief] summary of this: {p}",
    "~[Write|Give|Give me|Make] a [one-line|one-sentence|short|brief] summary[.|:] {p}",
    "~Give me the [gist|main point|main idea|key points] [of this|of this text][:|.] {p}",
    "What is the [main point|main idea|gist|summary] of this[ text|]? {p}",
    "~[Say|Put|Write|Rewrite|Express] this in one [sentence|line]: {p}",
    '~[Summarize|Summarise|Sum up|Condense] "{p}"',
    "Text: {p}\n[Summary|One-line summary|Summary in one sentence|TL;DR]:",
    "~[Shorten|Condense] this [text|passage|paragraph][ to one sentence| to one line|]: {p}",
    "~[Combine|Join|Merge] these sentences into one: {p}",
    "~Make this [shorter|short|brief|one sentence]: {p}",
    "{p} [Can you sum that up?|What is the main point?|Sum it up.|In one sentence?|In short?]",
    "[I need|I want|I'd like] a [short |]summary of this[ text|]: {p}",
    "~Tell me [in short|briefly|in one sentence] what this [text |]says: {p}",
    "[Too long, make it short|Too long|Shorter]: {p}",
    "What does this [text |]say[, in short|, in one sentence| in short]? {p}",
    "[Passage|Article|Note|Paragraph]: {p}\n[Summarize the passage.|Summarize it.|Sum it up.]",
)
WANTED = (
    "~[Extract|Find|List|Get|Pick out] [all |all the |the |]{k} [from|in] [this|the text][:|.] {p}",
    "~[Extract|Find|List|Pull out|Copy] [all |the |]{k} [from|in] the sentence[:|.] {p}",
    "~[Extract|Find|List|Get] [all |all the |the |]{k}: {p}",
    "~[Extract|Find|List|Get] [all |the |]{k} [from|in] [this|the following|this text]:\n{p}",
    '~[Extract|Find|List|Get|Give me] [all |the |]{k} [from|in] "{p}"',
    "[What|Which] {k} are [in|mentioned in|named in] [this text|the sentence]? {p}",
    '[What|Which] {k} are [in|mentioned in] "{p}"?',
    "{p}\n[List|Extract|Find|Give me|Get] [all |all the |the |]{k}.",
    "{p} [What|Which] {k} are [mentioned|there|in the text|named]?",
    "{p} [What are the|List the|Extract the|Find the] {k}?",
    "~[Give me|Show me|Tell me|Return|Print] [all |the |]{k} [in|from] [this text|this]: {p}",
    "Text: {p}\n[Extract|List|Find|Task: list] [all |the |]{k}.",
    "Text: {p}\nWhich {k} [does it contain|are in it|does it mention]?",
    "~Read [this|the text] and [list|extract|find|write down] [all |the |]{k}: {p}",
    "[All|The] {k} in [this|this sentence|the following|the text]: {p}",
    "[Extract|List|Find] {k}[:|] {p}",
    "[I need|I want] [all |][the |]{k} [from|in] this[ text| sentence|]: {p}",
    "Which {k} does this [text|sentence] [contain|mention|name]? {p}",
    "~Look for {k} [in this|here]: {p}",
    "~Identify [all |the |]{k} in [this|this sentence|the text]: {p}",
    "{p}\n[The|All] {k}[?|:| please]",
)
WANTED_ONE = (
    "~[Extract|Find|Get|Pick out|Copy] the {k} [from|in] [this|the text|this sentence][:|.] {p}",
    "~[Extract|Find|Get] the {k}: {p}",
    '~[Extract|Find|Give me] the {k} [from|in] "{p}"',
    "[What is|What's] the {k} in [this|this text|the sentence|this sentence]? {p}",
    '[What|Which] {k} is [in|mentioned in] "{p}"?',
    "{p}\n[What is|Extract|Find|Give me|Get] the {k}[?|.]",
    "{p} [What is|Tell me|Extract] the {k}[?|.]",
    "[What|Which] {k} is [mentioned|named] [in this text|here|in this sentence]? {p}",
    "~[Give me|Show me|Return|Print] [only |]the {k} [in|from] [this text|this]: {p}",
    "Text: {p}\n[Extract the {k}.|{k}:|What is the {k}?]",
    "[The|] {k} in [this sentence|the text]: {p}",
    "[I need|I want] the {k} [from|in] this[ text| sentence|]: {p}",
    "[Extract|Find] {k}[:|] {p}",
    "~[Look for|Identify] the {k} [in this|here]: {p}",
)
ONE_OF: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "name", "person", "first name"),
    "number": ("number", "number", "numeric value"),
    "city": ("city", "city", "town", "place"),
    "color": ("color", "colour"),
    "animal": ("animal", "animal"),
    "email": ("email address", "email", "e-mail address", "mail address"),
    "day": ("day", "weekday", "day of the week"),
    "phone": ("phone number", "telephone number", "phone number"),
    "date": ("date", "date", "calendar date"),
    "price": ("price", "amount", "amount of money"),
}
KINDS: Mapping[str, tuple[str, ...]] = {
    "phone": ("phone numbers", "telephone numbers"),
    "date": ("dates", "calendar dates"),
    "price": ("prices", "amounts", "amounts of money"),
    "name": ("names", "names", "people", "first names", "persons", "people's names"),
    "number": ("numbers", "numbers", "numeric values"),
    "city": ("cities", "cities", "towns", "city names", "places"),
    "color": ("colors", "colours", "color words", "colors"),
    "animal": ("animals", "animals", "animal words", "pets"),
    "email": ("email addresses", "emails", "e-mail addresses", "mail addresses"),
    "day": ("days", "weekdays", "days of the week"),
}
SENTENCES = (
    "{n1} and {n2} [went|traveled|flew] from {c1} to {c2} on {d1} with {x1} {i1}.",
    "{n1} bought {x1} {i1} and {n2} bought {x2} {i2} in {c1}[ on {d1}|].",
    "On {d1} {n1} [met|saw|visited] {n2} and {n3} in {c1}.",
    "{n1} has a {col1} {a1}, {n2} has a {col2} {a2}.",
    "{n1}, {n2} and {n3} ate {x1} {i1} [in {c1}|at noon|on {d1}].",
    "{n1} lives in {c1}, {n2} in {c2} and {n3} in {c3}.",
    "[Please write|Write|Send your answer] to {m1} or {m2} before {d1}.",
    "[Contact|Ask|Call] {n1} at {m1} or {n2} at {m2}.",
    "The [bus|train] from {c1} to {c2} has {x1} seats, and {x2} are free on {d1}.",
    "{n1} is {x1} and {n2} is {x2} years old.",
    "The {a1} and the {a2} [play|sleep|run] while {n1} feeds the {a3}.",
    "There are {x1} {col1} {i1} and {x2} {col2} {i2} in the [box|bag|shop].",
    "My friends {n1} and {n2} [moved|went|travel] to {c1} with {x1} bags[ on {d1}|].",
    "{n1} paints the door {col1}, the wall {col2} and the roof {col3}.",
    "We fly from {c1} to {c2} on {d1} and to {c3} on {d2}.",
    "In {c1} {n1} saw a {a1} and a {a2}, and {n2} saw {x1} {i1}.",
    "Room {x1} is for {n1}, room {x2} is for {n2} and room {x3} is for {n3}.",
    "{n1} scored {x1} points, {n2} scored {x2} and {n3} scored {x3}.",
    "{n1} wrote to {m1} from {c1} on {d1}.",
    "The {a1} of {n1} likes {col1} {i1}.",
    "[Yesterday|Today|Last week] {n1} drove {x1} miles to {c1} and {x2} miles to {c2}.",
    "I have {x1} {col1} {i1}, {x2} {col2} {i2} and a {a1}.",
    "Meet {n1} on {d1} or {n2} on {d2} in {c1}.",
    "{n1} is from {c1}. {n2} is from {c2}. They have {x1} {i1}.",
    "[Call|Phone|Ring] {n1} at {p1} before {t1}.",
    "[Write to|Ask|Contact] {n1} at {m1} before {t1}[ or call {p1}|].",
    "{n1} was born on {t1} in {c1}.",
    "The [party|meeting|concert] in {c1} is on {t1}[, not on {t2}|] and costs {r1}.",
    "The [book|hat|lamp] costs {r1} and the [pen|cup|chair] costs {r2}.",
    "{n1} paid {r1} for {x1} {i1}[ on {t1}|].",
    "[Our|The] number is {p1}, or {p2} on {d1}.",
    "[My|Our] [mail|email|address] is {m1}[ and my phone number is {p1}|].",
    "[For help|With questions], [write to|mail] {m1}.",
    "The {a1} is {col1} and lives in {c1}.",
    "{n1} [arrives|leaves|comes back] on {t1} [with|by] the train from {c1}.",
)
SLOT_KINDS = {
    "n": "name",
    "x": "number",
    "c": "city",
    "col": "color",
    "a": "animal",
    "m": "email",
    "d": "day",
    "p": "phone",
    "t": "date",
    "r": "price",
}
WEIGHTS = {"name": 6, "number": 6, "city": 4, "color": 3, "animal": 2, "email": 6, "day": 1} | {
    "phone": 5,
    "date": 5,
    "price": 3,
}
HOSTS = "example.com mail.com test.org post.net example.org inbox.io gmail.com".split()
PLAIN_COLORS = tuple(color for color in COLORS if color != "golden")
PLAIN_ANIMALS = tuple(animal for animal in ANIMALS if animal not in ("bee", "ant"))
NOT_NAMES = frozenset((*CITIES, *DAYS))


def summary(draw: Draw) -> Problem:
    """Sum up two or three sentences about one subject in one."""
    if draw.chance(0.5):
        scene, kinds, form = draw.pick(SUMMARIES)
        facts = draw_facts(draw, scene, 1, kinds)
        parts = {fact.kind: fact.value for fact in facts}
        answer = form.format(S=capital(facts[0].subject), s=facts[0].subject, **parts)
        draw.rng.shuffle(facts)
    else:
        scene = PEOPLE
        if draw.chance(JOB_AND_CITY_SHARE):
            others = [kind for kind in PERSONAL if kind not in ("job", "city")]
            chosen = ["job", "city", *draw.rng.sample(others, draw.pick((0, 1, 1)))]
        else:
            chosen = draw.rng.sample(PERSONAL, draw.pick((2, 2, 3)))
        facts = draw_facts(draw, scene, 1, chosen)
        draw.rng.shuffle(facts)
        answer = person_in_short(facts)
    texts = sentences(draw, scene, facts, joined=False)
    if draw.chance(0.12):
        texts.append(draw.slot(FILLERS))
    key = f"summary:{' '.join(sorted(fact.key() for fact in facts))}"
    request = draw.say(SUMMARIZE, p=" ".join(texts))
    return Problem("summary", (key,), ask(request), answer, said=tuple(draw.said))


def person_in_short(facts: list[Fact]) -> str:
    """The job and the city of a person, or else all the facts in one sentence."""
    kinds = {fact.kind: fact.value for fact in facts}
    name = facts[0].subject
    if {"job", "city"} <= kinds.keys():
        return f"{name} is {kinds['job']} in {kinds['city']}."
    said = [fact.says().removeprefix(f"{name} ").removesuffix(".") for fact in facts]
    return f"{name} {', '.join(said[:-1])} and {said[-1]}."


def extraction(draw: Draw) -> Problem:
    """List all names, numbers, cities, colors, animals, days or mail addresses of a text."""
    while True:
        text, found = _text_with(draw)
        kinds = [kind for kind, items in found.items() if items]
        if "number" in kinds and {"phone", "date", "price", "email"} & set(kinds):
            kinds.remove("number")  # as those have digits, too
        if kinds:
            break
    kind = draw.rng.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
    if len(found[kind]) == 1 and draw.chance(0.7):
        request = draw.say(WANTED_ONE, k=draw.pick(ONE_OF[kind]), p=text)
    else:
        request = draw.say(WANTED, k=draw.pick(KINDS[kind]), p=text)
    answer = ", ".join(found[kind])
    return Problem(
        "extract", (f"extract:{kind}:{text}",), ask(request), answer, said=tuple(draw.said)
    )


def _text_with(draw: Draw) -> tuple[str, dict[str, list[str]]]:
    """A sentence, and what is in it by kind, in its order."""
    template = expand(draw.rng, draw.slot(SENTENCES))
    names = [name for name in people(draw, 4) if name not in NOT_NAMES]
    names += [name for name in OWN_NAMES if name not in names]
    numbers = draw.rng.sample(range(2, draw.pick((10, 50, 100, 300))), 3)
    pools: dict[str, list[str]] = {
        "n": names,
        "x": list(map(str, numbers)),
        "c": draw.slots(CITIES, 3),
        "d": draw.rng.sample(DAYS, 2),
        "i": draw.slots(ITEMS, 2),
        "col": draw.slots(PLAIN_COLORS, 3),
        "a": draw.slots(PLAIN_ANIMALS, 3),
        "m": [f"{draw.pick((name.lower(), draw.word()))}@{draw.pick(HOSTS)}" for name in names[:2]],
    }
    days = draw.rng.sample(range(1, 29), 2)
    pools["p"] = [f"555-{number}" for number in draw.rng.sample(range(1000, 10000), 2)]
    pools["t"] = [f"{day} {draw.pick(MONTHS)}" for day in days]
    pools["r"] = [f"${price}" for price in draw.rng.sample(range(2, 100), 2)]
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}

    def put(slot: "re.Match[str]") -> str:
        value = pools[slot[1]][int(slot[2]) - 1]
        if slot[1] in SLOT_KINDS:
            found[SLOT_KINDS[slot[1]]].append(value)
        return value

    text = re.sub(r"\{([a-z]+)(\d)\}", put, template)
    return re.sub(r"\ba (?=[aeiou])", "an ", text), found
