"""Comparisons of two numbers: whole ones, negative ones, and decimals."""

from training.tasks.numbers.arithmetic import LARGEST_TINY, draw_number
from training.tasks.numbers.numbers import spoken
from training.tasks.problem import Problem, ask
from training.wordings import Draw

LARGER = (
    "[Which|What|Which one|Which number] is [larger|bigger|greater|higher|more][,|:|] {a} or {b}?",
    "[Which|What] [number |]is [the larger|the bigger|the greater|the higher] one: {a} or {b}?",
    "[What's|whats|Which's|which is] [bigger|larger|more][:|,|] {a} or {b}[?|]",
    "{a} or {b}[,|:| -] which is [larger|bigger|greater|more]?",
    "{a} [or|vs|vs.|versus] {b}[?|:] [Which is|What's] [bigger|larger|greater|higher]?",
    "~[Tell me|Say] [which|which number|which one] is [larger|bigger|greater], {a} or {b}.",
    "~[Pick|Choose|Give me|Name|Find] the [larger|bigger|greater|higher] [number|one] "
    "of {a} and {b}.",
    "[The larger|Larger|The bigger|Bigger|The greater] of {a} and {b}[?|]",
    "[Bigger|Larger|Greater|Higher|More]: {a} or {b}?",
    "[Of|Between] {a} and {b}, which is [larger|bigger|greater|more]?",
    "[What is|What's] the [larger|bigger|greater|higher] [number|one|value] of {a} and {b}?",
    "[What is|What's] the maximum of {a} and {b}?",
    "max({a}, {b})",
    "Is {a} or {b} [larger|bigger|greater|higher|more]?",
    "Who [wins|is bigger|is larger], {a} or {b}?",
    "Which [of the two |of these |]is [larger|bigger|greater]: {a} [or|,] {b}?",
    "[Which number|Which|What] is more than the other, {a} or {b}?",
    "I have {a} and {b}. Which [is larger|is bigger|is more|is greater]?",
    "Which would be [bigger|larger|more]: {a} or {b}?",
    "{a} and {b}: [the bigger one|the larger one|which one is bigger][?|]",
)
SMALLER = (
    "[Which|What|Which one|Which number] is [smaller|less|lower|lesser][,|:|] {a} or {b}?",
    "[Which|What] [number |]is the [smaller|lower|lesser] one: {a} or {b}?",
    "[What's|whats|Which's|which is] [smaller|less|lower][:|,|] {a} or {b}[?|]",
    "{a} or {b}[,|:| -] which is [smaller|less|lower]?",
    "{a} [or|vs|vs.|versus] {b}[?|:] [Which is|What's] [smaller|less|lower]?",
    "~[Tell me|Say] [which|which number|which one] is [smaller|less], {a} or {b}.",
    "~[Pick|Choose|Give me|Name|Find] the [smaller|lower|lesser] [number|one] of {a} and {b}.",
    "[The smaller|Smaller|The lower|Lower] of {a} and {b}[?|]",
    "[Smaller|Less|Lower]: {a} or {b}?",
    "[Of|Between] {a} and {b}, which is [smaller|less|lower]?",
    "[What is|What's] the [smaller|lower|lesser] [number|one|value] of {a} and {b}?",
    "[What is|What's] the minimum of {a} and {b}?",
    "min({a}, {b})",
    "Is {a} or {b} [smaller|less|lower]?",
    "Which [of the two |of these |]is [smaller|less]: {a} [or|,] {b}?",
    "I have {a} and {b}. Which [is smaller|is less|is lower]?",
    "Which would be [smaller|less]: {a} or {b}?",
    "{a} and {b}: [the smaller one|which one is smaller|which is less][?|]",
)
IS_LARGER = (
    "Is {a} larger than {b}?",
    "Is {a} bigger than {b}?",
    "Is {a} [greater|more|higher] than {b}?",
    "Is {a} > {b}[ true|]?",
    "{a} > {b}[?| true or false?|: true?| - right?]",
    "{a}>{b}?",
    "[True or false|Yes or no|True|Correct]: {a} [is greater than|is larger than|is bigger than|>] "
    "{b}?",
    "[Is it true|Is it right|Is it correct] that {a} is [larger|greater|bigger|more] than {b}?",
    "Would you say {a} is [larger|bigger|more] than {b}?",
    "{a} is [larger|bigger|greater|more] than {b}[, right|, true or false|, correct|]?",
    "Does {a} exceed {b}?",
    "~[Check|Check if|Tell me if|Say if] {a} is [larger|bigger|greater] than {b}.",
    "[Which is right: is|So is|Really, is] {a} [more|bigger|larger] than {b}[ or not|]?",
    "Is {a} [a larger|a bigger|a greater|a higher] number than {b}?",
)
IS_SMALLER = (
    "Is {a} [smaller|less|lower] than {b}?",
    "Is {a} < {b}[ true|]?",
    "{a} < {b}[?| true or false?|: true?| - right?]",
    "{a}<{b}?",
    "[True or false|Yes or no|True|Correct]: {a} [is less than|is smaller than|is lower than|<] "
    "{b}?",
    "[Is it true|Is it right|Is it correct] that {a} is [smaller|less|lower] than {b}?",
    "Would you say {a} is [smaller|less] than {b}?",
    "{a} is [smaller|less|lower] than {b}[, right|, true or false|, correct|, yes or no|]?",
    "Is {b} more than {a} or not?",
    "~[Check|Check if|Tell me if|Say if] {a} is [smaller|less] than {b}.",
    "[So is|Really, is] {a} [less|smaller] than {b}[ or not|]?",
    "Is {a} a [smaller|lower] number than {b}?",
)
IS_EQUAL = (
    "Is {a} [equal to|the same as|as much as|as large as|the same number as] {b}?",
    "Are {a} and {b} [equal|the same|the same number|identical]?",
    "{a} [=|==] {b}[?| true or false?|: true?]",
    "Is {a} [=|==] {b}?",
    "Does {a} equal {b}?",
    "Do {a} and {b} [match|have the same value]?",
    "[True or false|Yes or no]: {a} [is equal to|equals|=|is the same as] {b}[?|]",
    "[Is it true|Is it right] that {a} [equals|is equal to|is] {b}?",
    "~[Check|Check if|Tell me if] {a} and {b} are [equal|the same].",
    "{a} and {b}: [equal|the same|equal or not]?",
)
COMPARE = (
    "~Compare {a} [and|with|to] {b}.",
    "~Compare the numbers {a} and {b}[.|]",
    "[Comparison|Compare]: {a}, {b}",
    "Is {a} [larger or smaller|bigger or smaller|more or less|greater or less] than {b}?",
    "[How do|How would] {a} and {b} compare?",
    "How does {a} compare [to|with] {b}?",
    "{a} [compared to|compared with|in comparison to] {b}[?|]",
    "[Larger, smaller or equal|Bigger or smaller|Greater or less|More or less]: {a} and {b}?",
    "~[Tell me|Say] [if|whether] {a} is [larger or smaller|more or less] than {b}.",
    "[What is|What's] the relation [between|of] {a} and {b}?",
    "{a} [is|is it] [larger or smaller|bigger or smaller|more or less] than {b}?",
    "[cmp|compare]({a}, {b})",
)
SIGNS = (
    "~[Put|Write|Insert|Place|Fill in] [<, > or =|<, = or >|the right sign|the correct sign]: "
    "{a} [_|?|...|__|_ ] {b}",
    "{a} [_|?|...|__|( )|☐] {b} [(<, > or =)|(< or >)|- which sign|Fill in < or >.|< or > ?]",
    "[< or >|<, > or =|> or <][?|:] {a} [_|?|...|and] {b}",
    "[Which|What] sign [goes|belongs|comes|fits] between {a} and {b}[, < or >|: <, > or =|]?",
    "~[Fill in|Complete]: {a} [_|?|...] {b} [with < or >|with <, > or =|(< or >)].",
    "~[Use|Choose] [< or >|<, > or =|a sign] [to compare|for] {a} and {b}.",
    "~Compare with [a sign|< or >|<, > or =|symbols]: {a} [and|_|?] {b}",
    "[Larger or smaller|Greater or less] sign: {a} [_|?|...] {b}",
    "{a} is [< or >|<, > or =] {b}?",
    "[Is it|Would it be] {a} < {b} or {a} > {b}?",
    "~[Write|Give] the [inequality|comparison sign|relation] [for|between|of] {a} and {b}.",
)
WORDS = {"<": "smaller than", ">": "larger than", "=": "equal to"}


def _shown(hundredths: int, places: int) -> str:
    text = f"{hundredths / 100:.2f}"
    return text if places == 2 else text[:-1]


def draw_pair(draw: Draw) -> tuple[float, float, str, str]:
    """Two numbers with their texts."""
    rng, kind = draw.rng, draw.rng.random()
    if kind < 0.1:
        # Decimals such as 9.9 and 9.11, of which the shorter one is often larger.
        whole = rng.randint(0, 12) * 100
        a, b = whole + rng.randint(1, 9) * 10, whole + rng.randint(1, 99)
        if draw.chance(0.3):
            b = rng.randint(0, 12) * 100 + rng.randint(1, 9) * 10
        x, y = _shown(a, 1), _shown(b, 2 if b % 10 else 1)
        pairs = [(a / 100, x), (b / 100, y)]
        rng.shuffle(pairs)
        return pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1]
    if kind < 0.15:
        upper = draw.pick((10, 50))
        c, d = rng.randint(-upper, -1), rng.randint(-upper, upper)
        return c, d, str(c), str(d)
    if kind < 0.5:
        c, d = rng.randint(0, LARGEST_TINY), rng.randint(0, LARGEST_TINY)
    elif kind < 0.7:
        # Numbers that share digits have to be read to the end.
        c = rng.randint(10, draw.pick((99, 999, 9999)))
        digits = list(str(c))
        at = rng.randrange(1, len(digits))
        digits[at] = str(rng.randint(0, 9))
        d = int("".join(draw.pick((digits, rng.sample(digits, len(digits))))))
    elif kind < 0.92:
        c, d = draw_number(rng), draw_number(rng)
    else:
        c, d = rng.randint(1000, 99999), rng.randint(1000, draw.pick((9999, 99999)))
    if max(c, d) <= 100 and draw.chance(0.08):
        return c, d, spoken(draw, c), spoken(draw, d)
    return c, d, str(c), str(d)


def _plain(value: float) -> str:
    return f"{value:g}" if value != int(value) else str(int(value))


def comparison(draw: Draw) -> Problem:
    """Compare two numbers: name the larger or the smaller, say yes or no, or write a sign."""
    a, b, x, y = draw_pair(draw)
    kind = draw.rng.random()
    templates: tuple[str, ...]
    if a == b and (kind < 0.85 or draw.chance(0.7)):
        b += 1
        y = _plain(b)
    first, second = (_plain(a), _plain(b))
    sign = "<" if a < b else ">" if a > b else "="
    relation = f"{first} is {WORDS[sign]} {second}."
    if kind < 0.3:
        templates, answer = LARGER, f"{_plain(max(a, b))} is larger than {_plain(min(a, b))}."
    elif kind < 0.5:
        templates, answer = SMALLER, f"{_plain(min(a, b))} is smaller than {_plain(max(a, b))}."
    elif kind < 0.66:
        templates, answer = IS_LARGER, f"{'Yes' if sign == '>' else 'No'}, {relation}"
    elif kind < 0.76:
        templates, answer = IS_SMALLER, f"{'Yes' if sign == '<' else 'No'}, {relation}"
    elif kind < 0.85:
        templates, answer = COMPARE, relation
    elif kind < 0.92:
        templates, answer = SIGNS, f"{first} {sign} {second}"
    else:
        templates, answer = IS_EQUAL, f"{'Yes' if sign == '=' else 'No'}, {relation}"
    low, high = sorted((a, b))
    key = f"cmp:{_plain(low)}:{_plain(high)}"
    return Problem("cmp", (key,), ask(draw.say(templates, a=x, b=y)), answer)
