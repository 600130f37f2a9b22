"""Short stories about quantities, answered with worked steps."""

from random import Random

from training.tasks.arithmetic import (
    difference_key,
    product_key,
    sum_key,
    work_difference,
    work_product,
    work_sum,
)
from training.tasks.problem import Problem, ask
from training.tasks.words import ITEMS, NAMES


def _trade(rng: Random, name: str, other: str, item: str) -> Problem:
    a, b = rng.randint(5, 60), rng.randint(2, 40)
    total = a + b
    num_given = rng.randint(1, total - 1) if rng.random() < 0.7 else 0
    verb = rng.choice(["buys", "finds", "gets"])
    question = f"{name} has {a} {item}. {name} {verb} {b} more"
    work = work_sum(a, b) + ". "
    keys = [f"word:trade:{a}:{b}:{num_given}", sum_key(a, b)]
    if num_given:
        question += f" and gives {num_given} to {other}"
        work += work_difference(total, num_given) + ". "
        keys.append(difference_key(total, num_given))
    question += f". How many {item} does {name} have now?"
    reference = f"{name} has {total - num_given} {item}."
    return Problem("word", tuple(keys), ask(question), work + reference, "final", reference)


def _boxes(rng: Random, name: str, other: str, item: str) -> Problem:
    boxes, each = rng.randint(2, 9), rng.randint(2, 12)
    box = rng.choice(["boxes", "bags"])
    question = (
        f"There are {boxes} {box} with {each} {item} in each {box[:3]}. "
        f"How many {item} are there in total?"
    )
    reference = f"There are {boxes * each} {item}."
    keys = (f"word:boxes:{boxes}:{each}", product_key(boxes, each))
    return Problem(
        "word", keys, ask(question), f"{work_product(boxes, each)}. {reference}", "final", reference
    )


def _together(rng: Random, name: str, other: str, item: str) -> Problem:
    a, b = rng.randint(5, 60), rng.randint(2, 40)
    question = (
        f"{name} has {a} {item} and {other} has {b} {item}. How many {item} do they have together?"
    )
    reference = f"They have {a + b} {item}."
    keys = (f"word:together:{a}:{b}", sum_key(a, b))
    return Problem(
        "word", keys, ask(question), f"{work_sum(a, b)}. {reference}", "final", reference
    )


def _lost(rng: Random, name: str, other: str, item: str) -> Problem:
    a = rng.randint(5, 60)
    b = rng.randint(1, a - 1)
    verb = rng.choice(
        ["lost {} of them", "ate {} of them", "gave {} of them away", "sold {} of them"]
    )
    question = f"{name} had {a} {item} but {verb.format(b)}. How many {item} are left?"
    reference = f"{name} has {a - b} {item} left."
    keys = (f"word:lost:{a}:{b}", difference_key(a, b))
    return Problem(
        "word", keys, ask(question), f"{work_difference(a, b)}. {reference}", "final", reference
    )


def _cost(rng: Random, name: str, other: str, item: str) -> Problem:
    number, price = rng.randint(2, 9), rng.randint(2, 12)
    paid = number * price + rng.choice([0, 5, 10, 20])
    question = (
        f"One of the {item} costs {price} dollars. {name} buys {number} {item} and pays with "
        f"{paid} dollars. How much do the {item} cost?"
    )
    reference = f"The {item} cost {number * price} dollars."
    keys = (f"word:cost:{number}:{price}", product_key(number, price))
    return Problem(
        "word",
        keys,
        ask(question),
        f"{work_product(number, price)}. {reference}",
        "final",
        reference,
    )


def word_problem(rng: Random) -> Problem:
    """Solve a story of one or two operations."""
    name, other = rng.sample(NAMES, 2)
    kind = rng.choice([_trade, _boxes, _together, _lost, _cost])
    return kind(rng, name, other, rng.choice(ITEMS))
