"""Texts said again, once or several times, and brackets closed."""

from training.tasks.problem import PRIMITIVE, Problem, ask
from training.tasks.text.layouts import (
    Kinds,
    any_text,
    cardinal,
    exact,
    one_kind,
    quoted,
    say_text,
    set_off,
    times,
)
from training.tasks.text.sentences import typed_sentence
from training.tasks.words import LETTERS
from training.wordings import Draw

BRACKETS = dict(zip("([{<", ")]}>", strict=True))
GREETINGS = (
    *("hello", "hi", "hello world", "hey", "good morning", "good night", "goodbye", "bye", "yes"),
    *("no", "ok", "thanks", "thank you", "cheese", "cheers", "welcome", "hello there", "hi there"),
    *("I am a robot", "I am fine", "test", "testing", "this works", "I love you", "abc", "123"),
    *("1 2 3", "ping", "pong", "foo bar", "one two three", "happy birthday", "please", "wow"),
)
COPIES = (
    "~[Repeat|Repeat this|Repeat after me|Repeat the following|Repeat what I say|Repeat it]: "
    "{text}",
    "~Repeat after me[,|] {text}",
    "~Repeat {text}[.|]",
    "~Say {text}[.|]",
    "~Say [exactly this|exactly|this|the following|these words|the words]: {text}",
    "~Say [just|only|exactly] {text}[.|]",
    "~[Echo|Copy|Print|Output|Type|Write][| this| exactly this| the following| this text]: {text}",
    "~Copy [this|this text|this sentence|the text|the following text]: {text}",
    "~[Print|Output|Type|Echo|Write] {text}[.|]",
    "~[Write|Type|Output] [exactly|only|just][:|] {text}",
    "~[Answer|Reply|Respond] with [exactly|only|just|the text|the words|nothing but]: {text}",
    "~[Answer|Reply|Respond] [only |just |]with {text}[.|]",
    "[echo|print|say] {text}",
    "[print|echo|say]({text})",
    "[Echo|Copy|Parrot|Repetition|Repeat exactly]: {text}",
    "[I say|If I say] {text}, [you say the same|repeat it|and you repeat it].",
    "{text}. [Repeat that|Say that again|Repeat this|Say it back to me|Now you say it][.|]",
    "~Write [down |out |]the [words|text|following words|following text]: {text}",
    "~Return [this text|the text|this|the input] [unchanged|as it is|without changes]: {text}",
    "[Can you|Could you|Will you] [say|repeat|type] {text}?",
    "[I want to hear|Let me hear] [you say|you repeat] {text}.",
    "~[Display|Show][| the text| this| me]: {text}",
    "~Give [this|the text|the following] back to me[ word for word|]: {text}",
    "~Send me [back |]the [text|words|message]: {text}",
    "[Output|My input|Text to copy|Copy exactly]: {text}",
)
REPEATS = (
    "~[Repeat|Say|Write|Print|Type|Output] {text} {times}[.|]",
    "~[Repeat|Say|Write|Print|Type|Output] the word {text} {times}[.|]",
    "~[Repeat|Say|Write|Print|Type] [this|the following|this word] {times}: {text}",
    "~[Say|Write|Repeat|Type] {times}[:|] {text}",
    "{text} {times}[.|]",
    "{text} [repeated|written|said] {times}[?|]",
    "[What is|What's|whats] {text} repeated {times}?",
    "~Give me {text} {times}[.|]",
    "~[Print|Write|Give|Produce] {number} [copies|repetitions] of {text}[.|]",
    "[I want|I need] {text} {times}[.|]",
    "{number} [copies of|repetitions of|times the word] {text}",
    "{number} times {text}",
    "~Make {number} copies of [the word |]{text}[.|]",
    "[Can you|Could you] [say|repeat|write] {text} {times}?",
    "~[Copy|Echo] {text} {times}[.|]",
    "{text}. [Repeat|Say|Write] [that|it|this] {times}[.|]",
    "~Repeat the [string|text|word] {text} exactly {times}[.|]",
    "~Write {text} {times} [in a row|in one line|next to each other|after each other][.|]",
    "~Use the word {text} {times} and nothing else.",
    "~Write me a line with {times} {text}[.|]",
    "[Repeat|Times|Copies] {number}: {text}",
)
CLOSINGS = (
    "~Close the [brackets|parentheses|open brackets|parens]: {text}",
    "~Close [all|every one of|all of] [the |these |]brackets: {text}",
    "~Close all [open |]brackets[:| in] {text}",
    "~Close {text}[|.]",
    "~Balance [the brackets|these brackets|the parentheses|this]: {text}",
    "~[Complete|Finish] [the|these] [brackets|parentheses|bracket sequence]: {text}",
    "[What|Which brackets] [closes|close|is needed to close|is missing in|balances] {text}?",
    "[Which|What] [closing brackets|brackets] [are missing|are needed|do I need|come next]: {text}",
    "{text} - [close the brackets|which brackets are missing|close it|balance it]",
    "{text}\n[Close the brackets.|Which brackets are missing?|Complete the brackets.]",
    "~[Write|Give|Add|Give me] the [missing|closing|matching] brackets: {text}",
    "~Add the [closing|missing] [brackets|parentheses] [to|for|of] {text}",
    "[Closing brackets|Brackets|Missing brackets|Close|Matching brackets]: {text}",
    "[How|With what] [do|can|should] I close {text}?",
    "[The brackets|My brackets] {text} are [open|not closed]. Close them.",
    "~Find the [matching|closing|missing] brackets [for|of] {text}",
    "~Match the brackets: {text}",
    "~Say [what|which brackets] must follow to close {text}",
)
GREETED = (
    "~[Say|Write] {hello} to {name}[.|]",
    "~[Tell|Wish] {name} {hello}[.|]",
    "{hello} to {name}[.|]",
    "~Say {hello} to my [friend|brother|sister|teacher|neighbor|mom|dog|cat] {name}[.|]",
    "[Can you|Could you|Will you] say {hello} to {name}?",
    "[I want you to|You should] say {hello} to {name}[.|]",
    "My name is {name}. [Say {hello} to me.|Say {hello}.]",
    "[I am|I'm] {name}. [Say {hello} to me.|Say {hello}.]",
    "This is {name}. Say {hello}[ to them|][.|]",
    "~Greet {name} with {hello}[.|]",
    "{name} is here. Say {hello}[.|]",
    "say({hello}, {name})",
)
WISHES = ("hello", "hello", "hi", "hi", "good morning", "good night", "goodbye", "bye", "welcome")
BALANCES = (
    "Are the [brackets|parentheses] [balanced|closed|matched|correct]: {text}",
    "Are the [brackets|parentheses] [in|of] {text} [balanced|closed|matched|correct]?",
    "Is {text} [balanced|a balanced sequence|correctly closed|valid|closed]?",
    "~[Check|Tell me|Find out|Say] [if|whether] the [brackets|parentheses] are [balanced|closed]: "
    "{text}",
    "~[Check|Tell me] [if|whether] {text} is [balanced|closed|valid]",
    "{text} - balanced or not?",
    "{text}\n[Are the brackets balanced?|Is it balanced?|Balanced?]",
    "[Balanced|Balanced or not|Balanced brackets|Valid parentheses]: {text}",
    "Do the [brackets|parentheses] match: {text}",
    "Do all [brackets|parentheses] in {text} have a partner?",
    "[Is every bracket closed|Does every bracket close] in {text}?",
    "is_balanced({text})",
)
ROWS = (
    "~[Print|Write|Draw|Type|Show|Output] {number} {marks}[.|]",
    "~[Print|Write|Draw|Type] {number} {marks} in a row[.|]",
    "~[Print|Write|Draw|Make] a [line|row] [of|with] {number} {marks}[.|]",
    "~Give me {number} {marks}[.|]",
    "{number} {marks}[ in a row|][.|]",
    "[I want|I need] {number} {marks}[.|]",
    "~[Print|Write] the [symbol|character|sign] {mark} {times} without spaces[.|]",
    "~Make a string of {number} {marks}[.|]",
    "[Can you|Could you] [draw|print|write] {number} {marks}?",
    "a [line|row] of {number} {marks}",
    "print('{mark}' * {digits})",
    "'{mark}' * {digits}",
)
ROW_MARKS = {
    "*": ("stars", "asterisks"),
    "-": ("dashes", "hyphens"),
    "#": ("hashes", "hash signs"),
    "=": ("equals signs", "equal signs"),
    ".": ("dots", "points"),
    "x": ("x's", "letters x"),
    "a": ("a's", "letters a"),
    "0": ("zeros", "zeroes"),
    "!": ("exclamation marks", "exclamation points"),
}
JOINTS = (
    (" ", ("",)),
    (", ", (" separated by commas", " with commas", " with commas between")),
    ("", (" without spaces", " with no spaces")),
    ("\n", (" on separate lines", ", each on a new line", ", one per line")),
)


def _copy(draw: Draw) -> Problem:
    if draw.chance(0.15):
        text = draw.slot(GREETINGS)
    elif draw.chance(0.1):
        letters = [draw.pick(LETTERS + "0123456789") for _ in range(draw.rng.randint(3, 8))]
        text = draw.pick(("", " ")).join(letters)
    elif draw.chance(0.2):
        text = " ".join(draw.distinct(draw.rng.randint(3, 8)))
    else:
        text = any_text(draw)
    return exact("copy", text, say_text(draw, COPIES, text), text)


def _repeat(draw: Draw) -> Problem:
    number = draw.pick((2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10))
    kind = draw.rng.random()
    text = draw.word()
    if kind < 0.15:
        text = draw.slot(GREETINGS)
    elif kind < 0.25:
        text = " ".join(draw.distinct(2))
    elif kind < 0.32:
        text = draw.pick((*LETTERS, "ha", "la", "na", "x", "!", "*"))
    elif kind < 0.42:
        text = typed_sentence(draw)
    number = min(number, 4 if len(text) < 20 else 2) if " " in text else number
    joint, phrases = draw.rng.choices(JOINTS, (20, 3, 1, 2))[0]
    shown = quoted(draw, text) if " " not in text else set_off(draw, text)
    count = times(draw, number)
    request = draw.say(
        REPEATS, text=shown, times=f"{count}{draw.pick(phrases)}", number=cardinal(draw, number)
    )
    if " " in text:
        request = request.replace("the word ", "the words ")
    if joint != " " and not any(phrase in request for phrase in phrases):
        joint = " "
    answer = joint.join([text] * number)
    return exact("copy", f"{number}:{text}", request, answer)


def _greet(draw: Draw) -> Problem:
    name, hello = draw.name(), draw.pick((*WISHES, "thank you", "happy birthday", "good evening"))
    request = draw.say(GREETED, name=name, hello=hello)
    return exact("copy", f"greet:{hello}:{name}", request, f"{hello.capitalize()}, {name}!")


def _row(draw: Draw) -> Problem:
    mark, number = draw.pick(tuple(ROW_MARKS)), draw.pick((3, 4, 5, 5, 6, 7, 8, 10, 10, 12))
    request = draw.say(
        ROWS,
        mark=mark,
        marks=draw.pick(ROW_MARKS[mark]),
        number=cardinal(draw, number),
        times=times(draw, number),
        digits=number,
    )
    key = f"{PRIMITIVE}:row:{mark}:{number}"
    return Problem("copy", (key,), ask(request), mark * number)


COPY_KINDS: Kinds = ((_copy, 6), (_repeat, 3), (_greet, 1), (_row, 0.7))


def copy(draw: Draw) -> Problem:
    """Say a text again, once or several times."""
    return one_kind(draw, COPY_KINDS)


def _balanced(draw: Draw) -> Problem:
    is_balanced = draw.chance(0.5)
    kinds = draw.pick(("(", "([", "([{"))
    text = ""
    for _ in range(draw.pick((1, 2, 2, 3, 3, 4))):
        bracket = draw.pick(kinds)
        pair = bracket + BRACKETS[bracket]
        text = pair[0] + text + pair[1] if draw.chance(0.6) else text + pair
    if not is_balanced:
        at = draw.rng.randrange(len(text))
        text = text[:at] + text[at + 1 :]
    shown = draw.pick((" ", "")).join(text)
    answer = f"{'Yes' if is_balanced else 'No'}, the brackets are "
    answer += f"{'' if is_balanced else 'not '}balanced."
    return exact("brack", f"balanced:{text}", draw.say(BALANCES, text=shown), answer)


def close_brackets(draw: Draw) -> Problem:
    """Close every bracket that a sequence leaves open, or say if it leaves any."""
    if draw.chance(0.15):
        return _balanced(draw)
    kinds = draw.pick(("(", "([", "([{", "([{", "([{<"))
    still_open: list[str] = []
    sequence: list[str] = []
    for _ in range(draw.pick((1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10))):
        if still_open and draw.chance(0.3):
            sequence.append(BRACKETS[still_open.pop()])
        else:
            still_open.append(draw.pick(kinds))
            sequence.append(still_open[-1])
    if not still_open:
        still_open.append(draw.pick(kinds))
        sequence.append(still_open[-1])
    space = draw.pick((" ", ""))
    request = draw.say(CLOSINGS, text=space.join(sequence))
    answer = space.join(BRACKETS[bracket] for bracket in reversed(still_open))
    return exact("brack", "".join(sequence), request, answer)
