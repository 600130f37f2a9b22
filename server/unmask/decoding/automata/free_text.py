"""Texts that contain none of some tags, and strings that are none of some words."""

from collections.abc import Iterable

from unmask.decoding.automata.characters import ALL, Characters, json_character, utf8
from unmask.decoding.automata.expressions import (
    Edge,
    Expression,
    Graph,
    concatenation,
    literal,
)
from unmask.decoding.automata.limits import Budget

LEAST_PARTS = 10  # of one character and all others, which are UTF-8


def text_without(tags: Iterable[str]) -> Expression:
    """Any text that contains none of the tags, which are not empty."""
    words = set(tags)
    prefixes = _prefixes(words)
    # A text's node is its longest end that begins a tag (Aho and Corasick, 1975).
    inner = [p for p in prefixes if not any(p[i:] in words for i in range(len(p)))]
    nodes = {prefix: i for i, prefix in enumerate(inner)}
    alphabet = {character for word in words for character in word}
    others = utf8(ALL - Characters.in_text("".join(alphabet)))
    edges = []
    for prefix, node in nodes.items():
        edges.append(Edge(node, others, 0))
        for character in alphabet:
            text = prefix + character
            reached = next(text[i:] for i in range(len(text) + 1) if text[i:] in prefixes)
            if reached in nodes:
                edges.append(Edge(node, literal(character), nodes[reached]))
    return Graph(len(nodes), tuple(edges), frozenset(nodes.values()))


def other_strings(words: Iterable[str], budget: Budget) -> Expression:
    """Strings in JSON other than some words, with escapes of two characters only.

    Raises `GrammarTooLarge`, before its memory grows with the words.
    """
    trie: list[dict[str, int]] = [{}]  # node behind each character that may follow
    excluded = set[int]()
    for word in words:
        node = 0
        for character in word:
            if character not in trie[node]:
                budget.check("parts", LEAST_PARTS * len(trie), budget.limits.parts)
                trie[node][character] = len(trie)
                trie.append({})
            node = trie[node][character]
        excluded.add(node)
    elsewhere = len(trie)  # behind what begins no word
    edges = [Edge(elsewhere, json_character(ALL), elsewhere)]
    for node, following in enumerate(trie):
        budget.check_time()
        others = ALL - Characters.in_text("".join(following))
        edges.append(Edge(node, json_character(others), elsewhere))
        for character, behind in following.items():
            edges.append(Edge(node, json_character(Characters.in_text(character)), behind))
    ends = {*range(elsewhere + 1)} - excluded
    graph = Graph(elsewhere + 1, tuple(edges), frozenset(ends))
    return concatenation(literal('"'), graph, literal('"'))


def _prefixes(words: Iterable[str]) -> dict[str, None]:
    """All beginnings of words, the empty one first."""
    found: dict[str, None] = {"": None}
    for word in sorted(words):
        found.update(dict.fromkeys(word[:size] for size in range(1, len(word) + 1)))
    return found
