"""Makes tests/golden/wedlm and wedlm_bias with WeDLM's published code, on a CPU.

`PYTHONPATH=TRANSFORMERS python -m tests.golden.make.wedlm WEDLM`, from the root of this repository:
TRANSFORMERS has transformers 4.56.1 (tokenizers 0.22.0, huggingface_hub 0.35.0), WEDLM is a
checkout of github.com/Tencent/WeDLM at 0216110f24697d425eeea1c04b68fbbb1b3deb13.

Logits are of `hf_compat/modeling_wedlm.py`. Answers of the loop "engine" are by the published
engine's `WeDLMDecoder` and `Sampler` over these logits, its CUDA tensors moved to the CPU; those of
the loop "blocks" by the model's own `generate_wedlm`.
"""

import importlib
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tests.golden.make.causal_copying import FIELDS, PERIOD, set_weights, text, write
from tests.support.tiny import EOS_ID, MASK_ID

WINDOW = 16
GOLDEN = Path(__file__).parent.parent
BACKBONES = {
    "wedlm": {"attention_bias": False, "qk_norm": True},  # 8B, of Qwen3
    "wedlm_bias": {"attention_bias": True, "qk_norm": False},  # 7B, of Qwen2.5
}
# Prompt length, answer length, window, entropy threshold, distance penalty.
ENGINE_CASES = (
    (1, 9, 16, 0.4, 0.02),
    (11, 40, 16, 0.4, 0.02),
    (16, 33, 16, 0.6, 0.02),
    (23, 48, 16, 1.2, 0.1),
    (40, 64, 16, 0.1, 0.02),
    (19, 24, 16, None, 0.02),
    (27, 21, 4, None, 1.0),
    (30, 17, 4, 0.4, 0.02),
    (50, 40, 16, 0.4, 0.0),
    (37, 30, 32, 0.4, 0.02),
    (13, 16, 16, 0.4, 0.02),
    (17, 1, 16, 0.4, 0.02),
    (34, 50, 16, 0.8, 0.02),
)
# Prompt length, answer length, block length, confidence threshold.
BLOCK_CASES = ((9, 32, 16, 0.9), (22, 24, 8, 0.5), (31, 21, 16, 0.0), (14, 37, 32, 0.95))


class OnCpu(TorchFunctionMode):
    """Runs code that names the device "cuda" on the CPU."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = {name: value for name, value in (kwargs or {}).items() if name != "pin_memory"}
        if "device" in options:
            options["device"] = "cpu"
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.to:
            args = tuple("cpu" if isinstance(arg, torch.device) else arg for arg in args)
        return func(*args, **options)


def published(root: Path) -> tuple[Any, Any, Any, Any]:
    """Modules of the model's configuration, the model, the engine's sequences and its decoder."""
    sys.path.insert(0, str(root))
    for name in ("wedlm", "wedlm.engine"):  # their __init__ would import flash-attn
        package = types.ModuleType(name)
        package.__path__ = [str(root / name.replace(".", "/"))]
        sys.modules[name] = package
    names = "hf_compat.configuration_wedlm", "hf_compat.modeling_wedlm"
    engine = "wedlm.engine.sequence", "wedlm.engine.wedlm_decoder"
    configuration, modeling, sequence, decoder = map(importlib.import_module, names + engine)
    return configuration, modeling, sequence, decoder


@torch.no_grad()
def logits_of(model: Any, ids: Tensor, positions: Tensor) -> Tensor:
    """Logits [T, V] of ids and positions [T], as `generate_wedlm` computes them.

    Without an attention mask, transformers takes jumps of the positions for the starts of packed
    sequences, which do not see each other.
    """
    mask = torch.ones_like(ids)[None]
    logits: Tensor = model(
        input_ids=ids[None], attention_mask=mask, position_ids=positions[None], use_cache=False
    ).logits[0]
    return logits


def half_filled_window(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ids and positions [T] of a prompt and a window, in which half of the tokens are filled."""
    prompt_len = 19
    ids = torch.tensor(text(prompt_len + WINDOW, generator))
    order = torch.randperm(WINDOW, generator=generator)
    filled, masked = order[: WINDOW // 2].sort()[0], order[WINDOW // 2 :].sort()[0]
    positions = torch.cat((torch.arange(prompt_len), prompt_len + filled, prompt_len + masked))
    rows = ids[positions]
    rows[-len(masked) :] = MASK_ID
    return rows, positions


def by_engine(
    model: Any, modules: tuple[Any, Any], prompt: list[int], case: tuple[Any, ...], eos: bool
) -> tuple[list[int], int, list[int]]:
    """Tokens of an answer, its forward passes, and the rows of each pass."""
    sequences, decoders = modules
    _, num_tokens, window, threshold, penalty = case
    params = types.SimpleNamespace(
        temperature=0.0,
        top_p=1.0,
        top_k=0,
        max_tokens=num_tokens,
        stop_token_ids=[EOS_ID] if eos else [],
        wedlm_entropy_threshold=threshold,
        wedlm_pos_penalty_factor=penalty,
    )
    sequences.Sequence.block_size = 4096
    sequence = sequences.Sequence(prompt, params)
    sequence.block_table, sequence.kv_budget = [0], 4096
    sampler = importlib.import_module("wedlm.engine.sampler").Sampler()
    decoder = decoders.WeDLMDecoder(MASK_ID, 4096, window, sampler)
    answer: list[int] = []
    num_rows: list[int] = []
    with OnCpu():
        decoder.initialize_states([sequence])
        while not sequence.wedlm_state.is_finished:
            inputs = decoder.prepare_decode_inputs([sequence])
            ids = torch.cat((torch.tensor(prompt + answer), inputs.input_ids))
            num_cached = len(ids) - len(inputs.input_ids)
            positions = torch.cat((torch.arange(num_cached), inputs.positions))
            logits = logits_of(model, ids, positions)[num_cached:]
            (tokens,) = decoder.process_decode_outputs([sequence], inputs, logits)
            answer += tokens or []
            num_rows.append(len(inputs.input_ids))
    return answer[:num_tokens], len(num_rows), num_rows


def make(name: str, modules: tuple[Any, Any, Any, Any]) -> None:
    configuration, modeling, sequences, decoders = modules
    generator = torch.Generator().manual_seed(8)
    config = configuration.WeDLMConfig(
        **FIELDS,
        **BACKBONES[name],
        architectures=["WeDLMForCausalLM"],
        max_position_embeddings=16384,
        dtype="float32",
        auto_map={
            "AutoConfig": "configuration_wedlm.WeDLMConfig",
            "AutoModelForCausalLM": "modeling_wedlm.WeDLMForCausalLM",
        },
    )
    config._attn_implementation = "eager"
    model = modeling.WeDLMForCausalLM(config)
    set_weights(model, PERIOD, generator)
    model.eval()
    cases = []
    for i, case in enumerate(ENGINE_CASES):
        ignore_eos = i % 3 != 2
        prompt = text(case[0], generator, ends=not ignore_eos)
        tokens, forwards, num_rows = by_engine(
            model, (sequences, decoders), prompt, case, not ignore_eos
        )
        settings = {"gen_length": case[1], "window": case[2], "entropy_threshold": case[3]}
        settings |= {"distance_penalty": case[4], "ignore_eos": ignore_eos}
        cases.append(
            {"name": f"engine-{i}", "loop": "engine", "prompt": prompt, "settings": settings}
            | {"tokens": tokens, "forwards": forwards, "rows": num_rows}
        )
        print(cases[-1]["name"], settings, len(tokens), forwards)
    for i, (prompt_len, num_tokens, block_len, threshold) in enumerate(BLOCK_CASES):
        prompt = text(prompt_len, generator)
        result = model.generate_wedlm(
            torch.tensor([prompt]),
            num_tokens,
            block_len,
            confidence_threshold=threshold,
            pad_token_id=MASK_ID,  # no token of a prompt
        )
        tokens = result["sequences"][0, prompt_len:].tolist()
        settings = {"gen_length": num_tokens, "block_length": block_len, "threshold": threshold}
        cases.append(
            {"name": f"blocks-{i}", "loop": "blocks", "prompt": prompt}
            | {"settings": settings, "tokens": tokens}
            | {"forwards": result["stats"]["total_steps"]}
        )
        print(cases[-1]["name"], settings, len(tokens), result["stats"]["total_steps"])
    ids, positions = half_filled_window(generator)
    logits = logits_of(model, ids, positions)
    raw = config.to_diff_dict() | {"transformers_version": "4.56.1", "dtype": "float32"}
    write(
        GOLDEN / name,
        model,
        raw,
        {"input_ids": ids, "positions": positions, "logits": logits.contiguous()},
        {"family": "wedlm", "mask_token_id": MASK_ID, "cases": cases},
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    code = published(Path(sys.argv[1]))
    for folder in BACKBONES:
        make(folder, code)
