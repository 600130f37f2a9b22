"""Questions about a passage of generated facts."""

from dataclasses import dataclass
from random import Random

from training.tasks.problem import Problem, ask
from training.tasks.words import ANIMALS, CITIES, COLORS, FOODS, ITEMS, JOBS, NAMES


@dataclass(frozen=True, slots=True)
class Fact:
    """A statement, the question it answers, and the answer."""

    statement: str
    question: str
    answer: str


FILLERS = (
    "The weather was nice that day.",
    "It was a long week.",
    "Everyone knows each other there.",
    "The street is quiet in the morning.",
    "They meet every Sunday.",
    "The town has a small market.",
)


def _about_person(rng: Random, name: str) -> list[Fact]:
    city, job, color, animal, food, age = (
        rng.choice(CITIES),
        rng.choice(JOBS),
        rng.choice(COLORS),
        rng.choice(ANIMALS),
        rng.choice(FOODS),
        rng.randint(5, 90),
    )
    engineer = "an" if job[0] in "aeiou" else "a"
    owl = "an" if animal[0] in "aeiou" else "a"
    return [
        Fact(f"{name} lives in {city}.", f"Where does {name} live?", f"{name} lives in {city}."),
        Fact(
            f"{name} works as {engineer} {job}.",
            f"What is the job of {name}?",
            f"{name} works as {engineer} {job}.",
        ),
        Fact(
            f"{name} likes the color {color}.",
            f"Which color does {name} like?",
            f"{name} likes the color {color}.",
        ),
        Fact(
            f"{name} has {owl} {animal}.",
            f"Which animal does {name} have?",
            f"{name} has {owl} {animal}.",
        ),
        Fact(f"{name} eats {food} every day.", f"What does {name} eat?", f"{name} eats {food}."),
        Fact(f"{name} is {age} years old.", f"How old is {name}?", f"{name} is {age} years old."),
    ]


def _about_box(rng: Random, color: str) -> list[Fact]:
    number, item = rng.randint(2, 99), rng.choice(ITEMS)
    statement = f"The {color} box holds {number} {item}."
    return [Fact(statement, f"What is in the {color} box?", statement)]


def same_attribute(rng: Random) -> Problem:
    """Ask for one of two to six facts of the same kind, so that only the name can tell."""
    count = rng.randint(2, 6)
    if rng.random() < 0.4:
        facts = [_about_box(rng, color)[0] for color in rng.sample(COLORS, count)]
    else:
        kind = rng.randrange(6)
        facts = [_about_person(rng, name)[kind] for name in rng.sample(NAMES, count)]
    return _ask(rng, facts, [fact.statement for fact in facts])


def fact_lookup(rng: Random) -> Problem:
    """Answer a question about one fact of a passage of three to about forty sentences."""
    wanted = rng.randint(3, 7) if rng.random() < 0.85 else rng.randint(8, 40)
    if rng.random() < 0.2:
        wanted = min(wanted, len(COLORS))
        facts = [_about_box(rng, color)[0] for color in rng.sample(COLORS, wanted)]
    else:
        num_people = max(2, min(wanted, rng.randint(wanted // 3, wanted)))
        people = rng.sample(NAMES, min(num_people, len(NAMES)))
        facts = [fact for name in people for fact in _about_person(rng, name)]
        first = [rng.choice(facts[6 * i : 6 * i + 6]) for i in range(len(people))]
        others = [fact for fact in facts if fact not in first]
        facts = first + rng.sample(others, max(0, wanted - len(first)))
        rng.shuffle(facts)
    asked = rng.choice(facts)
    statements = [fact.statement for fact in facts]
    if rng.random() < 0.2:
        statements.insert(rng.randint(0, len(statements)), rng.choice(FILLERS))
    return _ask(rng, facts, statements, asked)


def _ask(
    rng: Random, facts: list[Fact], statements: list[str], asked: Fact | None = None
) -> Problem:
    asked = asked or rng.choice(facts)
    passage = " ".join(statements)
    form = rng.choice(["{p} {q}", "{p}\n{q}", "Read this: {p}\n{q}", "{q} {p}"])
    key = "passage:" + " ".join(sorted(fact.statement for fact in facts)) + asked.question
    return Problem("passage", (key,), ask(form.format(p=passage, q=asked.question)), asked.answer)
