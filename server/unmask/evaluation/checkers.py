"""Answer checkers, one function a kind of reference."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

PYTHON_TIMEOUT_S = 60.0  # of a batch
SINGLE_TIMEOUT_S = 5.0

# Run in a separate interpreter: each source in a fresh namespace, values compared by repr. Answers
# may print: stdout has the verdicts alone.
_HARNESS = """
import json, os, sys
verdicts = []
verdicts_to, sys.stdout = sys.stdout, open(os.devnull, "w")
for source, cases in json.load(sys.stdin):
    try:
        scope = {"__builtins__": __builtins__}
        exec(source, scope)
        verdicts.append(all(repr(eval(call, scope)) == value for call, value in cases))
    except BaseException:
        verdicts.append(False)
json.dump(verdicts, verdicts_to)
"""


def check_exact(answer: str, reference: str) -> bool:
    """True if the texts are equal, ignoring surrounding whitespace."""
    return answer.strip() == reference.strip()


def check_final(answer: str, reference: str) -> bool:
    """True if the answer ends with the reference, after any working."""
    answer, reference = answer.strip(), reference.strip()
    before = answer.removesuffix(reference)
    return answer.endswith(reference) and not (before and before[-1].isalnum())


def check_json(answer: str, reference: str) -> bool:
    """True if both are JSON of equal value; true is not 1."""
    try:
        return _is_same(json.loads(answer), json.loads(reference))
    except (ValueError, RecursionError):  # the latter of "[[[[..."
        return False


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
    """Run each source in an isolated interpreter and compare calls with their expected `repr`.

    References are JSON lists of [expression, repr]. A batch that fails or times out is run again
    one by one.
    """
    work = json.dumps([[source, json.loads(reference)] for source, reference in pairs])
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _HARNESS],
                input=work,
                capture_output=True,
                text=True,
                timeout=timeout_s if len(pairs) > 1 else SINGLE_TIMEOUT_S,
                check=True,
                cwd=folder,  # answers may write files
            )
        verdicts: list[bool] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        if len(pairs) <= 1:
            return [False] * len(pairs)
        return [check_python([pair])[0] for pair in pairs]
    return verdicts


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
