"""Answer checkers, one function a kind of reference."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

PYTHON_TIMEOUT_S = 60.0  # of a batch
SINGLE_TIMEOUT_S = 5.0
MEMORY_BYTES, FILE_BYTES = 2**32, 2**26  # of all code of a batch, of each file that it writes

_FENCED = re.compile(r"^```[^\n`]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
# The end of a text and the start of the next one that are parts of a word or of a number.
_TORN = re.compile(r"(?:[^\W_].|(?:\d[.,:/]|(?<![^\W_])[-\u2212])\d)\Z", re.DOTALL)

# Run in a separate interpreter: each source in a fresh namespace, values compared by repr. Answers
# and what they start may print: stdout has the verdicts alone. Threads of theirs end with it.
_HARNESS = f"""
import json, os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_BYTES}, {FILE_BYTES}))
verdicts = []
verdicts_to = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for source, cases in json.load(sys.stdin):
    try:
        scope = dict(__builtins__=__builtins__)
        exec(source, scope)
        verdicts.append(all(repr(eval(call, scope)) == value for call, value in cases))
    except BaseException:
        verdicts.append(False)
json.dump(verdicts, verdicts_to)
verdicts_to.close()
os._exit(0)
"""


def check_exact(answer: str, reference: str) -> bool:
    """True if the texts are equal, ignoring surrounding whitespace."""
    return answer.strip() == reference.strip()


def check_final(answer: str, reference: str) -> bool:
    """True if the answer ends with the reference, after any working; -5 and 1.5 are not 5."""
    answer, reference = answer.strip(), reference.strip()
    before = answer.removesuffix(reference)
    return answer.endswith(reference) and not (before and _TORN.search(before + reference[:1]))


def check_json(answer: str, reference: str) -> bool:
    """True if both are JSON of equal value; true is not 1. The answer may be in a code fence."""
    try:
        return _is_same(json.loads(_unfenced(answer)), json.loads(reference))
    except (ValueError, RecursionError):  # the latter of "[[[[..."
        return False


def _unfenced(answer: str) -> str:
    """The text in an answer's first code fence; all of one that has none."""
    found = _FENCED.search(answer)
    return found[1] if found else answer


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_is_same(value[k], other[k]) for k in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_is_same, value, other))
    return isinstance(value, bool) is isinstance(other, bool) and bool(value == other)


def check_story(answer: str, reference: str) -> bool:
    """True for a complete, consistent story that has all the requested parts.

    Parts are the name, animal, trait and place of the hero, the event, the color and thing, and
    the friend's name and animal (`other`).
    """
    story = answer.strip()
    opening = re.match(
        r"(?:Once upon a time there was an? (?P<trait>\w+) (?P<animal>\w+) named (?P<name>\w+)\. "
        r"(?P=name) lived in an? (?P<place>\w+)\."
        r"|(?P<name2>\w+) was an? (?P<trait2>\w+) (?P<animal2>\w+) who lived near an? "
        r"(?P<place2>\w+)\.) ",
        story,
    )
    if opening is None:
        return False
    groups = opening.groupdict()
    told = {key: groups[key] or groups[f"{key}2"] for key in ("name", "animal", "trait", "place")}
    name = re.escape(told["name"])
    event = re.match(
        rf"(?:One day {name} (?P<found>found)|One morning {name} (?P<lost>lost)"
        rf"|Every day {name} (?P<played>played) with)"
        r" an? (?P<color>\w+) (?P<thing>\w+)(?: in the grass)?\. ",
        rest := story[opening.end() :],
    )
    if event is None:
        return False
    told |= {"color": event["color"], "thing": event["thing"]}
    told["event"] = event["found"] or event["lost"] or event["played"]
    meeting = re.match(
        r"(?:An? (?P<other>\w+) named (?P<friend>\w+) came by and said, "
        r'"Can I help you\?"'
        rf"|Then {name} met an? (?P<other2>\w+) named (?P<friend2>\w+)\.) ",
        rest := rest[event.end() :],
    )
    if meeting is None:
        return False
    told["friend"] = meeting["friend"] or meeting["friend2"]
    told["other"] = meeting["other"] or meeting["other2"]
    wanted: Mapping[str, str] = json.loads(reference)
    if any(told.get(key) != value for key, value in wanted.items()):
        return False
    hero, friend, thing = told["name"], told["friend"], told["thing"]
    together = (
        [f"They looked everywhere and found the {thing} under a tree. "]
        if event["lost"]
        else [
            f"They played with the {thing} all day long. ",
            f"{hero} shared the {thing} with {friend}. ",
        ]
    )
    endings = (
        f"{hero} and {friend} became good friends.",
        f"{hero} was very happy.",
        f"From that day on {hero} and {friend} were friends.",
    )
    rest = rest[meeting.end() :]
    return any(rest == middle + end for middle in together for end in endings)


def check_python(
    pairs: Sequence[tuple[str, str]], timeout_s: float = PYTHON_TIMEOUT_S
) -> list[bool]:
    """Run each source, which may be in a code fence, and compare calls with their expected `repr`.

    References are JSON lists of [expression, repr]. A batch that fails or times out is run again
    one by one. Time, memory and files have limits, but this is no sandbox.
    """
    work = [[_unfenced(source), json.loads(reference)] for source, reference in pairs]
    try:
        return _run_harness(work, timeout_s if len(pairs) > 1 else SINGLE_TIMEOUT_S)
    except (subprocess.SubprocessError, ValueError):
        if len(pairs) <= 1:
            return [False] * len(pairs)
        return [check_python([pair])[0] for pair in pairs]


def _run_harness(work: Sequence[Any], timeout_s: float) -> list[bool]:
    """Verdicts of an isolated interpreter, with which the processes that answers start end."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,  # answers write files
        subprocess.Popen(
            [sys.executable, "-I", "-c", _HARNESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            start_new_session=True,
        ) as child,
    ):
        try:
            said, _ = child.communicate(json.dumps(work), timeout_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    verdicts = json.loads(said)
    if not isinstance(verdicts, list) or len(verdicts) != len(work):
        raise ValueError("an answer wrote in place of the verdicts")
    return [verdict is True for verdict in verdicts]


_TEXT_CHECKERS: Mapping[str, Callable[[str, str], bool]] = {
    "exact": check_exact,
    "final": check_final,
    "json": check_json,
    "story": check_story,
}


def check_reference(checker: str, reference: str) -> None:
    """Raise `ValueError` for a checker that is not there, and a reference that it cannot read."""
    if checker != "python" and checker not in _TEXT_CHECKERS:
        raise ValueError(f"checker must be {', '.join(_TEXT_CHECKERS)} or python, got {checker!r}")
    if checker == "final" and not reference.strip():
        raise ValueError("the reference is empty, with which every answer ends")
    if checker not in ("json", "story", "python"):
        return
    try:
        value = json.loads(reference)
    except ValueError as error:
        raise ValueError(f"the reference is not JSON: {error}") from None
    if checker == "story" and not isinstance(value, dict):
        raise ValueError("the reference must be an object")
    if checker == "python":
        cases = value if isinstance(value, list) and value else [None]
        for case in cases:
            match case:
                case [str(), str()]:
                    continue
            raise ValueError("the reference must be a list of [expression, repr]")


def check_all(items: Sequence[tuple[str, str, str]]) -> list[bool]:
    """Verdicts on (checker, answer, reference) items; code runs in one process."""
    verdicts: list[Any] = [None] * len(items)
    code = [i for i, (checker, _, _) in enumerate(items) if checker == "python"]
    if code:
        results = check_python([items[i][1:] for i in code])
        for i, verdict in zip(code, results, strict=True):
            verdicts[i] = verdict
    for i, (checker, answer, reference) in enumerate(items):
        if checker != "python":
            verdicts[i] = _TEXT_CHECKERS[checker](answer, reference)
    return verdicts
