"""Several open blocks write the tokens of the published loop, in any company."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.engines import make_engine, refined_requests, run_all
from tests.support.golden import company
from tests.support.multi_block import Buffer, write_several
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

Load = Callable[[str], LoadedModel]
PROMPTS = (
    (9, 41, 77, 5, 300),
    (12, 32, 510, 57, 23, 12, 32, 8),
    tuple(range(20, 55)),
    (7,),
)
NUM_TOKENS = 60
# A confidence that many tokens of these weights have.
SURE = {"sdar": 0.5, "sdar_moe": 0.5, "llada2": 0.5}
FAMILIES = pytest.mark.parametrize("folder", SURE)
# Open blocks, shares for the next one and for a full-paced one, block length.
BUFFERS = (
    (2, 0.1, 0.9, 8),
    (4, 0.1, 0.9, 16),
    (4, 0.1, 0.25, 4),
    (3, 0.75, 0.75, 4),
    (4, 0.5, 1.0, 8),
)


def sampling_of(folder: str, buffer: tuple[int, float, float, int]) -> SamplingParams:
    count, add, semi_complete, block_len = buffer
    return SamplingParams(
        max_tokens=NUM_TOKENS,
        temperature=0.0,
        ignore_eos=True,
        threshold=SURE[folder],
        block_length=block_len,
        open_blocks=count,
        add_block_threshold=add,
        semi_complete_threshold=semi_complete,
    )


def requests_of(params: SamplingParams) -> list[Request]:
    return refined_requests(PROMPTS, params)


@pytest.mark.usual_cases(1)
@FAMILIES
@pytest.mark.parametrize("buffer", BUFFERS)
def test_tokens_and_passes_are_those_of_the_published_loop(
    golden_model: Load, folder: str, buffer: tuple[int, float, float, int]
) -> None:
    loaded = golden_model(folder)
    params = sampling_of(folder, buffer)
    requests, others = requests_of(params), company(loaded, 5, seed=8)
    engine = make_engine(loaded, overlap=True, graphs=False, max_num_seqs=6, num_pages=60)
    together = run_all(engine, [*requests, *others])
    count, add, semi_complete, block_len = buffer
    of_loop = Buffer(count, block_len, SURE[folder], add, semi_complete)
    num_steps = 0
    for request in requests:
        answer = together[request.request_id]
        written = write_several(loaded, request.prompt_token_ids, NUM_TOKENS, of_loop)
        assert answer.finish is not None
        assert answer.token_ids == written.tokens
        assert answer.finish.usage.denoising_steps == written.forwards
        num_steps += written.forwards
    one_by_one = run_all(
        make_engine(loaded),
        requests_of(
            replace(params, open_blocks=1, add_block_threshold=None, semi_complete_threshold=None)
        ),
    )
    assert num_steps < sum(a.finish.usage.denoising_steps for a in one_by_one.values() if a.finish)
