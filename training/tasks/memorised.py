"""Closed sets that can only be memorised: facts, small talk, and what the model says of itself."""

from random import Random

from training.tasks.problem import MEMORISED, Problem, Turn, ask
from training.tasks.words import CITIES, COLORS, DAYS, MONTHS, NAMES

CAPITALS = dict(
    pair.split(":")
    for pair in (
        "France:Paris,Italy:Rome,Germany:Berlin,Spain:Madrid,Norway:Oslo,Austria:Vienna,"
        "Ireland:Dublin,Portugal:Lisbon,Greece:Athens,Poland:Warsaw,Egypt:Cairo,Japan:Tokyo,"
        "India:New Delhi,Peru:Lima,Canada:Ottawa,Brazil:Brasilia,Chile:Santiago,Cuba:Havana,"
        "Kenya:Nairobi,Sweden:Stockholm,Finland:Helsinki,Denmark:Copenhagen,Hungary:Budapest,"
        "Turkey:Ankara,Russia:Moscow,China:Beijing,Australia:Canberra,Belgium:Brussels,"
        "Netherlands:Amsterdam,Switzerland:Bern,Mexico:Mexico City,Argentina:Buenos Aires"
    ).split(",")
)
OPPOSITES = dict(
    pair.split()
    for pair in (
        "big small,hot cold,up down,fast slow,happy sad,old young,light dark,open closed,"
        "early late,wet dry,hard soft,high low,long short,rich poor,strong weak,full empty,"
        "left right,clean dirty,loud quiet,good bad,near far,thick thin,day night"
    ).split(",")
)
PAST_TENSES = dict(
    pair.split()
    for pair in (
        "go went,eat ate,run ran,see saw,take took,make made,come came,give gave,find found,"
        "write wrote,speak spoke,drink drank,sing sang,swim swam,buy bought,think thought,"
        "bring brought,sleep slept,keep kept,leave left,lose lost,meet met,say said,sell sold"
    ).split(",")
)
MASKED = "I am a small diffusion language model inside the unmask package."
HOW = (
    "I start with a block of masked positions and fill them in over a few steps, many at a time, "
    "the ones I am most sure of first."
)
SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Hello", "Hi", "Hey", "Hello!", "Hi!", "Hi there", "Hello there", "Good morning", "hello"),
        "Hello! How can I help you?",
    ),
    (
        (
            "Who are you?",
            "What are you?",
            "What is your name?",
            "Tell me about yourself.",
            "Introduce yourself.",
            "Are you a language model?",
            "What model are you?",
            "Describe yourself.",
        ),
        f"{MASKED} I am made for trying the server.",
    ),
    (("How are you?", "How are you doing?", "How is it going?"), "I am fine, thank you."),
    (
        ("What can you do?", "Help", "Help me", "What do you know?", "How can you help me?"),
        "I can do small tasks: add numbers, sort lists, edit text and JSON, look up a fact in a "
        "passage, write SQL and short Python functions, and tell short stories.",
    ),
    (
        (
            "What can you not do?",
            "What are your limits?",
            "Are you smart?",
            "Do you know everything?",
            "Can you browse the web?",
        ),
        "I am very small. I know few facts, I make mistakes, and I only do the kinds of tasks "
        "that I was trained on.",
    ),
    (
        (
            "How do you work?",
            "How do you write?",
            "How does diffusion work?",
            "How do you generate text?",
            "Explain how you work.",
        ),
        HOW,
    ),
    (
        (
            "What is a diffusion language model?",
            "What is a diffusion LM?",
            "What does diffusion language model mean?",
        ),
        "It is a language model that writes by filling in masked positions, several in each step, "
        "instead of one word after another.",
    ),
    (
        ("Who made you?", "Who created you?", "Where do you come from?", "Who trained you?"),
        "I was trained by the unmask project on tasks that a program made up.",
    ),
    (
        ("How big are you?", "How many parameters do you have?", "How large are you?"),
        "I have only a few million parameters.",
    ),
    (("Thank you", "Thanks", "Thanks!", "Thank you!"), "You are welcome!"),
    (("Bye", "Goodbye", "See you", "Good night", "Bye!"), "Goodbye! Have a nice day."),
    (("Tell me a joke.", "Make me laugh."), "Why did the mask smile? It knew it would be filled."),
)


def _memorised(task: str, question: str, answer: str) -> Problem:
    return Problem(task, (f"{MEMORISED}:{question}",), ask(question), answer)


def fact(rng: Random) -> Problem:
    """A capital, an opposite, a past tense, a day or a month."""
    match rng.randrange(5):
        case 0:
            country = rng.choice(list(CAPITALS))
            form = rng.choice(
                ["What is the capital of {}?", "Tell me the capital of {}.", "capital of {}"]
            )
            answer = f"The capital of {country} is {CAPITALS[country]}."
            problem = _memorised("fact", form.format(country), answer)
            prefix = f"The capital of {country} is"
            return Problem(
                problem.task,
                problem.keys,
                problem.turns,
                answer,
                raw=(prefix, f" {CAPITALS[country]}."),
            )
        case 1:
            country = rng.choice(list(CAPITALS))
            capital = CAPITALS[country]
            return _memorised(
                "fact",
                f"{capital} is the capital of which country?",
                f"{capital} is the capital of {country}.",
            )
        case 2:
            word, other = rng.choice(list(OPPOSITES.items()))
            form = rng.choice(["What is the opposite of {}?", "Give me the opposite of {}."])
            return _memorised("fact", form.format(word), f"The opposite of {word} is {other}.")
        case 3:
            word, past = rng.choice(list(PAST_TENSES.items()))
            return _memorised(
                "fact", f"What is the past tense of {word}?", f"The past tense of {word} is {past}."
            )
        case _:
            names = rng.choice([DAYS, MONTHS])
            kind = "day" if names is DAYS else "month"
            i, step = rng.randrange(len(names)), rng.choice([1, -1])
            side = "after" if step == 1 else "before"
            return _memorised(
                "fact",
                f"What {kind} comes {side} {names[i]}?",
                f"The {kind} {side} {names[i]} is {names[(i + step) % len(names)]}.",
            )


def small_talk(rng: Random) -> Problem:
    """A plain-English exchange, mostly about what the model is."""
    questions, answer = rng.choice(SMALL_TALK)
    return _memorised("chat", rng.choice(questions), answer)


def recall(rng: Random) -> Problem:
    """A question about what the user said one turn before."""
    name, color, city = rng.choice(NAMES), rng.choice(COLORS), rng.choice(CITIES)
    told, question, answer = rng.choice(
        [
            (f"My name is {name}.", "What is my name?", f"Your name is {name}."),
            (
                f"My favorite color is {color}.",
                "What is my favorite color?",
                f"Your favorite color is {color}.",
            ),
            (f"I live in {city}.", "Where do I live?", f"You live in {city}."),
        ]
    )
    reply = rng.choice(["Nice to meet you!", "Okay.", "I will remember that."])
    turns = (Turn("user", told), Turn("assistant", reply), Turn("user", question))
    return Problem("recall", (f"{MEMORISED}:{told}",), turns, answer)
