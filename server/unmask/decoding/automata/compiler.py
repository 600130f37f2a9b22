"""Compiles grammars for one model, whose vocabulary is read when the first one comes."""

import threading
from collections.abc import Callable, Iterable

from unmask.bad_words import sequences_of
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.decoding.automata.cache import BYTES_OF_ID, AutomatonCache
from unmask.decoding.automata.token_sequences import automaton_without
from unmask.decoding.automata.token_texts import read_token_texts
from unmask.decoding.automata.vocabulary import Vocabulary, make_vocabulary
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar
from unmask.types import ModelInfo


class GrammarCompiler:
    """Automata over the tokens of a model; safe from several threads."""

    def __init__(
        self,
        read_tokenizer: Callable[[], str | None],
        model: ModelInfo,
        cache: AutomatonCache | None = None,
    ) -> None:
        """`read_tokenizer` gives the text of `tokenizer.json`, None for a tokenizer without."""
        self._read_tokenizer = read_tokenizer
        self._model = model
        self._cache = cache or AutomatonCache()
        self._vocabulary: Vocabulary | None = None
        self._lock = threading.Lock()

    def automaton(
        self,
        grammar: Grammar,
        allowed_ids: Iterable[int] | None = None,
        seconds: float | None = None,
    ) -> TokenAutomaton:
        """Automaton of a grammar, of the allowed tokens only; takes seconds at worst.

        Raises `InvalidRequest` for a grammar that has no meaning, is not supported or too large,
        or takes over `seconds`, and for a model without end-of-sequence token or byte texts.
        """
        ids = None if allowed_ids is None else frozenset(allowed_ids)
        return self._cache.automaton(self._read_vocabulary(), grammar, ids, seconds)

    def knows(self, grammar: Grammar, allowed_ids: Iterable[int] | None = None) -> bool:
        """True if `automaton` would return at once."""
        ids = None if allowed_ids is None else frozenset(allowed_ids)
        vocabulary = self._vocabulary
        return vocabulary is not None and self._cache.knows(vocabulary, grammar, ids)

    def without(
        self,
        words: tuple[str, ...],
        encode: Callable[[str], list[int]],
        allowed_ids: Iterable[int] | None = None,
    ) -> TokenAutomaton:
        """Automaton of answers without the tokens of these words; raises `InvalidRequest`.

        Words are tokenized once, by the first request that has them.
        """
        ids = None if allowed_ids is None else frozenset(allowed_ids)

        def make() -> tuple[TokenAutomaton, int]:
            sequences = sequences_of(words, encode)
            made = automaton_without(sequences, self._model.vocab_size, self._never(), ids)
            of_key = sum(map(len, words)) + BYTES_OF_ID * (len(words) + len(ids or ()))
            return made, made.num_bytes + of_key

        return self._cache.get((words, ids), make)

    def knows_without(
        self, words: tuple[str, ...], allowed_ids: Iterable[int] | None = None
    ) -> bool:
        """True if `without` would return at once."""
        ids = None if allowed_ids is None else frozenset(allowed_ids)
        return self._cache.has((words, ids))

    def _never(self) -> set[int]:
        """Tokens that are not generated, whatever their texts, such as the mask token."""
        model, mask = self._model, self._model.mask_token_id
        return {*model.command_ids, *model.banned_ids, *(() if mask is None else (mask,))}

    def _read_vocabulary(self) -> Vocabulary:
        with self._lock:
            if self._vocabulary is None:
                text, model = self._read_tokenizer(), self._model
                if text is None:
                    raise InvalidRequest("structured output needs a tokenizer.json, here is none")
                texts = read_token_texts(text, model.vocab_size)
                tokens = list(texts.tokens)
                never = self._never()
                specials = {n: i for n, i in texts.specials.items() if i not in never}
                for i in never:
                    tokens[i] = None
                self._vocabulary = make_vocabulary(tokens, model.eos_token_ids, specials)
            return self._vocabulary
