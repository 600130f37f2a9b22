"""Makes d3llm.json of tests/golden/llada and tests/golden/dream with d3LLM's published code.

`python -m tests.golden.make.d3llm D3LLM`, from the root of this repository, with transformers 4.49:
D3LLM is a checkout of github.com/hao-ai-lab/d3LLM at e5bfcaccb775ee75759c24ccc9a28218b8372b34.
Answers are of `generate_multi_block` and `generate_multi_block_kv_cache` of
`d3llm_llada_generate_util.py`, and `_sample_multi_block` and `_sample_multi_block_kv_cache` of
`d3llm_dream_generate_util.py`, over the authors' model files on a CPU. Ends of sequence are tokens
that the same answer has without one. Where two full blocks of Dream wait for their keys to be kept,
its later passes are given some of them twice: `doubled` passes. `tokens` are written with each key
once, `as_published` with the second ones too, where that is another answer.
"""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

GOLDEN = Path(__file__).parent.parent
MASK_ID, NUM_TOKENS, NEVER = 511, 64, 10000


class Settings(NamedTuple):
    """Arguments of the authors' functions; without a delay, no keys are kept."""

    num_prompt: int
    block_size: int
    threshold: float
    block_add_threshold: float
    cache_delay_iter: int | None = None
    refresh_interval: int = NEVER
    end_at: int | None = None  # of the answer without an end, whose token there ends this one


SETTINGS = (
    Settings(5, 8, 0.5, 0.1),
    Settings(8, 16, 1.5, 0.1),
    Settings(35, 8, 3.0, 0.1),
    Settings(1, 32, 2.0, 0.5),
    Settings(20, 16, 0.05, 0.1),
    Settings(11, 8, 1.0, 1.0),
    Settings(5, 8, 0.5, 0.1, end_at=20),
    Settings(8, 16, 1.5, 0.1, end_at=30),
    Settings(35, 8, 2.5, 0.1, end_at=25),
    Settings(20, 16, 0.05, 0.1, end_at=40),
    Settings(13, 8, 1.2, 0.1, end_at=11),
    Settings(5, 8, 0.5, 0.1, 2),
    Settings(8, 16, 1.5, 0.1, 1),
    Settings(35, 8, 2.5, 0.1, 2, 3),
    Settings(1, 32, 2.0, 0.5, 1, 4),
    Settings(20, 16, 0.05, 0.1, 2, 3),
    Settings(11, 8, 1.0, 1.0, 2, 4),
    Settings(9, 8, 1.0, 1.0, 0),
    Settings(9, 8, 1.0, 0.3, 6),
    Settings(5, 8, 0.5, 0.1, 2, end_at=20),
    Settings(8, 16, 1.5, 0.1, 1, 5, end_at=30),
    Settings(20, 16, 0.05, 0.1, 2, 3, end_at=40),
    Settings(13, 8, 1.2, 0.1, 2, 3, end_at=30),
    Settings(13, 8, 3.0, 0.1, 1),
    Settings(20, 4, 2.5, 0.1, 2),
    Settings(9, 4, 2.0, 0.1, 3, 4),
    Settings(5, 8, 2.5, 0.1, 4, 5),
    Settings(27, 4, 2.5, 0.1, 3, end_at=40),
)


class Counted(torch.nn.Module):
    """A model that counts its passes, and those given keys of positions that they compute.

    Such keys are cut off unless `doubles`: each position counts once then.
    """

    def __init__(self, model: torch.nn.Module, *, doubles: bool) -> None:
        super().__init__()
        self.model, self.device = model, torch.device("cpu")
        self.doubles, self.forwards, self.doubled = doubles, 0, 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.forwards += 1
        kept = kwargs.get("past_key_values")
        if kept is not None:
            start = int(kwargs["cache_position"][0])
            self.doubled += kept.get_seq_length() > start
            if not self.doubles:
                kept.crop(start)
        return self.model(*args, **kwargs)


def main(checkout: Path) -> None:
    sys.path.insert(0, str(checkout))
    for folder, package, names, module in (
        ("llada", "utils.utils_LLaDA.model", ("llada", "LLaDA"), "d3llm_LLaDA.d3llm_llada"),
        ("dream", "utils.utils_Dream.model", ("dream", "Dream"), "d3llm_DREAM.d3llm_dream"),
    ):
        raw = json.loads((GOLDEN / folder / "config.json").read_text())
        configs = importlib.import_module(f"{package}.configuration_{names[0]}")
        config = getattr(configs, f"{names[1]}Config")(**raw)
        models = importlib.import_module(f"{package}.modeling_{names[0]}")
        if folder == "llada":
            model = models.LLaDAModelLM(config, init_params=False)
        else:
            config._attn_implementation = "sdpa"
            model = models.DreamModel(config)
        model.load_state_dict(load_file(GOLDEN / folder / "model.safetensors"))
        loops = importlib.import_module(f"d3llm.{module}_generate_util")
        write = write_by_llada if folder == "llada" else write_by_dream
        cases = [answer(model.eval().float(), loops, write, settings) for settings in SETTINGS]
        (GOLDEN / folder / "d3llm.json").write_text(json.dumps(cases) + "\n")


def answer(model: torch.nn.Module, loops: Any, write: Any, settings: Settings) -> dict[str, Any]:
    count = settings.num_prompt
    prompt = [(37 * i + 9 * count) % 500 for i in range(count)]
    end = None
    if settings.end_at is not None:
        whole = settings._replace(end_at=None)
        end = answer(model, loops, write, whole)["tokens"][settings.end_at]

    def run(*, doubles: bool) -> tuple[list[int], Counted]:
        counted = Counted(model, doubles=doubles)
        with torch.no_grad():
            x = write(counted, loops, torch.tensor([prompt]), settings, end)
        tokens: list[int] = x[0, count:].tolist()
        if end is not None:
            tokens = tokens[: tokens.index(end) + 1]
        assert MASK_ID not in tokens, "the mask token is never chosen here"
        return tokens, counted

    tokens, counted = run(doubles=False)
    as_published, by_doubled = run(doubles=True)
    return {
        "prompt": prompt,
        "settings": settings._asdict(),
        "end": end,
        "tokens": tokens,
        "forwards": counted.forwards,
        "doubled": by_doubled.doubled,
        "as_published": None if as_published == tokens else as_published,
    }


def kept_keys(settings: Settings) -> dict[str, int] | None:
    """Arguments of the authors' functions that keep keys, None for those that keep none."""
    if settings.cache_delay_iter is None:
        return None
    return {name: getattr(settings, name) for name in ("cache_delay_iter", "refresh_interval")}


def write_by_llada(
    model: Counted, loops: Any, prompt: torch.Tensor, settings: Settings, end: int | None
) -> torch.Tensor:
    common: dict[str, Any] = {
        "max_new_tokens": NUM_TOKENS,
        "block_size": settings.block_size,
        "mask_id": MASK_ID,
        "threshold": settings.threshold,
        "block_add_threshold": settings.block_add_threshold,
        "decoded_token_threshold": 0.95,
        "eos_token_id": end,
        "early_stop": end is not None,
    }
    kept = kept_keys(settings)
    if kept is None:
        x, _ = loops.generate_multi_block(model, prompt, **common)
    else:
        x, _ = loops.generate_multi_block_kv_cache(model, prompt, **common, **kept)
    return x


def write_by_dream(
    model: Counted, loops: Any, prompt: torch.Tensor, settings: Settings, end: int | None
) -> torch.Tensor:
    config = SimpleNamespace(
        return_dict_in_generate=False,
        max_length=prompt.shape[1] + NUM_TOKENS,
        mask_token_id=MASK_ID,
        temperature=0.0,
        alg="entropy_threshold",
        eos_token_id=end,
    )
    common: dict[str, Any] = {
        "attention_mask": None,
        "generation_config": config,
        "threshold": settings.threshold,
        "block_size": settings.block_size,
        "block_add_threshold": settings.block_add_threshold,
        "decoded_token_threshold": 0.95,
        "early_stop": end is not None,
    }
    mixin, kept = loops.DreamGenerationMixin, kept_keys(settings)
    if kept is None:
        x, _ = mixin._sample_multi_block(model, prompt, **common)
    else:
        x, _ = mixin._sample_multi_block_kv_cache(model, prompt, **common, **kept)
    return x


if __name__ == "__main__":
    main(Path(sys.argv[1]))
