"""Short stories about an animal, a thing and a friend."""

from random import Random

from training.tasks.problem import Problem, as_json, ask
from training.tasks.words import ANIMALS, COLORS, NAMES, PLACES, THINGS, TRAITS, with_article


def story(rng: Random) -> Problem:
    """Tell a story of five sentences that stays consistent with its prompt and itself."""
    name, friend = rng.sample(NAMES, 2)
    animal, other = rng.sample(ANIMALS, 2)
    trait, place, thing, color = (rng.choice(x) for x in (TRAITS, PLACES, THINGS, COLORS))
    reference: dict[str, str] = {"name": name, "animal": animal}
    kind = rng.randrange(4)
    if kind == 0:
        question = f"Tell me a story about {with_article(animal)} named {name}."
    elif kind == 1:
        question = f"Write a short story about {with_article(trait)} {animal} named {name}."
        reference["trait"] = trait
    elif kind == 2:
        question = f"Tell me a story about {name} the {animal} and {with_article(color)} {thing}."
        reference |= {"color": color, "thing": thing}
    else:
        hero, treasure = with_article(animal), f"{with_article(color)} {thing}"
        question = f"Tell a story with {hero} called {name} and {treasure}."
        reference |= {"color": color, "thing": thing}
    opening, raw_prompt = rng.choice(
        [
            (
                f"Once upon a time there was {with_article(trait)} {animal} named {name}. "
                f"{name} lived in {with_article(place)}.",
                "Once upon a time there was " + ("an" if trait[0] in "aeiou" else "a"),
            ),
            (
                f"{name} was {with_article(trait)} {animal} who lived near {with_article(place)}.",
                name,
            ),
        ]
    )
    event = rng.choice(
        [
            f"One day {name} found {with_article(color)} {thing} in the grass.",
            f"One morning {name} lost {with_article(color)} {thing}.",
            f"Every day {name} played with {with_article(color)} {thing}.",
        ]
    )
    meeting = rng.choice(
        [
            f"{with_article(other).capitalize()} named {friend} came by and said, "
            '"Can I help you?"',
            f"Then {name} met {with_article(other)} named {friend}.",
        ]
    )
    if " lost " in event:
        together = f"They looked everywhere and found the {thing} under a tree."
    else:
        together = rng.choice(
            [
                f"They played with the {thing} all day long.",
                f"{name} shared the {thing} with {friend}.",
            ]
        )
    ending = rng.choice(
        [
            f"{name} and {friend} became good friends.",
            f"{name} was very happy.",
            f"From that day on {name} and {friend} were friends.",
        ]
    )
    answer = " ".join([opening, event, meeting, together, ending])
    return Problem(
        "story",
        (f"story:{name}:{animal}",),
        ask(question),
        answer,
        "story",
        as_json(reference),
        (raw_prompt, answer.removeprefix(raw_prompt)) if raw_prompt != name else None,
    )
