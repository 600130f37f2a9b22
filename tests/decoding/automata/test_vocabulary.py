"""Tries of vocabularies, and the texts of tokens of each kind of tokenizer."""

import json
from pathlib import Path
from random import Random

import pytest

import unmask
from tests.support.tokenizers_of_kinds import byte_fallback, byte_level, unigram
from unmask.decoding.automata.token_texts import read_token_texts
from unmask.decoding.automata.vocabulary import Vocabulary, make_vocabulary
from unmask.errors import InvalidRequest
from unmask.tokenizer import IdTokenizer, Tokenizer


def texts_of(vocabulary: Vocabulary) -> list[tuple[int, ...]]:
    """Symbols of each node, by the path of its depths."""
    path: list[int] = []
    texts = []
    for symbol, depth in zip(vocabulary.symbol, vocabulary.depth, strict=True):
        path = [*path[:depth], int(symbol)]
        texts.append(tuple(path))
    return texts


def test_a_node_is_the_beginning_of_tokens() -> None:
    random = Random(0)
    tokens = [bytes(random.choices(b"abc", k=random.randint(0, 5))) for _ in range(200)]
    vocabulary = make_vocabulary([*tokens, None], [200], {})
    texts = texts_of(vocabulary)
    assert texts == sorted({tuple(t[:n]) for t in tokens for n in range(1, len(t) + 1)})
    for token, node in zip([*tokens, None], vocabulary.node_of, strict=True):
        assert (texts[node] == tuple(token)) if token else node == -1
    for node, text in enumerate(texts):
        inside = [i for i, other in enumerate(texts) if other[: len(text)] == text]
        assert inside == list(range(node, vocabulary.next[node]))
    assert vocabulary.max_depth == 5


def test_special_tokens_are_symbols_and_ends_of_sequence_are_none() -> None:
    vocabulary = make_vocabulary([b"a", b"<x>", b"<e>", None], [2], {"<x>": 1, "<e>": 2, "<m>": 3})
    texts = texts_of(vocabulary)
    assert texts == [(97,), (256,), (257,)]
    assert vocabulary.node_of.tolist() == [0, 1, -1, 2]
    assert vocabulary.specials == {"<x>": 256, "<m>": 257}
    assert vocabulary.num_symbols == 258


def test_a_vocabulary_without_text_has_no_nodes() -> None:
    assert texts_of(make_vocabulary([None, b""], [1])) == []


def test_an_answer_needs_an_end_of_sequence() -> None:
    with pytest.raises(InvalidRequest, match="end-of-sequence"):
        make_vocabulary([b"a"], [])


def test_token_ids_without_texts_have_no_vocabulary() -> None:
    assert Tokenizer(IdTokenizer()).to_json() is None


EMBEDDED = Path(unmask.__file__).parent / "embedded"
SAMPLE = "the world, a<b> {é}\n😀 ab|1"


@pytest.mark.parametrize("make", [byte_level, byte_fallback, unigram])
def test_texts_of_tokens_spell_what_is_encoded(make: type) -> None:
    backend = make().backend_tokenizer
    texts = read_token_texts(backend.to_str(), backend.get_vocab_size())
    ids = backend.encode(SAMPLE, add_special_tokens=False).ids
    spelled = b"".join(texts.tokens[i] or b"" for i in ids).decode()
    assert spelled.removeprefix(" ") == SAMPLE
    assert texts.specials["<eos>"] == backend.token_to_id("<eos>")
    assert all(texts.tokens[i] is None for i in texts.specials.values())


def test_texts_of_the_embedded_tokenizer_are_those_that_it_decodes() -> None:
    tokenizer = Tokenizer.from_folder(EMBEDDED)
    content = tokenizer.to_json()
    assert content is not None
    assert tokenizer.num_tokens is not None
    texts = read_token_texts(content, tokenizer.num_tokens + 5)
    assert texts.tokens[-5:] == (None,) * 5
    for i, text in enumerate(texts.tokens[:-5]):
        decoded = tokenizer.decode([i])
        assert (text or b"").decode(errors="replace") == decoded


def test_added_tokens_in_brackets_are_special() -> None:
    tokenizer = byte_level()
    tokenizer.add_tokens(["<tool_call>", "word"])
    backend = tokenizer.backend_tokenizer
    texts = read_token_texts(backend.to_str(), backend.get_vocab_size())
    call, word = map(backend.token_to_id, ("<tool_call>", "word"))
    assert texts.specials["<tool_call>"] == call
    assert texts.tokens[call] is None
    assert texts.tokens[word] == b"word"


@pytest.mark.parametrize("decoder", [None, {"type": "WordPiece", "prefix": "##", "cleanup": True}])
def test_other_kinds_of_tokenizers_are_refused(decoder: object) -> None:
    raw = json.loads(byte_level().backend_tokenizer.to_str())
    raw["decoder"] = decoder
    with pytest.raises(InvalidRequest, match="tokenizer"):
        read_token_texts(json.dumps(raw), 10)
