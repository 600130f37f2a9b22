"""JSON objects with the facts of a sentence, under keys of their own or of the request."""

from collections.abc import Mapping

from training.tasks.json.scenes import (
    PERSON_CLAUSES,
    Scene,
    person_noun,
    person_scene,
    settings_scene,
    thing_scene,
)
from training.tasks.json.values import named_keys
from training.tasks.problem import Problem, as_json, ask
from training.tasks.text.layouts import Kinds, one_kind
from training.wordings import Draw

TEXTS_TO_JSON = (
    "~[Extract|Get] [JSON|the JSON|a JSON object|JSON data][ from this| from this text|]: {text}",
    "~[Turn|Convert|Transform|Change|Make|Rewrite] [this|the following|the text|this sentence] "
    "[into|to] [JSON|a JSON object|JSON format]: {text}",
    "~[Convert|Translate|Parse] [this|the following|this text|this sentence|] [to|into] JSON:\n"
    "{text}",
    "{text} [Give me that|Return this|Write that|I want that|Output that|Answer] as JSON.",
    "{text} [Turn|Convert|Make|Put] [this|that|it] into JSON.",
    "{text}\n[JSON|To JSON|As JSON|In JSON|JSON please]",
    "{text}\n[Extract|Return|Write|Give me] the [facts|data|information|details] as JSON.",
    "[JSON|To JSON|As JSON|In JSON|JSON of|JSON for][:|] {text}",
    "~[Extract|Find|Get|Pull out] the [facts|data|information|details|fields] [as|in|into] "
    "[JSON|a JSON object]: {text}",
    "~[Write|Represent|Express|Give me|Show|Output|Return] [this|the following|this text] [as|in] "
    "[JSON|a JSON object|JSON format]: {text}",
    "~Parse [this|the text|this sentence|the following text][ into JSON| as JSON| to JSON]: {text}",
    "~Make [JSON|a JSON|a JSON object|a json record] [out of|from|of] [this|the text]: {text}",
    "~Create [JSON|a JSON object|a JSON record|a JSON document] [from|for] [this|the text]: {text}",
    "[What is|What would be|Show me] the JSON [for|of] [this|this text|the following]: {text}",
    "[How do I write|How would you write|How does one write] this [as|in] JSON: {text}",
    "[Text|Input|Sentence]: {text}\n[JSON|As JSON|Output as JSON|Output JSON]:",
    "[I need|I want|Give me|gimme] [JSON|a JSON object|the JSON|a json] [for|from]: {text}",
    "~Structure [this|the text|this text] as JSON: {text}",
    "[Structured|Machine-readable] [data|output|JSON] [for|from|of]: {text}",
    "text to [JSON|json]: {text}",
    "[Here is|This is|I have] [some text|a text|a sentence]: {text} [Make JSON|Convert it to JSON|"
    "Extract JSON].",
    "~[Store|Save|Describe|Encode|Format|Serialize|Serialise] [this|the following] as JSON: {text}",
    "~Read [this|the text|the sentence] and [answer|reply|respond] [in|with] JSON: {text}",
    "~[Reply|Respond|Answer] with JSON[ only|]. {text}",
    'extract_json("{text}")',
    "{text} -> [JSON|json]",
    "{text} [in JSON|as JSON|to JSON|as a JSON object|in JSON format]",
    "[Output|Return] only JSON. [Text: |]{text}",
)
NOUNS_TO_JSON = (
    "~[Make|Write|Create|Generate|Give me|Build|Return] [JSON|a JSON object|a JSON|a JSON record] "
    "for {text}.",
    "[JSON|a JSON object|JSON object|JSON record|the JSON] for {text}",
    "~[Describe|Represent|Write|Encode|Show] {text} [as|in] [JSON|a JSON object].",
    "~[Convert|Turn] {text} [to|into] JSON.",
    "[I need|I want|Give me|gimme] [JSON|a JSON object|a json] [for|about|of|describing] {text}",
    "{text} [as|in] [JSON|json|a JSON object]",
    "{text} -> JSON",
    "[What is|What would be|Show me] [the JSON|a JSON object] for {text}?",
    "How [do I|would you] write {text} [as|in] JSON?",
    "~[Make|Create] a [user|person|record|profile|contact] object in JSON[:| for] {text}",
    "[Person|Profile|Contact|Record]: {text}. [JSON|As JSON|To JSON]",
    "[This is about|Here is|Take] {text}. [Write it|Put that|Give me this] as JSON.",
    "~[Store|Save] {text} as [JSON|a JSON object].",
    "json({text})",
    "For {text}, [write|make|return] [JSON|a JSON object].",
)
KEYED_TEXTS = (
    "~[Extract|Get|Find|Return|Pull out] {keys} [as|in] JSON[ from this| from the text|]: {text}",
    "~[Extract|Get|Find] {keys} from [this|the text|this sentence] [as|in|and return] JSON: {text}",
    "~[Turn|Convert|Transform] this into JSON with [the keys|keys|fields] {keys}: {text}",
    "[JSON|A JSON object|JSON object] with [keys|the keys|fields] {keys} [for|from|of]: {text}",
    "{text} [Give me|Return|Write|Make] [JSON|a JSON object] with [the keys|keys] {keys}.",
    "{text} [Answer|Reply|Respond] [as|in|with] JSON with the [keys|fields] {keys}.",
    "{text}\n[Keys|JSON keys|Fields|Return JSON with]: {keys}",
    "[Keys|JSON keys|Fields]: {keys}\n[Text|Input]: {text}[\n|]",
    "~[Make|Create|Write|Build|Generate] [JSON|a JSON object] [with|having|that has] "
    "[the keys|keys] {keys} from this[ text| sentence|]: {text}",
    "~Read [the text|this] and [fill in|give|return] {keys} as JSON: {text}",
    "~Use [the keys|keys] {keys} and [convert|turn] this [to|into] JSON: {text}",
    "~Parse [this|the text] into JSON ({keys}): {text}",
    "[I need|I want|Give me] {keys} [as|in] JSON[ from this|]: {text}",
    "[What are|Which are] {keys} [in this text|here]? [Answer|Reply|Respond] in JSON. {text}",
    "[Text|Input|Sentence]: {text}\n[JSON|Output as JSON|JSON object] with {keys}:",
    "With [the keys|keys] {keys}, write [this|the following] as JSON: {text}",
    "{text} -> JSON with {keys}",
    "~[Respond|Reply|Answer] only with JSON[, keys| with keys| that has the keys] {keys}. {text}",
    "~Fill [a JSON object|JSON] with [the keys|keys] {keys} [from|using] [the text|this]: {text}",
)
KEYED_NOUNS = (
    "[JSON|A JSON object|JSON object|JSON record|json] with [keys|the keys|fields] {keys} for "
    "{text}[.|]",
    "~[Make|Write|Create|Generate|Give me|Build|Return|Produce|Output] [JSON|a JSON object|a JSON] "
    "with [keys|the keys|the fields|key] {keys} for {text}.",
    "~[Describe|Represent|Write] {text} [as|in] JSON with [the keys|keys|fields] {keys}.",
    "{text} as JSON with [keys|the keys|fields] {keys}[.|]",
    "[I need|I want|gimme] JSON with {keys} for {text}.",
    "For {text}, [write|make|give me|return] JSON with [the keys|keys] {keys}.",
    "~[Use|Take] the keys {keys} and [write|make|create] JSON for {text}.",
    "~[Convert|Turn] {text} [to|into] JSON with [keys|the keys] {keys}.",
    "[What is|Show me] the JSON for {text} with [keys|the keys] {keys}?",
    "[Keys|JSON keys]: {keys}. [Person|Object|Data]: {text}. [JSON|Write the JSON].",
    "JSON ({keys}) for {text}",
    "[Make|Create] {text} a JSON object[:| with] {keys}",
)
MISSING = (
    " Use null for what is missing.",
    " Missing values are null.",
    " If something is unknown, use null.",
    " (null if not given)",
    " Put null where there is no value.",
    " Unknown: null.",
    " Write null for unknown values.",
    " If a key has no value, set it to null.",
    " Say null if it is not in the text.",
    " Not mentioned means null.",
    " Do not invent values, use null.",
)
ALIASES: Mapping[str, tuple[str, ...]] = {
    "name": ("full_name", "fullName", "person", "who", "Name", "first_name", "user"),
    "age": ("years", "Age", "age_years", "ageYears", "years_old"),
    "city": ("town", "location", "City", "place", "home", "hometown", "address"),
    "country": ("location", "Country", "from", "home", "nation"),
    "job": ("profession", "occupation", "work", "role", "Job", "title", "position"),
    "color": ("colour", "favorite_color", "favoriteColor", "Color"),
    "hobby": ("hobbies", "interest", "Hobby", "activity"),
    "pet": ("animal", "Pet", "has_pet"),
    "language": ("speaks", "lang", "Language"),
    "food": ("favorite_food", "meal", "Food", "eats"),
    "email": ("mail", "e_mail", "contact", "Email", "emailAddress"),
    "phone": ("phone_number", "tel", "number", "phoneNumber", "Phone"),
    "price": ("cost", "Price", "total", "price_paid", "value"),
    "quantity": ("count", "number", "qty", "how_many"),
    "item": ("product", "thing", "object", "what", "Item"),
    "product": ("item", "thing", "article", "Product", "name"),
    "title": ("name", "book", "Title", "work"),
    "author": ("writer", "by", "Author"),
    "year": ("published", "Year", "date", "when"),
    "temperature": ("temp", "degrees", "Temperature"),
    "condition": ("weather", "sky", "conditions"),
    "customer": ("client", "buyer", "name", "Customer"),
    "person": ("with", "guest", "name", "who"),
    "day": ("date", "weekday", "when", "Day"),
    "time": ("hour", "at", "starts", "Time"),
    "origin": ("from", "start", "source", "departure"),
    "destination": ("to", "end", "target", "arrival"),
    "animal": ("kind", "species", "pet", "type"),
    "id": ("order", "order_id", "number", "orderId"),
    "status": ("state", "Status", "order_status"),
    "event": ("what", "name", "type", "Event"),
}
"""Other names of keys that a request may ask for."""


def renamed(draw: Draw, key: str, share: float = 0.25) -> str:
    """The key itself, or another name for it."""
    return draw.pick(ALIASES[key]) if key in ALIASES and draw.chance(share) else key


def to_json(turns_text: str, value: object, name: str = "json") -> Problem:
    """A problem of one user message with a JSON answer, named by it."""
    answer = as_json(value)
    return Problem(name, (f"json:{answer}",), ask(turns_text), answer, "json")


def free_scene(draw: Draw) -> Scene:
    """A text of any kind with its facts."""
    return draw.rng.choices((person_scene, thing_scene, settings_scene), (5, 4, 1))[0](draw)


def _free(draw: Draw) -> Problem:
    text, facts = free_scene(draw)
    return to_json(draw.say(TEXTS_TO_JSON, text=text), facts)


def _noun(draw: Draw) -> Problem:
    text, facts = person_noun(draw)
    return to_json(draw.say(NOUNS_TO_JSON, text=text), facts)


def named(draw: Draw, facts: Mapping[str, object]) -> dict[str, str]:
    """Some of the facts in any order: the names that a request gives them, and their keys."""
    count = min(len(facts), draw.pick([1, 2, 2, 2, 2, 2, 3, 3, 4]))
    chosen = draw.rng.sample(list(facts), count)
    if draw.chance(0.5):
        chosen = [key for key in facts if key in chosen]
    found: dict[str, str] = {}
    style = draw.rng.random()
    for key in chosen:
        other = renamed(draw, key)
        if style < 0.06:
            other = other.upper() if style < 0.03 else other.capitalize()
        found[key if other in found or other in facts else other] = key
    return found


def keyed(draw: Draw, facts: Mapping[str, object]) -> dict[str, object]:
    """Some of the facts in any order, under names that a request gives them."""
    return {name: facts[key] for name, key in named(draw, facts).items()}


def _keyed(draw: Draw) -> Problem:
    if draw.chance(0.4):
        text, facts = person_noun(draw)
        found = keyed(draw, facts)
        return to_json(draw.say(KEYED_NOUNS, text=text, keys=named_keys(draw, list(found))), found)
    text, facts = free_scene(draw)
    found = keyed(draw, facts)
    after = ""
    unknown = [key for key in PERSON_CLAUSES if key not in facts]
    if "name" in facts and "city" not in found and draw.chance(0.3):
        places = {"city", "country"}
        if places & set(facts):
            unknown = [key for key in unknown if key not in places]
        order = [*found, draw.pick([key for key in unknown if key not in found])]
        if draw.chance(0.5):
            draw.rng.shuffle(order)
        found = {key: found.get(key) for key in order}
        after = draw.slot(MISSING) if draw.chance(0.6) else ""
    return to_json(
        draw.say(KEYED_TEXTS, text=text, keys=named_keys(draw, list(found))) + after, found
    )


KINDS: Kinds = ((_free, 4), (_noun, 2), (_keyed, 5))


def text_to_json(draw: Draw) -> Problem:
    """Write the facts of a text as JSON, in the order of the text or of the keys asked for."""
    return one_kind(draw, KINDS)
