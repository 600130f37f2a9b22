"""Facts about a model of 50 token ids, for tests that need no weights."""

from unmask.types import ModelInfo, SamplingParams

EOS, MASK = 48, 49
FACTS = ModelInfo(
    name="m",
    max_model_len=100,
    vocab_size=50,
    mask_token_id=MASK,
    eos_token_ids=(EOS,),
    default_sampling=SamplingParams(temperature=0.0),
    created_s=0,
)
