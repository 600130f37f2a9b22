"""JSON with one mistake of syntax, and requests to mend it."""

import json
import re

from training.tasks.json.values import Record, subject
from training.tasks.problem import Problem, as_json, ask
from training.wordings import Draw

FIX = (
    "~[Fix|Correct|Repair|Mend] [this|this JSON|the JSON|this broken JSON|this invalid JSON]: "
    "{json}",
    "~[Fix|Correct|Repair|Mend] {json}",
    "~Make [this|this JSON|it] valid[ JSON|]: {json}",
    "~Make {json} valid JSON.",
    "{json} [Fix|Correct|Repair] [this|this JSON|it|the JSON].",
    "{json}\n[Fix it|Fix the JSON|Valid JSON|Corrected JSON|Fixed JSON|Fix this JSON]",
    "[Fix JSON|Fix the JSON|Broken JSON|Invalid JSON|Repair JSON][:| -] {json}",
    "[This|The following|My] JSON is [broken|invalid|wrong|not valid]. [Fix it|Correct it]: {json}",
    "[What is|What would be] the [correct|valid|fixed] [JSON|version|form] of {json}?",
    "~[Fix|Correct] the [error|mistake|syntax error|syntax|bug] in [this JSON|this]: {json}",
    "There is [an error|a mistake|a bug] in {json}. [Fix it|Correct it].",
    "~Write [this|the following] as [valid|correct|proper] JSON: {json}",
    "~[Turn|Convert|Change] {json} into valid JSON.",
    "~[Turn|Convert|Change] this into valid JSON: {json}",
    "[Input|Broken|Wrong]: {json}\n[Fixed|Valid|Correct|Right]:",
    "My JSON [does not|doesn't|won't] parse[. Fix it|]: {json}",
    "[Why is this invalid?|What is wrong here?] Fix it: {json}",
    "[I get a syntax error|The parser fails]. [Fix|Correct] [this|my JSON]: {json}",
    "fix_json({json})",
    "~Repair the [syntax|JSON syntax]: {json}",
    "{json} is [not valid|invalid|broken|wrong]. [Fix it|Correct it|What is right?]",
    "How [should|would] {json} be written [correctly|as valid JSON]?",
    "~Rewrite [this|this text|the following] so that it is valid JSON: {json}",
    "~Clean up [this JSON|this]: {json}",
    "{json} -> valid JSON",
    "[I need|I want] [a valid version|a corrected version] of this JSON: {json}",
)


def _text(facts: Record) -> str:
    return json.dumps(facts, ensure_ascii=False)


def _mistakes(facts: Record) -> list[str]:
    """The ways in which people write an object wrongly; each leaves no doubt of what is meant."""
    text = _text(facts)
    found = [
        text[:-1] + ",}",
        text[:-1] + ", }",
        text[:-1],
        text[:-1],
        text[1:],
        re.sub(r'"(\w+)": ', r"\1: ", text),
        re.sub(r'"(\w+)": ', r"\1: ", text, count=1),
        re.sub(r'"(\w+)": ', r'"\1: ', text, count=1),
        re.sub(r'"(\w+)": ', r'\1": ', text, count=1),
        re.sub(r'"(\w+)": ', r'"\1" ', text, count=1),
        re.sub(r'"(\w+)": ', r'"\1" = ', text),
        text.replace('"', "'"),
        text + "}",
        re.sub(r'": "([^"]*)"', r'": \1', text, count=1),
        re.sub(r'": "([^"]*)"', r'": "\1', text, count=1),
        re.sub(r'": "([^"]*)"', r'": \1"', text, count=1),
        re.sub(r', "', ' "', text, count=1),
        re.sub(r', "', '; "', text),
        text.replace(": true", ": True").replace(": false", ": False").replace(": null", ": None"),
        text.replace("[", "(").replace("]", ")"),
        re.sub(r"\]", "", text, count=1),
        f"[{text[1:-1]}]" if len(facts) > 1 else text,
    ]
    return [each for each in found if each != text]


def broken(draw: Draw, facts: Record) -> str:
    """The JSON of an object with one kind of mistake."""
    while True:
        text = draw.pick(_mistakes(facts))
        try:
            json.loads(text)
        except ValueError:
            return text


def fix_json(draw: Draw) -> Problem:
    """Mend a mistake of syntax."""
    facts = subject(draw)
    request = draw.say(FIX, json=broken(draw, facts))
    answer = as_json(facts)
    return Problem("json_fix", (f"json:{answer}",), ask(request), answer, "json")
