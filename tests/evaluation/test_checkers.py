"""Checkers accept right answers and nothing else."""

import json
import os
import select
from pathlib import Path

import pytest

from unmask.evaluation import checkers
from unmask.evaluation.checkers import check_all, check_python

STORY = (
    "Leo was a happy goat who lived near a park. One day Leo found an orange book in the grass. "
    "Then Leo met a dog named Tom. Leo shared the book with Tom. Leo was very happy."
)
LOST = (
    "Once upon a time there was a shy fox named Mia. Mia lived in a forest. One morning Mia lost a "
    'red kite. An owl named Tom came by and said, "Can I help you?" They looked everywhere and '
    "found the kite under a tree. Mia and Tom became good friends."
)
PARTS = {
    "name": "Mia", "animal": "fox", "trait": "shy", "place": "forest", "event": "lost",
    "color": "red", "thing": "kite", "friend": "Tom", "other": "owl",
}  # fmt: skip
PLAYED = LOST.replace("One morning Mia lost a red", "Every day Mia played with a red")
WANTED = json.dumps({"name": "Leo", "animal": "goat"})
ADD = json.dumps([["f(1)", "3"], ["f(-2)", "0"]])


@pytest.mark.parametrize(
    ("checker", "answer", "reference", "right"),
    [
        ("exact", " a b ", "a b", True),
        ("exact", "a  b", "a b", False),
        ("final", "7+0=7, so 7 + 0 = 7", "7 + 0 = 7", True),
        ("final", "7 + 0 = 7", "7 + 0 = 7", True),
        ("final", "17 + 0 = 7", "7 + 0 = 7", False),
        ("final", "7 + 0 = 7, or 8", "7 + 0 = 7", False),
        ("final", "So it is -5", "5", False),
        ("final", "5 - 10 = -5", "-5", True),
        ("final", "7.5", "5", False),
        ("final", "12,500", "500", False),
        ("final", "3/5", "5", False),
        ("final", "Answer: $5", "5", True),
        ("final", "10 - 5 =5", "5", True),
        ("final", "It is snow-white", "white", True),
        ("json", 'Here it is:\n```json\n{"a": 2}\n```', '{"a": 2}', True),
        ("json", '```\n{"a": 2}\n```\n', '{"a": 3}', False),
        ("json", '{"a": "```"}', '{"a": "```"}', True),
        ("final", "concat", "cat", False),
        ("json", '{"b": 1, "a": 2}', '{"a": 2, "b": 1}', True),
        ("json", '{"a": 2}', '{"a": 3}', False),
        ("json", '{"a": 2', '{"a": 2}', False),
        ("json", '{"a": 2.0, "b": [true]}', '{"a": 2, "b": [true]}', True),
        ("json", '{"a": 1}', '{"a": true}', False),
        ("json", "[0, 1]", "[false, 1]", False),
        ("json", "[1]", "[1, 2]", False),
        ("json", "[" * 9999, "[]", False),
        ("story", STORY, WANTED, True),
        ("story", STORY.replace("Leo shared", "Max shared"), WANTED, False),
        ("story", STORY.replace("the book with", "the kite with"), WANTED, False),
        ("story", STORY, json.dumps({"name": "Leo", "animal": "dog"}), False),
        ("story", STORY[:-10], WANTED, False),
        ("story", LOST, json.dumps(PARTS), True),
        *(("story", LOST, json.dumps(PARTS | {part: "cat"}), False) for part in PARTS),
        ("story", PLAYED, json.dumps({"event": "played"}), False),  # nothing is to be found
        (
            "story",
            PLAYED.replace(
                "looked everywhere and found the kite under a tree",
                "played with the kite all day long",
            ),
            '{"event": "played"}',
            True,
        ),
        ("python", "def f(x):\n    return x + 2", ADD, True),
        ("python", "def f(x):\n    return x + 1", ADD, False),
        ("python", "def f(x):\n    return x +", ADD, False),
        ("python", "def f(x):\n    return x + 2\nprint(f(1))", ADD, True),
        ("python", "import sys\nsys.exit(0)", ADD, False),
        ("python", "Sure:\n```python\ndef f(x):\n    return x + 2\n```\nDone.", ADD, True),
        ("python", "import os\nos.system('echo')\ndef f(x):\n    return x + 2", ADD, True),
        ("python", "f = lambda x: len(bytes(2**33)) and x + 2", ADD, False),
        ("python", "f = lambda x: open('a', 'w').write('a' * 2**27) and x + 2", ADD, False),
    ],
)
def test_verdicts(checker: str, answer: str, reference: str, right: bool) -> None:
    assert check_all([(checker, answer, reference)]) == [right]


def test_code_that_hangs_or_crashes_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkers, "SINGLE_TIMEOUT_S", 2.0)
    good = ("def f(x):\n    return x + 2", ADD)
    crash = ("import os\nos._exit(1)", ADD)
    hang = ("while True:\n    pass", ADD)
    pairs = [good, crash, hang, good]
    assert check_python(pairs, timeout_s=2.0) == [True, False, False, True]


def test_processes_that_code_starts_end_with_it(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    shell = f"exec 3> {fifo}; echo; exec sleep 600"
    starts = (
        "import subprocess\n"
        f"child = subprocess.Popen(['sh', '-c', {shell!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "def f(x):\n    return x + 2"
    )
    assert check_python([(starts, ADD)]) == [True]
    hears = select.poll()
    hears.register(end, 0)
    assert hears.poll(60_000) == [(end, select.POLLHUP)], "nothing has it open for writing"
    os.close(end)


@pytest.mark.parametrize("said", ["1", "[]"])
def test_code_that_writes_in_place_of_the_verdicts_fails_alone(said: str) -> None:
    writes = (
        "import os\n"
        "for fd in range(1, 9):\n"
        "    try:\n"
        f"        os.write(fd, b'{said}')\n"
        "    except OSError:\n"
        "        pass\n"
        "os._exit(0)"
    )
    good = ("def f(x):\n    return x + 2", ADD)
    assert check_python([good, (writes, ADD)]) == [True, False]


def test_files_that_code_writes_are_gone_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    writes = 'def f(x):\n    open("data.txt", "w").close()\n    return x + 2'
    assert check_python([(writes, ADD)]) == [True]
    assert list(tmp_path.iterdir()) == []
