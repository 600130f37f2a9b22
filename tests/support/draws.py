"""Hypothesis strategies for requests of every kind."""

from dataclasses import replace

from hypothesis import strategies as st

from tests.support.tiny import EOS_ID
from unmask.types import POLICY_NAMES, RefinementOptions, Request, SamplingParams

LISTED = (
    {"policy": "low_confidence", "steps": 3},
    {"policy": "low_confidence"},
    {"policy": "threshold", "threshold": 0.05},
    {"policy": "threshold", "threshold": 0.9, "steps": 4},
    {"policy": "factor", "factor": 2.5},
    {"policy": "entropy_bound", "entropy_bound": 4.0},
    {"policy": "entropy", "steps": 5},
    {"policy": "margin", "steps": 6},
    {"policy": "sequential", "steps": 5},
    {"policy": "random", "steps": 5},
    {"policy": "random"},
    {"policy": "low_confidence", "steps": 6, "alg_temp": 0.05},
    {"policy": "margin", "steps": 5, "alg_temp": 0.4},
    {"policy": "entropy", "alg_temp": 2.0},
    {"policy": "hierarchical", "threshold": 0.1, "low_threshold": 0.01},
    {"policy": "hierarchical", "steps": 4},
    {"policy": "local_leap", "threshold": 0.06, "relaxed_threshold": 0.02, "radius": 2},
    {"policy": "low_confidence", "steps": 7, "eos_last": True},
    {"policy": "hierarchical", "threshold": 0.3, "low_threshold": 0.1, "eos_last": True},
    {"policy": "threshold", "threshold": 0.3, "eos_last": True},
)
# Policies that not every model has, and not at any temperature.
TRACED = (
    {"policy": "klass", "threshold": 0.02, "kl_threshold": 1.0},
    {"policy": "klass", "threshold": 0.0, "kl_threshold": 0.05, "steps": 9},
    {"policy": "credit", "threshold": 0.03},
)
# A policy that not every model has; a step of it may fill nothing.
CHANCE = ({"policy": "ancestral"}, {"policy": "ancestral", "steps": 5})
# Policies of full attention, without caches and guidance.
REMASKING = (
    {"policy": "remdm_cap", "eta": 0.1, "steps": 9},
    {"policy": "remdm_rescale", "eta": 0.2, "steps": 20},
    {"policy": "remdm_loop", "eta": 0.08, "steps": 40},
    {"policy": "remdm_conf", "steps": 30},
)
# A policy of few models that revises tokens.
MIXING = (
    {"policy": "dmax", "threshold": 0.5},
    {"policy": "dmax", "threshold": 0.0},
    {"policy": "dmax", "threshold": 0.8, "steps": 6},
    {"policy": "dmax", "threshold": 0.5, "temperature": 0.8, "top_k": 20},
)
KEPT = (
    *("max_tokens", "block_length", "seed", "stop", "ignore_eos", "logprobs"),
    *("logit_bias", "allowed_token_ids"),
)
# A policy without an entry of its own is drawn as well.
POLICIES = LISTED + tuple(
    {"policy": name, "steps": 5}
    for name in POLICY_NAMES
    if name not in {params["policy"] for params in LISTED + TRACED + CHANCE + REMASKING + MIXING}
)
SAMPLERS = (
    {},
    {"temperature": 0.7},
    {"temperature": 1.0, "top_p": 0.6},
    {"temperature": 1.5, "top_k": 5},
    {"temperature": 0.9, "top_k": 40, "top_p": 0.9},
    {"temperature": 1.2, "min_p": 0.3},
    {"temperature": 1.1, "min_p": 0.05, "top_k": 30, "top_p": 0.9},
)
CONSTRAINTS = (
    {},
    {},
    {"logit_bias": ((7, 30.0), (9, -100.0))},
    {"allowed_token_ids": (3, 40, 41, EOS_ID)},
    {"logit_bias": ((40, 2.0),), "allowed_token_ids": (3, 40, 41)},
)
STOPS = ((), ("e",), ("ab", "q"), ("\n", "zz top", "0"))


@st.composite
def sampling(draw: st.DrawFn) -> SamplingParams:
    return SamplingParams(
        max_tokens=draw(st.integers(1, 50)),
        block_length=draw(st.sampled_from([1, 3, 4, 8, 16, 32])),
        seed=draw(st.integers(0, 2**63 - 1)),
        stop=draw(st.sampled_from(STOPS)),
        ignore_eos=draw(st.booleans()),
        logprobs=draw(st.sampled_from([None, 0, 3])),
        **draw(st.sampled_from(POLICIES)),
        **draw(st.sampled_from(SAMPLERS)),
        **draw(st.sampled_from(CONSTRAINTS)),
    )


@st.composite
def requests(draw: st.DrawFn, max_size: int = 6) -> list[Request]:
    """Requests whose prompts often share a prefix."""
    shared = draw(st.lists(st.integers(0, EOS_ID - 1), min_size=40, max_size=90))
    drawn = []
    for i in range(draw(st.integers(1, max_size))):
        rest = draw(st.lists(st.integers(0, EOS_ID - 1), min_size=1, max_size=30))
        prompt = (*shared[: draw(st.sampled_from([0, 17, 33, 90]))], *rest)
        refinements = draw(st.sampled_from([None, RefinementOptions(tokens=True)]))
        drawn.append(Request(f"r{i}", prompt, draw(sampling()), refinements))
    return drawn


def mixed(request: Request) -> Request:
    """The request with a policy of `MIXING` and nothing that it refuses."""
    params = request.sampling
    policy = MIXING[len(request.prompt_token_ids) % len(MIXING)]
    sampling = SamplingParams(
        **{name: getattr(params, name) for name in KEPT},
        **policy,
    )
    return replace(request, sampling=sampling)
