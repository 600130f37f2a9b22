"""Models of about 90 million parameters that decode in several modes, with loops of their authors.

Nemotron-Labs-Diffusion's loops are the published ones, from a file that is given (see
`tests.golden.make.nemotron`, which loads it over transformers' Ministral 3). I-DLM's is published
inside a fork of SGLang for GPUs: `tests.golden.make.idlm` has the port, and here it has a cache;
token by token it is transformers' own `generate`. WeDLM's are the window and the sampler of the
published engine, from a checkout that is given, over transformers' Qwen3 with its cache in place of
the engine's model for GPUs.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache, Qwen3Config, Qwen3ForCausalLM
from transformers.models.ministral3 import Ministral3Config

from benchmarks.family_shapes import MASK_ID, VOCAB_SIZE
from tests.golden.make import idlm as idlm_loop
from tests.golden.make import nemotron as nemotron_loop
from tests.golden.make import wedlm as wedlm_loop
from unmask.models import idlm, nemotron, wedlm
from unmask.models.family import Family
from unmask.types import ModeName

Kind = Literal["random", "peaked"]
Loop = Callable[[Tensor, int], tuple[list[list[int]], int]]

_COMMON: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "mask_token_id": MASK_ID,
}
NEMOTRON = _COMMON | {
    "architectures": ["NemotronLabsDiffusionModel"],
    "model_type": "nemotron_labs_diffusion",
    "num_hidden_layers": 8,
    "intermediate_size": 2688,
    "rms_norm_eps": 1e-5,
    "block_size": 32,
    "dlm_paradigm": "bidirectional",
    "rope_parameters": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 16.0,
        "llama_4_scaling_beta": 0.1,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 16_384,
        "rope_theta": 1e6,
        "rope_type": "yarn",
    },
}
IDLM = _COMMON | {
    "architectures": ["SDARForCausalLM"],
    "model_type": "sdar",
    "num_hidden_layers": 9,
    "intermediate_size": 2304,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "block_size": 3,
    "use_regular_causal": True,
}
WEDLM = _COMMON | {
    "architectures": ["WeDLMForCausalLM"],
    "model_type": "wedlm",
    "num_hidden_layers": 9,
    "intermediate_size": 2304,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "attention_bias": False,
    "qk_norm": True,
}
PEAK = 7  # the token of every row of peaked weights
# Of the published engine.
ENTROPY_THRESHOLD, DISTANCE_PENALTY = 0.4, 0.02


class Published(Protocol):
    """Authors' code over a model, and its weights."""

    @property
    def module(self) -> nn.Module: ...

    def loop(self, mode: ModeName, block_len: int, steps: int) -> Loop:
        """Answers of some tokens to prompts [B, T], and the passes of each."""
        ...

    def batches(self, mode: ModeName) -> bool:
        """True if a mode takes several prompts at a time."""
        ...


@dataclass(frozen=True)
class ModeShape:
    """Configuration of a family with its modes; blocks and drafts have `block_length` positions.

    The passes of the mode `guessing` depend on the weights: how many drafts are right, or how sure
    the model is.
    """

    name: str
    family: Family
    config: dict[str, Any]
    block_length: int
    modes: tuple[ModeName, ...]
    guessing: ModeName
    embedding: str = "model.embed_tokens.weight"
    head: str = "lm_head.weight"


SHAPES = (
    ModeShape(
        "nemotron",
        nemotron.FAMILY,
        NEMOTRON,
        32,
        ("ar", "diffusion", "self_speculation"),
        "self_speculation",
        "encoder.embed_tokens.weight",
        "diffusion_head.weight",
    ),
    ModeShape("idlm", idlm.FAMILY, IDLM, 4, ("ar", "self_speculation"), "self_speculation"),
    ModeShape("wedlm", wedlm.FAMILY, WEDLM, wedlm.WINDOW, ("ar", "diffusion"), "diffusion"),
)


class Nemotron:
    """`NemotronLabsDiffusionModel` with the file's loops, without the adapter for drafts."""

    def __init__(self, file: Path, config: dict[str, Any]) -> None:
        self.published = nemotron_loop.load_published(file)
        kind = self.published.NemotronLabsDiffusionModel
        self.module = kind(Ministral3Config(**config)).train(mode=False)
        self._quotas = self.published._get_num_transfer_tokens
        vars(self.published)["_crop_dynamic_cache"] = _crop

    def batches(self, mode: ModeName) -> bool:
        return mode != "self_speculation"

    def loop(self, mode: ModeName, block_len: int, steps: int) -> Loop:
        """The published loop of a mode; `diffusion` fills a block in `steps` equal steps.

        The authors' own number is a step for each token of a block.
        """
        model: Any = self.module
        if mode == "ar":
            return partial(_answered, partial(model.ar_generate, eos_token_id=-1))
        if mode == "self_speculation":
            call = partial(model.linear_spec_generate, eos_token_id=-1, block_length=block_len)
            return partial(_answered, call)

        def diffuse(prompts: Tensor, num_tokens: int) -> tuple[Tensor, int]:
            vars(self.published)["_get_num_transfer_tokens"] = lambda mask, _: self._quotas(
                mask, steps
            )
            out: tuple[Tensor, int] = model.generate(
                prompts, num_tokens, block_length=block_len, eos_token_id=-1
            )
            return out

        return partial(_answered, diffuse)


class Idlm:
    """Transformers' Qwen3 with its own loop, and with the port of I-DLM's."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.module = qwen3(config)

    def batches(self, mode: ModeName) -> bool:
        return mode == "ar"

    def loop(self, mode: ModeName, block_len: int, steps: int) -> Loop:
        if mode == "ar":
            return self._by_token
        return partial(self._by_strides, block_len)

    def _by_token(self, prompts: Tensor, num_tokens: int) -> tuple[list[list[int]], int]:
        model: Any = self.module
        out = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            max_new_tokens=num_tokens,
            min_new_tokens=num_tokens,
            pad_token_id=0,
        )
        return out[:, prompts.shape[1] :].tolist(), num_tokens

    def _by_strides(
        self, stride: int, prompts: Tensor, num_tokens: int
    ) -> tuple[list[list[int]], int]:
        [prompt] = prompts.tolist()
        strides = CachedStrides(self.module, prompt, stride)
        strides.decode(num_tokens, ignore_eos=True)
        return [strides.answer], 1 + len(strides.emitted)  # the prompt's pass is not among them


@dataclass
class CachedStrides(idlm_loop.Strides):
    """The port with a cache, which keeps rows of known tokens and of right guesses, as SGLang's."""

    cache: DynamicCache = field(default_factory=DynamicCache)
    held: list[int] = field(default_factory=list)

    @torch.no_grad()
    def logits(self, rows: list[int], num_known: int = 0) -> Tensor:
        """Logits of the tokens without keys and of `rows`, whose last ones alone are read."""
        ids = self.prompt + self.answer[:num_known] + rows
        same = next(
            (i for i, (a, b) in enumerate(zip(self.held, ids, strict=False)) if a != b),
            min(len(self.held), len(ids)),
        )
        # Rows of this pass are computed anew; guesses that turned out right are known by now.
        num_kept = min(same, len(ids) - len(rows), len(ids) - 1)
        if (surplus := len(self.held) - num_kept) > 0:
            self.cache.crop(-surplus)
        logits: Tensor = self.model(
            input_ids=torch.tensor([ids[num_kept:]]), past_key_values=self.cache, use_cache=True
        ).logits[0]
        self.held = ids
        return logits


class Wedlm:
    """Transformers' Qwen3 with the published engine's window; `ar` is a window of one position."""

    def __init__(self, checkout: Path, config: dict[str, Any]) -> None:
        sys.path.insert(0, str(checkout))
        for name in ("wedlm", "wedlm.engine"):  # their __init__ would import flash-attn
            package = ModuleType(name)
            package.__path__ = [str(checkout / name.replace(".", "/"))]
            sys.modules[name] = package
        names = "sequence", "wedlm_decoder", "sampler"
        modules = [importlib.import_module(f"wedlm.engine.{name}") for name in names]
        self._sequences, self._decoders, self._samplers = modules
        self.module = qwen3(config)

    def batches(self, mode: ModeName) -> bool:
        return False

    def loop(self, mode: ModeName, block_len: int, steps: int) -> Loop:
        return partial(self._by_window, 1 if mode == "ar" else block_len)

    @torch.no_grad()
    def _by_window(
        self, window: int, prompts: Tensor, num_tokens: int
    ) -> tuple[list[list[int]], int]:
        params = SimpleNamespace(
            temperature=0.0,
            top_p=1.0,
            top_k=0,
            max_tokens=num_tokens,
            stop_token_ids=[],
            wedlm_entropy_threshold=ENTROPY_THRESHOLD,
            wedlm_pos_penalty_factor=DISTANCE_PENALTY,
        )
        self._sequences.Sequence.block_size = 4096
        sequence = self._sequences.Sequence(prompts[0].tolist(), params)
        sequence.block_table, sequence.kv_budget = [0], 4096
        sampler = self._samplers.Sampler()
        decoder = self._decoders.WeDLMDecoder(MASK_ID, 4096, window, sampler)
        cache, num_passes, answer = DynamicCache(), 1, list[int]()
        self.module(input_ids=prompts, past_key_values=cache, use_cache=True, logits_to_keep=1)
        with wedlm_loop.OnCpu():
            decoder.initialize_states([sequence])
            while not sequence.wedlm_state.is_finished:
                inputs = decoder.prepare_decode_inputs([sequence])
                num_rows = len(inputs.input_ids)
                ones = torch.ones(1, cache.get_seq_length() + num_rows, dtype=torch.long)
                logits = self.module(
                    input_ids=inputs.input_ids[None],
                    position_ids=inputs.positions[None],
                    attention_mask=ones,  # causal by the order of rows
                    past_key_values=cache,
                    use_cache=True,
                ).logits[0]
                [tokens] = decoder.process_decode_outputs([sequence], inputs, logits)
                answer += tokens or []
                num_passes += 1
                cache.crop(len(tokens or []) - num_rows)  # other keys are computed again
        return [answer[:num_tokens]], num_passes


def qwen3(config: dict[str, Any]) -> Qwen3ForCausalLM:
    """Transformers' model of a configuration with Qwen3's fields and more."""
    more = ("architectures", "model_type", "block_size", "use_regular_causal", "qk_norm")
    sizes = {name: value for name, value in config.items() if name not in (*more, "rope_theta")}
    rope = {"rope_type": "default", "rope_theta": config["rope_theta"]}
    module = Qwen3ForCausalLM(Qwen3Config(**sizes, rope_parameters=rope))
    module.train(mode=False)
    return module


def parameters(module: nn.Module) -> int:
    """Number of all weights."""
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def draw_weights(module: nn.Module, shape: ModeShape, kind: Kind) -> dict[str, Tensor]:
    """Random weights, the same in every run, and their tensors by name.

    In `peaked` ones a direction that outweighs all else makes every row predict one token, so that
    every draft is right and the model sure; by random weights alone it is hardly ever.
    """
    generator = torch.Generator().manual_seed(0)
    weights = dict(module.named_parameters())
    for weight in weights.values():
        if weight.ndim > 1:
            weight.normal_(std=weight.shape[-1] ** -0.5, generator=generator)
    if kind == "peaked":
        direction = torch.randn(shape.config["hidden_size"], generator=generator)
        direction.div_(direction.norm())
        weights[shape.embedding].add_(direction, alpha=10 * len(direction) ** 0.5)
        weights[shape.head][PEAK].add_(direction)
    weights[shape.head][MASK_ID] = 0  # no loop generates the mask token
    return {name: weight.detach().clone() for name, weight in weights.items()}


def _answered(
    call: Callable[..., tuple[Tensor, int]], prompts: Tensor, num_tokens: int
) -> tuple[list[list[int]], int]:
    out, passes = call(prompts, num_tokens)
    return out[:, prompts.shape[1] :][:, :num_tokens].tolist(), passes


def _crop(cache: DynamicCache, length: int) -> None:
    """Published for transformers 5.0, where `crop` took the length."""
    if (surplus := cache.get_seq_length() - length) > 0:
        cache.crop(-surplus)
