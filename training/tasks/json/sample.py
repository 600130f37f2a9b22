"""JSON examples: keys whose values the request leaves open, examples of any kind, empty JSON."""

from training.tasks.json.values import Record, named_keys
from training.tasks.problem import MEMORISED, PRIMITIVE, Problem, as_json, ask
from training.wordings import Draw

SAMPLES = (
    "~[Make|Write|Create|Generate|Give me|Build|Show me|Return] [a sample|an example|example|"
    "sample|some example] JSON [object |]with [the keys|keys|fields] {keys}.",
    "~[Generate|Make up|Invent|Create] [sample|example|fake|dummy|test|mock] [data|JSON data] "
    "in JSON with {keys}.",
    "[Example|Sample|Dummy|Mock] JSON [with|for|having] {keys}",
    "[A JSON example|An example of JSON|Example of a JSON object] with {keys}[.|]",
    "~[Generate|Write|Make|Create] JSON for [a user|a person|an object|someone] with {keys}.",
    "[Give me|I need|I want|gimme] an example [JSON |]object with {keys} in JSON.",
    "What [does|would] [a JSON object|JSON|an object in JSON] with {keys} look like?",
    "[How do I write|How does one write] JSON with {keys}?",
    "~Write [any|some] JSON [that has|containing|that contains] {keys}.",
    "JSON [object |]with {keys}, [values are up to you|any values|any values will do|you choose]",
    "~Fill [a JSON object|JSON] with [random|example|any|made up] values for {keys}.",
    "[user|person|object] json with {keys}, example",
)
EXAMPLE_VALUES: Record = {
    "name": "Anna",
    "age": 30,
    "city": "Paris",
    "country": "France",
    "email": "anna@example.com",
    "job": "teacher",
    "color": "red",
    "price": 10,
    "id": 1,
    "title": "The Red Kite",
    "author": "Ben Hill",
    "year": 2020,
    "active": True,
    "quantity": 2,
    "product": "lamp",
    "phone": "555-0123",
    "tags": ["a", "b"],
    "hobbies": ["chess", "hiking"],
    "animal": "dog",
    "date": "2024-05-17",
}
ANY_EXAMPLES = (
    "~[Give me|Show me|Write|Make|Create|Generate] [an example of|a sample of|some|any] JSON.",
    "~[Give me|Show me|Write|Make|Create|Generate] [an example|a sample|a simple|any|a small] JSON "
    "[object|document|file].",
    "[JSON example|Example JSON|JSON sample|Sample JSON|json example|a JSON][?|]",
    "What does JSON look like?",
    "[What is|Show me] an example of [a JSON object|JSON]?",
    "[How does|How would] [a JSON object|JSON] look?",
    "~[Write|Make|Create|Generate|Return|Output] JSON.",
    "[I need|I want|gimme] [some JSON|a JSON object|example JSON].",
    "~Answer [in|with] JSON.",
    "~Say something in JSON.",
    "~[Make|Create|Give me|Write] a JSON [user|person|record].",
    "[A JSON person|JSON for a person|JSON for a user|user json|person json]",
    "~[Generate|Make up|Invent] [a|some] JSON [object|data].",
    "[Can|Do] you [write|make|know|speak|do] JSON?",
)
EMPTY_OBJECTS = (
    "~[Give me|Show me|Write|Make|Create|Return|Output] an empty JSON [object|document].",
    "[Empty JSON object|An empty JSON object|empty json|JSON object, empty][?|]",
    "[What is|How do I write] an empty JSON object?",
    "What does an empty JSON object look like?",
    "JSON [object |]with no keys",
    "~[Write|Make] a JSON object [without|with no|with zero] keys.",
    "[I need|I want] [an empty object in JSON|an empty JSON object].",
    "an object with nothing in it, in JSON",
    "empty dict in JSON",
    "[no keys, just an|just an] empty JSON object",
)
EMPTY_ARRAYS = (
    "~[Give me|Show me|Write|Make|Create|Return|Output] an empty JSON [array|list].",
    "[Empty JSON array|An empty JSON list|empty json list|JSON array, empty][?|]",
    "[What is|How do I write] an empty JSON [array|list]?",
    "What does an empty JSON [array|list] look like?",
    "JSON [array|list] with no items",
    "~[Write|Make] a JSON [array|list] [without|with no|with zero] [items|elements].",
    "[I need|I want] an empty [array|list] in JSON.",
    "[an array|a list] with nothing in it, in JSON",
    "empty array in JSON",
    "[no items, just an|just an] empty JSON [array|list]",
)
ANY_ANSWERS = (
    (ANY_EXAMPLES, '{"name": "Anna", "age": 30}'),
    (EMPTY_OBJECTS, "{}"),
    (EMPTY_ARRAYS, "[]"),
)


def sample_json(draw: Draw) -> Problem:
    """Write JSON of keys whose values are left open: always the same example values."""
    if draw.chance(0.15):
        templates, answer = draw.pick(ANY_ANSWERS)
        key = f"{MEMORISED}:json_sample:{answer}"
        return Problem("json_sample", (key,), ask(draw.say(templates)), answer, "json")
    keys = draw.rng.sample(list(EXAMPLE_VALUES), draw.pick([1, 2, 2, 3, 3, 4]))
    if draw.chance(0.3):
        keys = ["name", "age", "city", "email"][: draw.pick([2, 3, 4])]
    answer = as_json({key: EXAMPLE_VALUES[key] for key in keys})
    keys_of = (f"json_sample:{','.join(keys)}",)
    if len(keys) == 1:
        keys_of = (f"{PRIMITIVE}:json_sample:{keys[0]}",)
    request = draw.say(SAMPLES, keys=named_keys(draw, keys))
    return Problem("json_sample", keys_of, ask(request), answer, "json")
