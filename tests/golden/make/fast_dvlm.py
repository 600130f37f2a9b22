"""Makes tests/golden/fast_dvlm with transformers' Qwen2.5-VL, on a CPU.

`python -m tests.golden.make.fast_dvlm`, from the root of this repository, with transformers 5.23.

The reference is `Qwen2_5_VLForConditionalGeneration` as a whole: its tower, its rows of images in
the place of embeddings, its positions (`get_rope_index`) of the whole sequence, and its text model,
with the authors' attention as an additive mask: a prompt and finished blocks are causal, the open
block sees itself and all before it. Every pass computes everything again. Pixels are of Qwen2-VL's
image processor that uses Pillow.

The loops are ports of `HierarchyBlock` and `SpeculativeBlock` of the server that is beside
Fast-dVLM in github.com/NVlabs/Fast-dLLM, and of plain greedy decoding. Their blocks begin with the
token that the last causal row before them predicts, and row i of an open block predicts its
position i + 1. A case is made of a prompt only if the same model in float64 gives the same answer
in as many passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.golden.make.images import FEWEST, Layout, draw_image, spread, write_golden
from tests.golden.make.llada_ui import (
    FRAMES,
    MAX_PIXELS,
    MERGE,
    MIN_PIXELS,
    PATCH,
    VISION,
    features_of,
)
from tests.golden.make.relatives import CloseChoice
from tests.support.tiny import GOLDEN, MASK_ID, VOCAB_SIZE

FOLDER = GOLDEN / "fast_dvlm"
BEGIN, END, IMAGE, VIDEO = 500, 501, 502, 503
# Heights and widths: as they are, stretched to a wide one, of fewer pixels, and a high one.
IMAGES = ((40, 40), (24, 61), (9, 9), (90, 30))
TEXT: dict[str, Any] = {
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "layer_types": ["full_attention"] * 3,
    "max_position_embeddings": 2048,
    "max_window_layers": 3,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_scaling": {"mrope_section": [2, 3, 3], "rope_type": "default", "type": "default"},
    "rope_theta": 10_000.0,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": VOCAB_SIZE,
}
# Lengths of text between images, which are between tokens of their own: all but the last are before
# an image. There is one prompt of text alone.
PROMPTS: dict[str, Layout] = {
    "one": ((7, 9), (1,)),
    "high": ((15, 0), (3,)),
    "two": ((6, 3, 11), (2, 0)),
    "side-by-side": ((4, 0, 1), (1, 3)),
    "text": ((21,), ()),
}
LAST_NORM = "model.language_model.norm.weight"
LENGTH = 40
BASE: dict[str, Any] = {"gen_length": LENGTH, "eos_token_id": None}
SETTINGS: dict[str, dict[str, Any]] = {
    "published": BASE
    | {"mode": "diffusion", "block_length": 32, "sub_block_length": 8, "threshold": 0.9},
    "parts": BASE
    | {"mode": "diffusion", "block_length": 16, "sub_block_length": 4, "threshold": 0.3},
    "whole": BASE
    | {"mode": "diffusion", "block_length": 8, "sub_block_length": 8, "threshold": 0.5},
    "ar": BASE | {"mode": "ar"},
    "drafted": BASE | {"mode": "self_speculation", "block_length": 16},
}


@dataclass
class Seeing:
    """The model with a prompt and its images, whose answer it writes."""

    model: Qwen2_5_VLForConditionalGeneration
    prompt: list[int]
    pixels: Tensor | None  # of all images, as the processor gives them
    grids: Tensor | None  # [N, 3]
    forwards: int = 0

    def __post_init__(self) -> None:
        self.seen: dict[str, Any] = {}
        if self.pixels is not None:
            values = self.pixels.to(self.model.dtype)
            self.seen["image"] = self.model.model.get_image_features(values, self.grids)

    def positions(self, ids: Tensor) -> Tensor:
        """Positions [3, T] of a sequence by transformers."""
        if self.grids is None:
            return torch.arange(len(ids)).expand(3, -1)
        kinds = (ids == IMAGE).int()
        found, _ = self.model.model.get_rope_index(ids[None], kinds[None], self.grids)
        positions: Tensor = found[:, 0]
        return positions

    def logits(self, ids: Tensor, opened: int | None = None) -> Tensor:
        """Logits [T, V] of the rows of a sequence: causal, but for an open block from there on."""
        self.forwards += 1
        if IMAGE in ids[len(self.prompt) :]:
            raise CloseChoice  # a row of an image would be put there
        index = torch.arange(len(ids))
        hidden = index[None] > index[:, None]
        if opened is not None:
            hidden[opened:] = False
        dtype = self.model.dtype
        mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, torch.finfo(dtype).min)
        passed = self.model(
            input_ids=ids[None],
            attention_mask=mask[None, None],
            position_ids=self.positions(ids)[:, None],
            mm_encoder_outputs=self.seen,
            use_cache=False,
        )
        logits: Tensor = passed.logits[0]
        return logits

    def answer(self, settings: dict[str, Any]) -> list[int]:
        """Tokens of an answer; counts forward passes, that of the prompt among them."""
        self.forwards = 0
        loops = {"ar": self._ar, "diffusion": self._blocks, "self_speculation": self._drafted}
        tokens = loops[settings["mode"]](settings)
        if settings["eos_token_id"] in tokens:
            return tokens[: tokens.index(settings["eos_token_id"]) + 1]
        return tokens[: settings["gen_length"]]

    def _next(self, tokens: list[int]) -> int:
        return int(self.logits(torch.tensor(self.prompt + tokens))[-1].argmax())

    def _is_over(self, tokens: list[int], settings: dict[str, Any]) -> bool:
        return len(tokens) >= settings["gen_length"] or settings["eos_token_id"] in tokens

    def _ar(self, settings: dict[str, Any]) -> list[int]:
        tokens = [self._next([])]
        while not self._is_over(tokens, settings):
            tokens.append(self._next(tokens))
        return tokens

    def _blocks(self, settings: dict[str, Any]) -> list[int]:
        length, part = settings["block_length"], settings["sub_block_length"]
        tokens: list[int] = []
        while not self._is_over(tokens, settings):
            block = torch.tensor([self._next(tokens)] + [MASK_ID] * (length - 1))
            before = self.prompt + tokens
            for start in range(0, length, part):
                rows = slice(start, start + part)
                while (masked := block[rows] == MASK_ID).any():
                    ids = torch.tensor(before + block.tolist())
                    told = self.logits(ids, len(before))[len(before) :]
                    shifted = torch.cat((told[:1], told[:-1]))[rows]
                    sure, found = shifted.softmax(-1).max(-1)
                    if MASK_ID in found[masked]:
                        raise CloseChoice  # a step may fill nothing
                    sure = sure.masked_fill(~masked, -torch.inf)
                    chosen = sure > settings["threshold"]
                    if not chosen.any():
                        chosen[sure.argmax()] = True
                    block[rows] = torch.where(chosen, found, block[rows])
            tokens += block.tolist()
        return tokens

    def _drafted(self, settings: dict[str, Any]) -> list[int]:
        length = settings["block_length"]
        tokens = [self._next([])]
        while not self._is_over(tokens, settings):
            before = self.prompt + tokens[:-1]
            block = torch.tensor([tokens[-1]] + [MASK_ID] * (length - 1))
            told = self.logits(torch.tensor(before + block.tolist()), len(before))[len(before) :]
            block[1:] = told[:-1].argmax(-1)
            right = self.logits(torch.tensor(before + block.tolist()))[len(before) :].argmax(-1)
            wrong = (right[:-1] != block[1:]).nonzero()
            accepted = int(wrong[0]) + 1 if len(wrong) else length
            tokens += right[:accepted].tolist()
        return tokens


def draw_weights(model: Qwen2_5_VLForConditionalGeneration, generator: torch.Generator) -> None:
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if "norm" in name or "ln_q" in name:
            weight.copy_(1.0 + 0.2 * noise)
            if name == LAST_NORM:
                weight.mul_(6.0)  # for clear choices by a head that is a small embedding
        elif name.endswith("bias"):
            weight.copy_(0.3 * noise)
        elif "embed_tokens" in name:
            weight.copy_(noise * 0.1)
            weight[[MASK_ID, IMAGE]] *= 0.2  # which no row predicts
        else:
            weight.copy_(noise * 1.5 * weight[0].numel() ** -0.5)


def prompts_of(layout: Layout, features: list[Tensor], seed: int) -> tuple[list[int], list[int]]:
    """A prompt of random text: with an image token for each image, and with one for each row."""
    lengths, images = layout
    generator = torch.Generator().manual_seed(seed)
    template, prompt = list[int](), list[int]()
    for length, image in zip(lengths, (*images, None), strict=True):
        text = torch.randint(3, BEGIN, (length,), generator=generator).tolist()
        for ids, count in ((template, 1), (prompt, 0 if image is None else len(features[image]))):
            ids += text + ([] if image is None else [BEGIN, *[IMAGE] * count, END])
    return template, prompt


def _cases_of(
    name: str, template: list[int], plain: Seeing, exact: Seeing, other: Seeing
) -> Iterator[dict[str, Any]]:
    """Answers by all loops until one is of no use; `other` has other images."""
    images = PROMPTS[name][1]
    for kind, settings in SETTINGS.items():
        tokens = plain.answer(settings)
        end = tokens[len(tokens) // 2]
        for chosen in (settings, settings | {"eos_token_id": end}):
            tokens = plain.answer(chosen)
            is_clear = (tokens, plain.forwards) == (exact.answer(chosen), exact.forwards)
            depends = not images or other.answer(chosen) != tokens
            is_varied = chosen is not settings or len(set(tokens)) >= FEWEST
            if not (is_clear and depends and is_varied) or MASK_ID in tokens:
                return
            label = f"{kind}-{name}" + ("" if chosen is settings else "-end")
            case = {"name": label, "prompt": template, "images": list(images)}
            yield {**case, "settings": chosen, "forwards": plain.forwards, "tokens": tokens}


def make_cases(
    name: str,
    models: tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLForConditionalGeneration],
    inputs: list[tuple[Tensor, Tensor]],
    features: list[Tensor],
) -> Iterator[dict[str, Any]]:
    """Answers to a prompt of random text that hang on its images, and not on rounding."""
    images = PROMPTS[name][1]
    shown = [inputs[image] for image in images]
    pixels = torch.cat([values for values, _ in shown]) if shown else None
    grids = torch.cat([grid for _, grid in shown]) if shown else None
    for seed in range(400):
        template, prompt = prompts_of(PROMPTS[name], features, seed)
        plain, exact = (Seeing(model, prompt, pixels, grids) for model in models)
        other = Seeing(models[0], prompt, None if pixels is None else -pixels, grids)
        try:
            cases = list(_cases_of(name, template, plain, exact, other))
        except CloseChoice:
            continue
        if len(cases) == 2 * len(SETTINGS):
            yield from cases
            return
    raise AssertionError(f"no clear choices: {name}")


def record_pass(
    model: Qwen2_5_VLForConditionalGeneration,
    inputs: list[tuple[Tensor, Tensor]],
    features: list[Tensor],
) -> dict[str, Tensor]:
    """A pass over three images, text and an open block, half of which is masked."""
    _, prompt = prompts_of(((5, 2, 0, 6), (3, 1, 0)), features, 7)
    shown = [inputs[image] for image in (3, 1, 0)]
    pixels = torch.cat([values for values, _ in shown])
    seeing = Seeing(model, prompt, pixels, torch.cat([grid for _, grid in shown]))
    block = [9, MASK_ID, 17, MASK_ID, MASK_ID, 30, MASK_ID, 8]
    ids = torch.tensor(prompt + block)
    logits = seeing.logits(ids, len(prompt))
    positions = seeing.positions(ids).T.contiguous()
    return {"input_ids": ids, "positions": positions, "logits": logits.contiguous()}


def published_config() -> dict[str, Any]:
    """Fields of the authors' classes; those of the text model are beside it once more."""
    own = {"bd_size": 8, "complementary_mask": True, "minimum_noise_level": 1e-3}
    tokens = {"image_token_id": None, "video_token_id": None}
    flags = {"always_mask_im_end": False, "enable_efficient_vision_embed": True}
    return TEXT | {
        **{"anneal_block_size": True, "flexible_bd_size": False, **flags},
        "architectures": ["Fast_dVLMForConditionalGeneration"],
        "auto_map": {
            "AutoConfig": "configuration.Fast_dVLMConfig",
            "AutoModelForCausalLM": "modeling.Fast_dVLMForConditionalGeneration",
        },
        "bd_size": 32,
        "image_token_id": IMAGE,
        "model_type": "fast_dvlm",
        "text_config": TEXT | own | tokens | {"model_type": "fast_dvlm_for_causal_lm"},
        "torch_dtype": "float32",
        "video_token_id": VIDEO,
        "vision_config": VISION | {"model_type": "fast_dvlm"},
        "vision_end_token_id": END,
        "vision_start_token_id": BEGIN,
    }


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(31)
    config = Qwen2_5_VLConfig(
        text_config=TEXT | {"bos_token_id": None, "eos_token_id": None},
        vision_config=dict(VISION),
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        tie_word_embeddings=True,
    )
    models = [Qwen2_5_VLForConditionalGeneration(config).eval() for _ in range(2)]
    model, exact = models
    draw_weights(model, generator)
    processor = Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=FRAMES,
        min_pixels=MIN_PIXELS,
        max_pixels=MAX_PIXELS,
    )
    images = [draw_image(*size, generator) for size in IMAGES]
    rows = torch.cat([features_of(model.model.visual, processor, image)[0] for image in images])
    spread(model.model.visual.merger.mlp[2], rows, 0.1)
    exact.load_state_dict(model.state_dict())
    exact.double()
    made = [features_of(model.model.visual, processor, image) for image in images]
    features = [rows for rows, _ in made]
    read = [processor(image.numpy(), return_tensors="pt") for image in images]
    inputs = [(each["pixel_values"], each["image_grid_thw"]) for each in read]
    cases = [c for name in PROMPTS for c in make_cases(name, (model, exact), inputs, features)]
    recorded = record_pass(model, inputs, features)
    for i, (image, (rows, pixels)) in enumerate(zip(images, made, strict=True)):
        recorded |= {f"image.{i}": image, f"pixels.{i}": pixels, f"features.{i}": rows}
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    del tensors["lm_head.weight"]
    files: dict[str, Any] = {
        "config.json": published_config(),
        "preprocessor_config.json": processor.to_dict(),
        "golden.json": {"family": "fast_dvlm", "mask_token_id": MASK_ID, "cases": cases},
    }
    write_golden(FOLDER, tensors, recorded, files)
    print([len(rows) for rows in features], [(c["name"], c["forwards"]) for c in cases])


if __name__ == "__main__":
    main()
