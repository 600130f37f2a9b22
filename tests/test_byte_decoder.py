"""Tokens decoded by a table of bytes give the text of the library."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.tiny import byte_tokenizer
from unmask import LLM
from unmask.tokenizer import Tokenizer

EMBEDDED = LLM().tokenizer
SMALL = Tokenizer(byte_tokenizer())


@given(ids=st.lists(st.integers(0, 2000), max_size=20))
def test_the_text_is_that_of_the_library(ids: list[int]) -> None:
    for tokenizer in (EMBEDDED, SMALL):
        assert tokenizer.byte_decoder is not None
        backend = tokenizer._backend
        known = [i for i in ids if backend.id_to_token(i) is not None]
        assert tokenizer.decode(known) == backend.decode(known, skip_special_tokens=True)
