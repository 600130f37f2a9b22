"""Requests in other words: what may change, and that nothing held out comes of it."""

from random import Random

from training.rewording import LIGHT, TABLE, reworded
from training.tasks.numbers.arithmetic import DIVISIONS
from training.tasks.text.edits import REMOVALS
from training.wordings import Draw, held_out_texts, plain, trained_texts


def test_slots_and_unknown_words_stay() -> None:
    rng = Random(0)
    seen = {reworded(rng, "Please remove {old} from the vase: {text}") for _ in range(300)}
    assert all("{old} from" in text and text.endswith("vase: {text}") for text in seen)
    assert len(seen) > 10
    assert any("delete {old}" in text for text in seen)


def test_a_word_of_a_capital_is_replaced_by_one() -> None:
    rng = Random(1)
    seen = {reworded(rng, "Delete {old}").split()[0] for _ in range(100)}
    assert {"Delete", "Remove", "Erase"} <= seen
    assert all(word[0].isupper() for word in seen)


def test_words_of_two_meanings_keep_theirs() -> None:
    rng = Random(2)
    sums = {reworded(rng, "Sum up {a} and {b}") for _ in range(100)}
    assert sums == {"Sum up {a} and {b}", "Sum up {a} & {b}"}
    rows = {reworded(rng, "put {value} in all rows") for _ in range(100)}
    assert rows == {"put {value} in all rows", "put {value} in rows"}
    totals = {reworded(rng, "How many in all?") for _ in range(100)}
    assert "How many in total?" in totals


def test_no_word_is_replaced_by_itself() -> None:
    assert not any(word in others for word, others in TABLE.items())
    assert all(word == word.lower() for word in (*TABLE, *LIGHT))


def test_training_says_more_than_its_templates_and_never_what_is_held_out() -> None:
    for templates in (REMOVALS, DIVISIONS):
        draw = Draw(Random(3), rewords=True)
        said = {
            plain(draw.otherwise(text, templates))
            for text in ("Remove {old} from: {text}", "What is {a} divided by {b}?") * 300
        }
        assert said - trained_texts(templates)
        assert not said & held_out_texts(templates)


def test_suites_keep_to_their_templates() -> None:
    draw = Draw(Random(4))
    assert {draw.otherwise("Remove {old}", REMOVALS) for _ in range(100)} == {"Remove {old}"}
