"""Text with holes, each with a limit and maybe a grammar: to token ids, and back when filled."""

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.errors import InvalidRequest
from unmask.grammar import Grammar
from unmask.tokenizer import Tokenizer
from unmask.types import AttentionPattern, Hole, Template

# Attention with which a hole sees text behind the last of them.
SEES_AHEAD: tuple[AttentionPattern, ...] = (
    *("full", "block_causal", "causal_prefix", "prompt_block"),
)


@dataclass(frozen=True, slots=True)
class Blank:
    """A hole of at most `max_tokens` tokens, filled as the grammar says if there is one."""

    max_tokens: int
    grammar: Grammar | None = None


Part = str | Blank


@dataclass(frozen=True, slots=True)
class Pieces:
    """The text before the first hole, that behind the last, and all from hole to hole.

    No two texts of `holed` are neighbours: a tokenizer sees each text whole.
    """

    before: str
    holed: tuple[Part, ...]
    behind: str

    @classmethod
    def of(cls, parts: Sequence[Part]) -> "Pieces":
        """Parts with texts side by side joined; raises `InvalidRequest` if none is a hole."""
        if not any(isinstance(part, Blank) for part in parts):
            raise InvalidRequest("a template must have a hole", field="template")
        for part in parts:
            if not isinstance(part, str | Blank):
                raise InvalidRequest(
                    f"a template must be texts and Blanks, got {part!r:.60}", field="template"
                )
        joined: list[Part] = [""]
        for part in parts:
            if isinstance(part, str) and isinstance(last := joined[-1], str):
                joined[-1] = last + part
            else:
                joined.append(part)
        if isinstance(joined[-1], Blank):
            joined.append("")
        before, *holed, behind = joined
        assert isinstance(before, str), "it begins with text"
        assert isinstance(behind, str), "it ends with text"
        return cls(before, tuple(holed), behind)

    @property
    def texts(self) -> list[str]:
        """Texts between holes, then the one behind them."""
        return [*(part for part in self.holed if isinstance(part, str)), self.behind]

    def template(self, encoded: Sequence[Sequence[int]], max_tokens: int) -> Template:
        """The template of token ids, given those of `texts`.

        Holes share `max_tokens`: of those without any left each has room for one token.
        """
        texts = iter(encoded)
        token_ids, holes = list[int | None](), list[Hole]()
        for part in self.holed:
            if isinstance(part, str):
                token_ids += next(texts)
                continue
            start = len(token_ids)
            room = min(part.max_tokens, max(1, max_tokens - start))
            token_ids += [None] * room
            holes.append(Hole(start, start + room, part.grammar))
        return Template(tuple(token_ids), tuple(holes))


@dataclass(frozen=True, slots=True)
class Filling:
    """Text of one hole, and whether it ended before its limit."""

    text: str
    has_ended: bool


def fillings(
    template: Template, token_ids: Sequence[int], eos_ids: Sequence[int], tokenizer: Tokenizer
) -> list[Filling]:
    """Holes of an answer of these token ids, which end where an end-of-sequence token is."""
    found = []
    for hole in template.holes:
        own = list(token_ids[hole.start : hole.end])
        size = next((i for i, token_id in enumerate(own) if token_id in eos_ids), len(own))
        found.append(Filling(tokenizer.decode(own[:size]), size < hole.end - hole.start))
    return found
