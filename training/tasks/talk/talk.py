"""Small talk and questions about the model, one answer an intent."""

from training.tasks.facts.closed import closed, typed
from training.tasks.problem import Problem
from training.tasks.talk.abilities import ABILITIES, FAVORITE, LIKED, LIKES
from training.tasks.talk.about_model import ABOUT
from training.tasks.talk.small_talk import SMALL_TALK
from training.tasks.text.layouts import one_kind
from training.tasks.words import CITIES
from training.wordings import Draw

SELF = {**ABOUT, **ABILITIES}
OFTEN = {"hello": 3.0, "can": 3.0, "who": 2.5, "how_are_you": 2.0, "thanks": 1.5, "bye": 1.5}
CHANCES = {
    "coin": (
        "Heads.",
        (
            "~[Flip|Toss] a coin.",
            "Heads or tails?",
            "[coin flip|coin toss|flip a coin for me]",
            "~Choose heads or tails.",
            "Can you [flip|toss] a coin?",
            "[Let's|I want to] [flip|toss] a coin[.|]",
            "[Heads|Tails]: [which|what] is it?",
            "~Throw a coin.",
            "I need a coin [flip|toss][.|]",
            "[Which side|What] [will|does] the coin [land on|show]?",
        ),
    ),
    "die": (
        "You rolled a 4.",
        (
            "~Roll [a die|a dice|the dice|dice].",
            "~Throw [a die|a dice|the dice].",
            "[dice roll|roll the dice|roll d6|roll 1d6]",
            "Can you roll [a die|a dice|the dice]?",
            "[Let's|I want to] roll [a die|the dice][.|]",
            "I need a [dice roll|roll of the dice][.|]",
            "What does the die show?",
            "~Roll a six-sided die.",
            "[Dice|Die][!|.|]",
            "~Give me a roll of the dice.",
        ),
    ),
    "number": (
        "7",
        (
            "~[Pick|Choose|Give me|Tell me|Think of|Say] a [number|random number].",
            "~[Pick|Choose|Say] a number [between|from] 1 [and|to] [10|100].",
            "[random number|a random number|number please][?|]",
            "[random number|Give me a random number|a number][, please|.|?|]",
            "~Generate a random number[ between 1 and 10|].",
            "Give me a number from 1 to 10.",
            "[What is|What's] a random number?",
            "I need a [random |]number[ between 1 and 10|].",
            "Can you [pick|choose] a number?",
            "Think of a number between one and ten. [What is it?|Which one?]",
            "[Any|Some] number[?|, please|]",
        ),
    ),
    "paper": (
        "Rock!",
        (
            "[Rock, paper, scissors|rock paper scissors|Rock paper scissors!|rps]",
            "[Let's|Do you want to|Can we|Shall we] play rock[,|] paper[,|] scissors[?|]",
            "Rock, paper or scissors?",
            "~Choose rock, paper or scissors.",
            "~Play rock paper scissors[ with me|].",
            "I choose [rock|paper|scissors][.|!|] [You?|And you?]",
            "[rock|paper|scissors], [your turn|you|and you]?",
            "~Pick one: rock, paper, scissors.",
            "[Rock|Paper|Scissors][!|]",
            "[rock, paper, scissors, shoot|rock paper scissors go][!|]",
        ),
    ),
    "knock": (
        "Who is there?",
        (
            "[Knock knock|knock knock!|Knock, knock|Knock knock.]",
            "[Knock|knock][,| ...| -] knock[!|]",
            "[Hey|Hi|Ok], knock knock[!|]",
            "[I have a joke|A joke for you|Listen]: knock knock[!|.|]",
            "[*knock knock*|toc toc|knock knock knock]",
            "[Let me tell you a joke|Here is a joke|Joke time]: [knock knock|Knock, knock][.|!|]",
            "Knock knock joke",
            "[Knock|Knocking] on [the|your] door[.|!|]",
            "Shall I tell you a joke? Knock knock.",
            "[Ok|Now], [a joke|my joke]: knock knock[.|!|]",
        ),
    ),
}


def small_talk(draw: Draw) -> Problem:
    """A greeting, thanks, or another line of small talk."""
    intents = {**SMALL_TALK, **CHANCES} if draw.chance(0.5) else SMALL_TALK
    name = draw.rng.choices(list(intents), [OFTEN.get(name, 1.0) for name in intents])[0]
    answer, templates = intents[name]
    request = draw.say(templates, alone=draw.chance(0.93))
    return closed("chat", name, request, answer)


def about_self(draw: Draw) -> Problem:
    """A question about the model: what it is, can, likes, or cannot do."""
    if draw.chance(0.07):
        liked, names = draw.pick(list(LIKES.items()))
        request = draw.say(FAVORITE, thing=draw.pick(names))
        return closed("chat", f"favorite:{liked}", request, LIKED[liked])
    name = draw.rng.choices(list(SELF), [OFTEN.get(name, 1.0) for name in SELF])[0]
    answer, templates = SELF[name]
    request = draw.say(templates, city=typed(draw, draw.slot(CITIES)))
    return closed("chat", name, request, answer)


KINDS = ((small_talk, 5.0), (about_self, 5.0))


def talk(draw: Draw) -> Problem:
    """Small talk, or a question about the model."""
    return one_kind(draw, KINDS)
