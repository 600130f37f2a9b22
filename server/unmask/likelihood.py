"""Log-probabilities of a prompt's tokens, by the chain rule from left to right.

Each token has its probability after those before it, with mask tokens in place of those after it:
up to the end of the prompt where attention spans the whole sequence, up to the end of the block
where blocks see only those before them. It is the probability with which sequential decoding, a
token a step, would draw it, so the sum is the log-likelihood of the text, given its length and its
first token (`ar_ftb` in the evaluation code of SMDM and of Dream). Models that are causal too have
the likelihood of their autoregressive mode, many tokens a pass.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from unmask.errors import InvalidRequest
from unmask.types import ModelInfo, Request, SamplingParams, TokenLogprob

PASS_LENGTH = 64  # tokens that a causal pass reads
BLOCK_LENGTH = 32  # where attention is block-causal and nothing says


def likelihood_request(
    request_id: str, prompt: tuple[int, ...], num_top: int, model: ModelInfo
) -> Request | None:
    """The request that reads the tokens of a prompt after its first; None if there are none.

    Its answer has the log-probabilities, with `num_top` of the likeliest tokens each. Raises
    `InvalidRequest` for a model without mask tokens.
    """
    if model.canvas is not None:
        raise InvalidRequest(
            "prompt_logprobs is for models that fill mask tokens", field="prompt_logprobs"
        )
    first, answer = prompt[:1], prompt[1:]
    if not answer:
        return None
    sampling = SamplingParams(
        max_tokens=len(answer),
        temperature=0.0,
        ignore_eos=True,
        logprobs=num_top,
        policy="sequential",
        cache="none",
    )
    return Request(request_id, first, _by_attention(sampling, model), given_answer=answer)


def mean_logprob(logprobs: Sequence[TokenLogprob]) -> float:
    """Mean log-probability of an answer's tokens, by which the best of several is chosen."""
    return fmean([item.logprob for item in logprobs] or [0.0])


def _by_attention(sampling: SamplingParams, model: ModelInfo) -> SamplingParams:
    """The parameters with a mode and blocks in which tokens are read in their order."""
    match model.attention:
        case "full":
            return replace(sampling, block_length=1)
        case "causal_window":
            return replace(sampling, mode="ar")
        case "causal_prefix" | "causal":
            return replace(sampling, mode="self_speculation", block_length=PASS_LENGTH)
    return replace(sampling, block_length=model.block_length or BLOCK_LENGTH, sub_block_length=1)
