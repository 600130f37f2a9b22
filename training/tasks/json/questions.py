"""Questions and texts whose answers fill the fields of a JSON object."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from training.tasks.json.extract import free_scene, named
from training.tasks.json.fields import Answer, Field
from training.tasks.json.scenes import PERSON_CLAUSES, PRODUCTS, VALUES, person_scene
from training.tasks.phrases import phrase
from training.tasks.text.layouts import inline
from training.tasks.words import ANIMALS, COLORS, FOODS, FRUITS, VEGETABLES
from training.wordings import Draw

CAPITALS = dict(
    pair.split(":")
    for pair in (
        "France:Paris,Italy:Rome,Germany:Berlin,Spain:Madrid,Norway:Oslo,Austria:Vienna,"
        "Ireland:Dublin,Portugal:Lisbon,Greece:Athens,Poland:Warsaw,Egypt:Cairo,Japan:Tokyo,"
        "Peru:Lima,Canada:Ottawa,Sweden:Stockholm,Finland:Helsinki,Hungary:Budapest,"
        "Turkey:Ankara,Russia:Moscow,China:Beijing,Belgium:Brussels"
    ).split(",")
)
CAPITAL_QUESTIONS = (
    "[What is|What's] the capital of {country}?",
    "[Which|What] city is the capital of {country}?",
    "~[Tell me|Name|Give me] the capital of {country}.",
    "The capital of {country}?",
    "[Capital|Capital city] of {country}",
    "What is {country}'s capital[ city|]?",
    "Do you know the capital of {country}?",
    "[Question: |]what city is the capital of {country}?",
    "What is the name of the capital of {country}?",
    "{country}: capital?",
)
SUM_QUESTIONS = (
    "[What is|What's] {a} [+|plus] {b}?",
    "{a} [+|plus] {b}[?| =|]",
    "~[Add|Sum] {a} and {b}.",
    "~[Calculate|Compute] {a} + {b}.",
    "How much is {a} plus {b}?",
    "[What is the sum of|Sum of|The sum of] {a} and {b}[?|]",
    "~Solve: {a} + {b}",
    "{a}+{b}",
    "[The result|Result] of {a} + {b}[?|]",
    "What do {a} and {b} add up to?",
)
SORT_QUESTIONS = (
    "~[Sort|Order] {items}.",
    "~[Sort|Order] [these words|these|the list|this list]: {items}",
    "~Put {items} in alphabetical order.",
    "~Alphabetize {items}",
    "{items}, sorted alphabetically",
    "[What is|What's] the alphabetical order of {items}?",
    "~Arrange {items} from A to Z.",
    "[Words|List]: {items}. Sort them.",
    "sorted {items}",
    "~Sort alphabetically: {items}",
)
COUNT_QUESTIONS = (
    "How many [words|items] are [there|here]? {items}",
    "~Count [the words|the items|these]: {items}",
    "How many [words|items] are in the list {items}?",
    "[Number of items|Number of words]: {items}",
    "{items}. How many [is that|are there]?",
    "~Count the [items|words] in {items}.",
    "The list is {items}. How long is it?",
    "How long is the list {items}?",
    "How many things did I name? {items}",
    "len of {items}",
)
COMPARISONS = (
    "Is {a} {word} than {b}?",
    "{a} is {word} than {b}, [right|true or false|yes or no]?",
    "~[Tell me|Check] [if|whether] {a} is {word} than {b}.",
    "[True or false|Yes or no|True or not]: {a} is {word} than {b}[.|]",
    "Is it true that {a} is {word} than {b}?",
    "Is the number {a} {word} than {b}?",
    "{a} {word} than {b}?",
    "[Would you say|Do you agree] that {a} is {word} than {b}?",
    "~Compare: is {a} {word} than {b}?",
    "[Claim|Statement]: {a} is {word} than {b}. True?",
)
MEMBERSHIPS = (
    "Is {word} in {items}?",
    "Is {word} in the list {items}?",
    "Does the list {items} [contain|have|include] {word}?",
    "[List|Words]: {items}. [Is {word} in it|Is there {word}]?",
    "~[Check|Tell me] [if|whether] {word} is [in|part of|one of] {items}.",
    "Is {word} one of {items}?",
    "Is {word} among {items}?",
    "[True or false|Yes or no]: {word} is in {items}",
    "{items}: is {word} [one of them|among them|there]?",
    "I have {items}. Do I have {word}?",
)
KIND_QUESTIONS = (
    "[What is|What's] a {word}?",
    "What kind of thing is {word}?",
    "~Classify [the word |]{word}[.|:]",
    "~[Label|Categorize|Tag] [the word |this: ]{word}",
    "[Word|Input|Text]: {word}",
    "{word}",
    "Which category [is|has] {word}?",
    "To which category does {word} belong?",
    "What type is {word}?",
    "[The category of|Category of] {word}[?|]",
)
PRAISE = (
    "I [love|like] this {thing}[!|.]",
    "The {thing} is [great|wonderful|excellent|perfect][!|.]",
    "[What a|Such a] [great|good|lovely] {thing}!",
    "This {thing} makes me happy.",
    "I am [very |]happy with the {thing}.",
    "[Best|The best] {thing} I ever had[!|.]",
    "The {thing} works well and looks good.",
    "I would buy this {thing} again.",
    "[Great|Good|Very good] {thing}, thank you!",
    "A beautiful {thing}, I recommend it.",
)
COMPLAINTS = (
    "I [hate|dislike] this {thing}[!|.]",
    "The {thing} is [bad|terrible|awful|broken|useless][!|.]",
    "[What a|Such a] [bad|terrible|poor] {thing}!",
    "This {thing} makes me sad.",
    "I am [very |]unhappy with the {thing}.",
    "[Worst|The worst] {thing} I ever had[!|.]",
    "The {thing} broke after a day.",
    "I would never buy this {thing} again.",
    "[Bad|Very bad|Poor] {thing}, I want my money back!",
    "An ugly {thing}, do not buy it.",
)
SENTIMENT_REQUESTS = (
    "{review}",
    "[What do you make of|How is] this review? {review}",
    "~Classify [the|this] [review|text|sentence]: {review}",
    "[What is|What's] the sentiment[ of this| here|]? {review}",
    "~Label the [sentiment|mood]: {review}",
    "[Review|Text|Input|Customer]: {review}",
    "[Sentiment|Mood][?|:] {review}",
    "How does [the writer|this person] feel? {review}",
    "~Rate this review: {review}",
    "{review} [How is that meant|What is the mood|Which sentiment is that]?",
)
KINDS_OF_WORDS = {
    "fruit": FRUITS,
    "vegetable": VEGETABLES,
    "animal": ANIMALS,
    "color": COLORS,
    "food": FOODS,
}
Say = Callable[..., str]
"""Fills one of some templates with slots."""
Question = tuple[str, list[Field], str]
"""A request, the fields of its answer, and a name for the problem whatever its wording."""


def _sampled(draw: Draw, fields: list[Field], names: Sequence[str]) -> list[Field]:
    """One or more of the fields; the first is always there."""
    fields = [replace(fields[0], name=draw.pick(names)), *fields[1:]]
    others = draw.rng.sample(fields[1:], draw.rng.randint(0, len(fields) - 1))
    chosen = [fields[0], *others]
    draw.rng.shuffle(chosen)
    return chosen


def capital(draw: Draw, say: Say) -> Question:
    country = draw.pick(list(CAPITALS))
    fields = [Field("capital", CAPITALS[country]), Field("country", country)]
    fields = _sampled(draw, fields, ("capital", "city", "city", "answer"))
    return say(CAPITAL_QUESTIONS, country=country), fields, f"capital:{country}"


def small_sum(draw: Draw, say: Say) -> Question:
    a, b = draw.rng.randint(0, 9), draw.rng.randint(0, 9)
    fields = [Field("sum", a + b), Field("a", a), Field("b", b)]
    fields = _sampled(draw, fields, ("sum", "result", "answer", "value", "total"))
    return say(SUM_QUESTIONS, a=a, b=b), fields, f"sum:{a}:{b}"


def ordered_words(draw: Draw, say: Say) -> Question:
    words = draw.distinct(draw.pick([2, 3, 3, 4]))
    fields = [Field(draw.pick(["sorted", "words", "list", "items", "result"]), sorted(words))]
    question = say(SORT_QUESTIONS, items=inline(draw, words))
    return question, fields, f"sort:{','.join(sorted(words))}"


def counted_words(draw: Draw, say: Say) -> Question:
    words = draw.distinct(draw.pick([2, 3, 3, 4, 5]))
    ends = [Field("count", len(words)), Field("first", words[0]), Field("last", words[-1])]
    fields = _sampled(draw, ends, ("count", "number", "total", "length", "n"))
    question = say(COUNT_QUESTIONS, items=inline(draw, words))
    return question, fields, f"count:{','.join(words)}"


def yes_or_no(draw: Draw, say: Say) -> Question:
    """A question with a boolean for an answer."""
    name = draw.pick(["answer", "result", "answer", "value", "is_true"])
    if draw.chance(0.5):
        a, b = draw.rng.sample(range(draw.pick([10, 100])), 2)
        larger = draw.chance(0.6)
        word = draw.pick(["larger", "bigger", "greater", "more"] if larger else ["less", "smaller"])
        question = say(COMPARISONS, a=a, b=b, word=word)
        return question, [Field(name, (a > b) == larger)], f"cmp:{a}:{b}"
    words = draw.distinct(draw.pick([2, 3, 4]))
    word = draw.pick(words) if draw.chance(0.5) else draw.word()
    question = say(MEMBERSHIPS, word=word, items=inline(draw, words))
    return question, [Field(name, word in words)], f"in:{word}:{','.join(words)}"


def kind_of_word(draw: Draw, say: Say) -> Question:
    """A word and the category that it belongs to, out of two to five."""
    kind = draw.pick(list(KINDS_OF_WORDS))
    word = draw.slot(KINDS_OF_WORDS[kind])
    while sum(word in words for words in KINDS_OF_WORDS.values()) > 1:
        word = draw.slot(KINDS_OF_WORDS[kind])
    others = [other for other in KINDS_OF_WORDS if other != kind]
    if kind in ("fruit", "vegetable"):
        others.remove("food")
    if kind == "food":
        others = ["animal", "color"]
    options = [kind, *draw.rng.sample(others, draw.rng.randint(1, len(others)))]
    draw.rng.shuffle(options)
    fields = [Field("kind", kind, tuple(options)), Field("word", word)]
    names = ("kind", "category", "type", "class", "label", "group")
    fields = _sampled(draw, fields, names)
    return say(KIND_QUESTIONS, word=word), fields, f"kind:{word}"


def sentiment(draw: Draw, say: Say) -> Question:
    is_good = draw.chance(0.5)
    thing = draw.slot(PRODUCTS)
    review = phrase(draw, PRAISE if is_good else COMPLAINTS, thing=thing)
    words = draw.pick([("positive", "negative"), ("positive", "negative"), ("good", "bad")])
    options = words if draw.chance(0.6) else words[::-1]
    fields = [Field("sentiment", words[not is_good], options), Field("product", thing)]
    fields = _sampled(draw, fields, ("sentiment", "sentiment", "label", "mood", "rating"))
    question = say(SENTIMENT_REQUESTS, review=review)
    return question, fields, f"sentiment:{words[not is_good]}:{thing}"


def _as_text(value: Answer) -> Answer:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def scene(draw: Draw, _: Say) -> Question:
    """A text on a person or a thing, with some of its facts as fields."""
    text, facts = free_scene(draw) if draw.chance(0.7) else person_scene(draw)
    found = named(draw, facts)
    fields = []
    for name, key in found.items():
        value = facts[key]
        options: tuple[str, ...] = ()
        if key in ("color", "status", "day", "condition", "theme", "mode") and draw.chance(0.5):
            others = {str(VALUES[key](draw)) for _ in range(draw.pick([2, 3, 4]))} | {str(value)}
            chosen = sorted(others)
            draw.rng.shuffle(chosen)
            options = tuple(chosen)
        fields.append(Field(name, value, options if len(options) > 1 else ()))
    if draw.chance(0.05):
        fields = [replace(field, value=_as_text(field.value)) for field in fields]
    unknown = [key for key in PERSON_CLAUSES if key not in facts and key not in found]
    if "name" in facts and not {"city", "country"} & set(facts) and draw.chance(0.12):
        at = draw.rng.randint(0, len(fields))
        fields.insert(at, Field(draw.pick(unknown), None, nullable=True))
    return text, fields, f"scene:{','.join(f'{field.name}={field.value}' for field in fields)}"
