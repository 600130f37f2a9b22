"""Lists of words or numbers: items picked, dropped, added, found."""

from training.tasks.problem import Problem
from training.tasks.text.layouts import (
    Kinds,
    cardinal,
    exact,
    listed_words,
    one_kind,
    ordinal,
    quoted,
    say_list,
    size,
    worked,
)
from training.tasks.text.list_forms import FORM_KINDS
from training.tasks.text.word_picks import WORD_KINDS
from training.wordings import Draw

PICKS = (
    "[What is|What's|Which is] the {nth} [word|item|element|entry] [of|in] [|this list: |the list ]"
    "{items}?",
    "[What|Which] [word|item|one] [is|comes] {nth} in [|this list: |the list ]{items}?",
    "[What|Which] [word|item|one] [is|comes] {nth}: {items}",
    "[The |]{nth} [word|item|element] of {items}[?|]",
    "~[Give|Give me|Tell me|Name|Find|Say|Show] the {nth} [word|item|element] [of|in|from]: "
    "{items}",
    "~[Give|Give me|Tell me|Name|Find|Say] the {nth} [word|item|element] of {items}[.|]",
    "~[Get|Take|Return|Print|Pick|Choose|Select|Extract] the {nth} [word|item|element|one]: "
    "{items}",
    "~[Get|Take|Return|Pick|Choose|Select] the {nth} [word|item|one] [from|of] {items}[.|]",
    "{items}. [What is|What's|Which is] the {nth} [one|item|word]?",
    "{items}\n[{nth} item?|Which is the {nth} word?|What is the {nth}?]",
    "[List|Items|Words]: {items}. [Give me the {nth} one|Which one is {nth}].",
    "[{nth} word|{nth} item|{nth} element|{nth}]: {items}",
    "Of {items}[,|] [which|what] is the {nth}?",
    "[From|In] [the list |]{items}, [take|pick|choose|give me] the {nth}[ one| item|].",
    "[I have|My list is|Here is a list:] {items}. [What|Which] is the {nth}[ item| one| word]?",
    "Who or what is {nth} in {items}?",
)
PARTS = (
    "[What are|Which are] the {end} {number} [words|items|elements] [of|in] {items}?",
    "[The |]{end} {number} [words|items|elements] of {items}[?|]",
    "~[Give|Give me|Tell me|Name|Show|Show me|List] the {end} {number} [words|items|elements] "
    "[of|in|from]: {items}",
    "~[Give|Give me|Tell me|Name|Show me|List] the {end} {number} [words|items] of {items}[.|]",
    "~[Take|Keep|Keep only|Return|Get|Print|Select|Pick] the {end} {number} "
    "[words|items|elements]: "
    "{items}",
    "~[Take|Keep|Keep only|Return|Get|Select] the {end} {number} [words|items|ones|elements] "
    "[of|from] {items}[.|]",
    "[{end} {number}|{end} {number} items|{end} {number} words]: {items}",
    "{items}. [Give me|Take|What are|Keep|Show] the {end} {number}.",
    "{items}\n[The {end} {number}?|Keep the {end} {number} items.|{end} {number} items?]",
    "[I need|I want|I'd like|gimme] [only |]the {end} {number} [items|words|elements] of {items}.",
    "~Cut [this list|the list] to its {end} {number} [items|elements]: {items}",
    "[From|Of] {items}, [take|give me|keep] the {end} {number}.",
    "[List|Items|Words]: {items}. [Only|Just] the {end} {number}, please.",
)
NEIGHBORS = (
    "[What|Which word|Which item|Which] [comes|is] [right |]{after} {word} in {items}?",
    "[What|Which word|Which item] [comes|is] [right |]{after} {word}: {items}",
    "~[Find|Tell me|Give me|Name] the [word|item|one] {after} {word}: {items}",
    "~[Find|Tell me|Give me|Name] the [word|item] {after} {word} in {items}[.|]",
    "In {items}, [what|which one|which word] [is|comes] {after} {word}?",
    "{items}. [What|Which one] [is|comes] {after} {word}?",
    "[The word|The item|Item|Word] {after} {word} in {items}[?|]",
    "{items}\n[What is {after} {word}?|Which word is {after} {word}?]",
    "[List|Items]: {items}. [What|Which] is {after} {word}?",
    "[Here is|I have] a list: {items}. Which item is {after} {word}?",
    "[Who|What] stands {after} {word} in [the list |]{items}?",
    "[Item {after}|Word {after}|Directly {after}] {word}: {items}",
)
MEMBERS = (
    "Is {word} in [the list |this list: |]{items}?",
    "Is {word} [one of|among|part of] {items}?",
    "Is {word} [in this list|there|in the list|listed|included]: {items}",
    "Does [the list |this list |]{items} [contain|include|have] {word}?",
    "Does [the list|this list] [contain|include|have] {word}: {items}",
    "~[Check|Tell me|Say|Find out] [if|whether] {word} is in {items}[.|]",
    "~[Check|Tell me|Say|Find out] [if|whether] [this list|the list] has {word}: {items}",
    "{items}. Is {word} [there|in it|in the list|among them]?",
    "{items}\n[Is {word} in the list?|Does it contain {word}?]",
    "Can you find {word} in {items}?",
    "Do you see {word} in {items}?",
    "[List|Items|My list]: {items}. Is {word} [in it|on it]?",
    "{word} in ({items})",
    "~[Look|Search] for {word} in {items}[.|]",
    "~Answer yes or no: is {word} in {items}?",
)
POSITIONS = (
    "[At what|In which|In what|At which] [position|place] is {word} in {items}?",
    "[What is|What's|whats] the [position|place] of {word} in {items}?",
    "[What is|What's|whats] the [position|place] of {word}: {items}",
    "~[Find|Give me|Tell me|Say] the [position|place] of {word} in {items}[.|]",
    "~[Find|Give me|Tell me] the [position|place] of {word}: {items}",
    "Where [is|does one find] {word} in [the list |]{items}?",
    "[Which|What] number is {word} in {items}?",
    "{items}. [Where is|What position has|Which number is] {word}?",
    "{items}\n[Where is {word}?|Position of {word}?]",
    "[Position of|Place of|Find] {word}: {items}",
    "[List|Items]: {items}. At which place is {word}?",
    "Where in the list {items} does {word} [come|stand|appear]?",
)
SWAPS = (
    "~[Swap|Exchange|Switch] the first and [the |]last [item|word|element|one][|s]: {items}",
    "~[Swap|Exchange|Switch] the first and [the |]last [item|word|element] [of|in] {items}[.|]",
    "~[Swap|Exchange|Switch] the first [item|word|element] with the last: {items}",
    "{items}. [Swap|Exchange|Switch] the first and [the |]last[.|]",
    "{items}\n[Swap the first and last.|Exchange the first and the last item.]",
    "~Put the first [item|word] in place of the last and the last in place of the first: {items}",
    "[Swap first and last|First and last swapped|Switch ends]: {items}",
    "[What is|What's|whats] {items} with the first and last [item|word|element|one]s swapped?",
    "~Let the first and the last [item|word] [change|trade] places: {items}",
    "~Interchange the first and last [items|words|elements]: {items}",
)
DROPS = (
    "~[Remove|Delete|Drop|Take] {word} from [|the list |this list: |the list: ]{items}[.|]",
    "~[Remove|Delete|Drop|Erase] {word} from [this list|the list|the following list]: {items}",
    "~[Remove|Delete|Drop|Cross out] {word}: {items}",
    "{items} without {word}[?|]",
    "{items}. [Remove|Delete|Drop|Cross out] {word}[.|]",
    "{items}\n[Remove|Delete] {word}[.|]",
    "[What is|What's|whats] left of {items} [without|if I remove|if I take away] {word}?",
    "[My list|Shopping list|The list|List]: {items}. [Remove|Take off|Delete] {word}[.|]",
    "~Take {word} [off|out of] [my list|the list|this list]: {items}",
    "remove({items}, {word})",
    "~Leave out {word}: {items}",
    "[I have|I had|There are] {items}. [I lost|Someone took|I gave away] {word}. What is left?",
    "~[Repeat|Say|Write] [the list|the items] without {word}: {items}",
)
ADDS = (
    "~[Add|Append|Put] {word} [to|at the end of] [|the list |this list: |the list: ]{items}[.|]",
    "~[Add|Append] {word} to [this list|the list|my list|the end of the list]: {items}",
    "~[Add|Append|Attach] {word}: {items}",
    "{items}. [Add|Append] {word}[.|]",
    "{items}\n[Add|Append] {word}[.|]",
    "{items} [plus|with] {word}[?|]",
    "[My list|Shopping list|The list|List]: {items}. [Add|Now add|Put also] {word}[.|]",
    "~Put {word} on [my list|the list|my shopping list]: {items}",
    "append({items}, {word})",
    "[I have|I need] {items}. I also [get|need] {word}. [What is my list now|List everything]?",
    "[What is|What's|whats] the list {items} with {word} added?",
    "~Extend [the list|this list] with {word}: {items}",
)
MERGES = (
    "~[Combine|Merge|Join|Concatenate|Connect] [the lists |the two lists |]{a} and {b}[.|]",
    "~[Combine|Merge|Join|Concatenate] [these|the|these two|the two] lists: {a} and {b}",
    "~[Combine|Merge|Join] [these|the|these two] lists: {a}; {b}",
    "~Append [the list |]{b} to [the list |]{a}[.|]",
    "~Make one list [of|from|out of] {a} and {b}[.|]",
    "~Put {a} and {b} [into|in] one list[.|]",
    "[What is|What's|whats] {a} [plus|and|combined with] {b} as one list?",
    "[List 1|First list|A]: {a}\n[List 2|Second list|B]: {b}\n[Merge them.|Combine them.|Both:]",
    "[First|List one] {a}, [then|and] {b}. [Combine|Merge] [them|the lists][.|]",
    "{a} + {b}",
    "concat({a}, {b})",
    "~Extend [the list |]{a} with [the list |]{b}[.|]",
)
DUPLICATES = (
    "~[Remove|Delete|Drop|Eliminate] [the |all |]duplicates[| from this list| from the list]: "
    "{items}",
    "~[Remove|Delete|Drop] [the |all |]duplicates from {items}[.|]",
    "~[Remove|Delete|Drop] [repeated|duplicate|double] [items|words|entries|elements]: {items}",
    "{items} without [duplicates|repeats|repetitions][?|]",
    "{items}. [Remove duplicates|Keep each item once|No duplicates, please][.|]",
    "{items}\n[Remove the duplicates.|Unique items?|Without duplicates:]",
    "[What are|Which are] the [unique|different|distinct] [items|words|elements] [in|of] {items}?",
    "[What are|Which are] the [unique|different|distinct] [items|words]: {items}",
    "[Unique|Distinct|Deduplicate|Dedupe|Unique items|No duplicates]: {items}",
    "[unique|set|dedupe|remove_duplicates]({items})",
    "~[Keep|List|Write|Show] [each|every] [item|word] [only |just |]once: {items}",
    "~[Deduplicate|Dedupe] [this list|the list|these|the items]: {items}",
    "~[List|Find|Show|Give me] the [unique|distinct|different] [items|words|values] [in|of]: "
    "{items}",
    "~Make [the list|this list] unique: {items}",
    "[List|Items|Input]: {items}. [Remove duplicates|Delete repeated ones].",
)


def _items(draw: Draw, low: int = 3, high: int = 7, numbers: float = 0.2) -> list[str]:
    count = size(draw, low, high)
    if not draw.chance(numbers):
        return listed_words(draw, count)
    if draw.chance(0.4):
        first = draw.pick((1, 1, draw.rng.randint(0, 20)))
        return [str(number) for number in range(first, first + count)]
    return [str(number) for number in draw.rng.sample(range(100), count)]


def _fitting(request: str, items: list[str]) -> str:
    """The request with `number` for `word` if the items are numbers."""
    return request if items[0].isalpha() else request.replace(" word", " number")


def _pick(draw: Draw) -> Problem:
    items = _items(draw)
    place = draw.pick((0, 0, -1, -1, 1, 1, 2, 2, 3, 4, -2))
    place = place if place < len(items) else 0
    names = {-1: ("last", "last", "final"), -2: ("second to last", "second last")}
    nth = draw.pick(names[place]) if place < 0 else ordinal(draw, place + 1)
    request = _fitting(say_list(draw, PICKS, items, nth=nth), items)
    return exact("list", f"pick:{place}:{':'.join(items)}", request, items[place])


def _part(draw: Draw) -> Problem:
    items = _items(draw, 4, 8)
    number = draw.pick((2, 2, 3, 3, 4, 5))
    number = min(number, len(items) - 1)
    at_start = draw.chance(0.65)
    part = items[:number] if at_start else items[-number:]
    request = say_list(
        draw, PARTS, items, end="first" if at_start else "last", number=cardinal(draw, number)
    )
    key = f"part:{number if at_start else -number}:{':'.join(items)}"
    return exact("list", key, _fitting(request, items), ", ".join(part))


def _neighbor(draw: Draw) -> Problem:
    items = _items(draw)
    is_after = draw.chance(0.6)
    place = draw.rng.randrange(len(items) - 1) + (not is_after)
    word, after = quoted(draw, items[place]), "after" if is_after else "before"
    request = _fitting(say_list(draw, NEIGHBORS, items, word=word, after=after), items)
    answer = items[place + 1 if is_after else place - 1]
    return exact("list", f"{after}:{items[place]}:{':'.join(items)}", request, answer)


def _member(draw: Draw) -> Problem:
    items = _items(draw)
    word = draw.pick(items)
    if draw.chance(0.5):
        items.remove(word)
    request = say_list(draw, MEMBERS, items, word=quoted(draw, word))
    answer = f"{'Yes' if word in items else 'No'}, {word} is "
    answer += f"{'' if word in items else 'not '}in the list."
    return exact("list", f"member:{word}:{':'.join(items)}", request, answer)


def _position(draw: Draw) -> Problem:
    items = _items(draw)
    place = draw.rng.randrange(len(items))
    request = say_list(draw, POSITIONS, items, word=quoted(draw, items[place]))
    work = ", ".join(f"{i}: {item}" for i, item in enumerate(items[: place + 1], 1))
    result = f"The position of {items[place]} is {place + 1}."
    return worked("list", f"position:{place}:{':'.join(items)}", request, work, result)


def _swap(draw: Draw) -> Problem:
    items = _items(draw)
    request = _fitting(say_list(draw, SWAPS, items), items)
    swapped = [items[-1], *items[1:-1], items[0]]
    return exact("list", f"swap:{':'.join(items)}", request, ", ".join(swapped))


def _drop(draw: Draw) -> Problem:
    items = _items(draw)
    word = draw.pick(items)
    request = say_list(draw, DROPS, items, word=quoted(draw, word))
    rest = [item for item in items if item != word]
    return exact("list", f"drop:{word}:{':'.join(items)}", request, ", ".join(rest))


def _add(draw: Draw) -> Problem:
    *items, word = _items(draw, 3, 7)
    request = say_list(draw, ADDS, items, word=quoted(draw, word))
    return exact("list", f"add:{word}:{':'.join(items)}", request, ", ".join([*items, word]))


def _merge(draw: Draw) -> Problem:
    items = _items(draw, 4, 8, 0.4)
    at = draw.rng.randint(1, len(items) - 1) if draw.chance(0.3) else len(items) // 2
    form = draw.pick(("[{}]", "[{}]", "({})", "({})", '"{}"'))
    a, b = (form.format(", ".join(part)) for part in (items[:at], items[at:]))
    request = draw.say(MERGES, a=a, b=b)
    return exact("list", f"merge:{at}:{':'.join(items)}", request, ", ".join(items))


def _unique(draw: Draw) -> Problem:
    items = _items(draw, 2, 5, 0.4)
    repeated = items + draw.rng.choices(items, k=draw.pick((1, 2, 3)))
    draw.rng.shuffle(repeated)
    request = _fitting(say_list(draw, DUPLICATES, repeated), items)
    answer = ", ".join(dict.fromkeys(repeated))
    return exact("list", f"unique:{':'.join(repeated)}", request, answer)


KINDS: Kinds = (
    *WORD_KINDS,
    (_pick, 3),
    (_part, 1.5),
    (_neighbor, 1),
    (_member, 1.2),
    (_position, 0.8),
    (_swap, 0.6),
    (_drop, 1),
    (_add, 1),
    (_merge, 0.7),
    (_unique, 1.5),
)


def edit_list(draw: Draw) -> Problem:
    """Pick, drop, add or find items of a list."""
    return one_kind(draw, KINDS)


def lay_out_list(draw: Draw) -> Problem:
    """Write items as a list of another form, or by their initials."""
    return one_kind(draw, FORM_KINDS)
