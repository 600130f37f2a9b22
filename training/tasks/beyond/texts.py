"""Work on a text that the request brings with it, and errands: both are beyond the model."""

from training.tasks.beyond.requests import BEYOND
from training.tasks.beyond.slots import SLOTS
from training.tasks.passages.topics import TOPIC_NAMES, topical
from training.tasks.problem import MEMORISED, Problem, ask
from training.tasks.text.sentences import typed_sentence
from training.tasks.words import DAYS
from training.wordings import Draw

TONGUES = (
    *SLOTS["tongue"],
    *"Spanish French German Italian Portuguese Dutch Polish Russian Chinese Mandarin".split(),
    *"Cantonese Japanese Korean Arabic Hindi Turkish Swedish Romanian".split(),
)
ON_TEXTS = (
    "~Translate [this|the|my] [paragraph|text|letter|email|passage] [to|into] {tongue}: {text}",
    "~Translate [the following|this] [to|into] {tongue}: {text}",
    "[What is|How do I say|How do you say] this [whole |]text in {tongue}: {text}",
    "{text}\n[Translate this|Translate the paragraph|Put all of this] into {tongue}[.|, please.]",
    "~[Rewrite|Rephrase|Paraphrase|Reword] [this|the|my] [paragraph|text|email] "
    "[|in a formal tone|more politely|in simpler words]: {text}",
    "~[Improve|Polish|Review|Critique] [this|my] [paragraph|essay|text|writing]: {text}",
    "~[Continue|Extend|Expand|Finish] [this|my] [essay|article|novel|report]: {text}",
    "~[Proofread|Edit] [this|my] [paragraph|essay|letter] and explain [each|every] change: {text}",
    "~Write a poem [out of|from|based on] this [paragraph|text]: {text}",
    "~Turn [this|the following] [paragraph|text] into [a song|a poem|a speech|a press release]: "
    "{text}",
)
ERRANDS = (
    "~[Book|Reserve|Get] [me |us |]a [table|room|seat|desk] for {n}[ people| persons|]"
    "[ tonight| tomorrow| on {day}| this evening|].",
    "~[Book|Order|Call|Get] [me |us |]a [taxi|cab|ride|car] to [the airport|the station|work].",
    "~[Order|Buy|Get] [me |us |]{n} [pizzas|tickets|coffees|burgers|bottles of wine|stamps].",
    "~[Make|Arrange|Set up] [me |]an appointment [with|at] the [dentist|doctor|barber|bank]"
    "[ for {day}|].",
    "~[Reserve|Book] {n} [tickets|seats] for [the cinema|the theater|the concert|the match].",
    "~[Call|Ring|Phone|Text] my [mother|boss|doctor|landlord][ for me| on {day}|].",
    "~[Pay|Settle|Cancel] my [rent|phone bill|subscription|insurance][ on {day}|].",
    "~[Turn on|Turn off|Switch on|Dim] the [lights|heating|TV|radio][ in the kitchen|].",
    "~[Play|Put on|Start] [some music|a song|a podcast|the radio].",
    "[Could you|Will you|Can you] [pick up|collect|fetch] [my parcel|the kids|my car] on {day}?",
)


def on_a_text(draw: Draw) -> Problem:
    """A request to translate, rewrite or go on with a text of two to four sentences."""
    count = draw.pick((2, 2, 3, 4))
    texts = [
        topical(draw, draw.pick(list(TOPIC_NAMES))) if draw.chance(0.5) else typed_sentence(draw)
        for _ in range(count)
    ]
    request = draw.say(ON_TEXTS, tongue=draw.slot(TONGUES), text=" ".join(texts))
    return _declined(draw, request)


def errand(draw: Draw) -> Problem:
    """A request to book, buy or call, where no tool is at hand."""
    number = draw.pick(("two", "three", "four", "2", "3", "4", "5", "six"))
    return _declined(draw, draw.say(ERRANDS, n=number, day=draw.pick(DAYS)))


def _declined(draw: Draw, request: str) -> Problem:
    key = f"{MEMORISED}:beyond:{request}"
    return Problem("beyond", (key,), ask(request), BEYOND, said=tuple(draw.said))
