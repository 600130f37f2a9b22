"""Makes tests/golden/nemotron_vlm with transformers' Pixtral, Mistral 3 and Ministral 3, on a CPU.

`python -m tests.golden.make.nemotron_vlm`, from the root of this repository, with transformers
5.23.

Rows of images are of `PixtralVisionModel` and `Mistral3MultiModalProjector`. Pixels are scaled by
torch's bicubic interpolation, which is OpenCV's: the `image_processing.py` beside the published
weights scales with OpenCV, rounds sizes up to whole units and has the token ids 18 to 21. It keeps
all digits of a level.

The text model is the golden Nemotron with one more token, its draft adapter beside it, on
transformers' Ministral 3 as `nemotron.py` has it. Its loops are ports of `generate`, `ar_generate`
and `linear_spec_generate` of the text model's authors; first they must give all recorded answers of
`tests/golden/nemotron`, which are of the published code. A prompt with images is in the causal
prefix, as in the published class; names of tensors are those of that class.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import DynamicCache, Mistral3Config, PixtralVisionConfig, PixtralVisionModel
from transformers.models.ministral3 import Ministral3Config
from transformers.models.mistral3.modeling_mistral3 import Mistral3MultiModalProjector

from tests.golden.make.images import FEWEST, Layout, draw_image, write_golden
from tests.golden.make.nemotron import ADAPTER, CONFIG, EOS_ID, MASK_ID, Encoder, Lora
from tests.support.tiny import GOLDEN

FOLDER, TEXT = GOLDEN / "nemotron_vlm", GOLDEN / "nemotron"
BEGIN, PAD, LINE_END, END = 18, 19, 20, 21
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PATCH, MERGE = 4, 2
UNIT = PATCH * MERGE
# Heights and widths: whole units, stretched, a single line, and smaller than a unit.
IMAGES = ((40, 40), (20, 61), (7, 30), (5, 3))
VISION: dict[str, Any] = {
    "attention_dropout": 0.0,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 32,
    "image_size": 1540,
    "initializer_range": 0.02,
    "intermediate_size": 40,
    "model_type": "pixtral",
    "num_attention_heads": 2,
    "num_channels": 3,
    "num_hidden_layers": 3,
    "patch_size": PATCH,
    "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
}
# Lengths of text between images: all but the last are before an image.
PROMPTS: dict[str, Layout] = {
    "one": ((7, 9), (1,)),
    "large": ((15, 0), (0,)),
    "two": ((6, 3, 11), (2, 0)),
    "side-by-side": ((4, 0, 1), (1, 3)),
}
BASE: dict[str, Any] = {"gen_length": 24, "eos_token_id": None}
BLOCK = BASE | {"mode": "diffusion", "block_length": 8}
DRAFTED = BASE | {"mode": "self_speculation", "block_length": 8, "adapter": True}
SETTINGS: dict[str, dict[str, Any]] = {
    "threshold": BLOCK | {"policy": "threshold", "threshold": 0.9},
    "one-a-step": BLOCK | {"policy": "low_confidence", "threshold": None},
    "ar": BASE | {"mode": "ar"},
    "speculation": DRAFTED | {"threshold": 0.0},
    "speculation-0.9": DRAFTED | {"threshold": 0.9},
}


class Text(nn.Module):
    """The text model, with rows of images in the place of embeddings, and its loops."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.encoder = Encoder(Ministral3Config(**CONFIG | {"vocab_size": len(tensors[HEAD])}))
        self.diffusion_head = nn.Linear(CONFIG["hidden_size"], len(tensors[HEAD]), bias=False)
        self.load_state_dict(tensors)
        self.eval().requires_grad_(False)
        for index, layer in enumerate(self.encoder.layers):
            lora = Lora(layer.self_attn.o_proj)
            name = f"base_model.model.encoder.layers.{index}.self_attn.o_proj"
            pairs = load_file(ADAPTER / "adapter_model.safetensors")
            lora.a.data, lora.b.data = (pairs[f"{name}.lora_{part}.weight"] for part in "AB")
            layer.self_attn.o_proj = lora
        self.rows: Tensor | None = None
        self.forwards = 0
        self.encoder.embed_tokens.register_forward_hook(self._place)

    def _place(self, _module: nn.Module, inputs: tuple[Tensor], embeddings: Tensor) -> Tensor:
        if self.rows is None:
            return embeddings
        where = (inputs[0] == PAD)[..., None].expand_as(embeddings)
        return embeddings.masked_scatter(where, self.rows.to(embeddings.dtype))

    def logits(self, ids: Tensor, cache: DynamicCache, *, kept: bool, drafts: bool) -> Tensor:
        """Logits [T, V]: causal, and `kept` in the cache, or of an open block."""
        self.forwards += 1
        for layer in self.encoder.layers:
            layer.self_attn.diffusion_lm = not kept
            layer.self_attn.o_proj._disable_adapters = not drafts
        passed = self.encoder(ids[None], past_key_values=cache, use_cache=kept)
        logits: Tensor = self.diffusion_head(passed.last_hidden_state)[0]
        return logits

    def answer(self, prompt: Tensor, rows: Tensor | None, settings: dict[str, Any]) -> list[int]:
        """Tokens of an answer; counts forward passes as the authors do."""
        cache, self.rows, self.forwards = DynamicCache(), rows, 0
        first = int(self.logits(prompt, cache, kept=True, drafts=False)[-1].argmax())
        self.rows = None
        loops = {"ar": self._ar, "diffusion": self._blocks, "self_speculation": self._drafted}
        tokens = loops[settings["mode"]](first, cache, settings)
        return tokens[: settings["gen_length"]]

    def _ar(self, first: int, cache: DynamicCache, settings: dict[str, Any]) -> list[int]:
        tokens = [first]
        while len(tokens) < settings["gen_length"] and tokens[-1] != settings["eos_token_id"]:
            logits = self.logits(torch.tensor(tokens[-1:]), cache, kept=True, drafts=False)
            tokens.append(int(logits[-1].argmax()))
        return tokens

    def _blocks(self, first: int, cache: DynamicCache, settings: dict[str, Any]) -> list[int]:
        length, end = settings["block_length"], settings["eos_token_id"]
        self.forwards -= 1  # that of the prompt is not counted
        tokens: list[int] = []
        while len(tokens) < settings["gen_length"]:
            block = torch.tensor([first] + [MASK_ID] * (length - 1))
            while (masked := block == MASK_ID).any():
                logits = self.logits(block, cache, kept=False, drafts=False)
                _fill(block, masked, logits, settings["threshold"])
                found = block.tolist()
                if end in found and MASK_ID not in found[: found.index(end)]:
                    break
            first = int(self.logits(block, cache, kept=True, drafts=False)[-1].argmax())
            tokens += block.tolist()
            if end in tokens:
                return tokens[: tokens.index(end) + 1]
        return tokens

    def _drafted(self, first: int, cache: DynamicCache, settings: dict[str, Any]) -> list[int]:
        length, end = settings["block_length"], settings["eos_token_id"]
        tokens = [first]
        while len(tokens) < settings["gen_length"] and end not in tokens:
            before = cache.get_seq_length()
            block = torch.tensor([tokens[-1]] + [MASK_ID] * (length - 1))
            while (masked := block == MASK_ID).any():
                logits = self.logits(block, cache, kept=False, drafts=settings["adapter"])
                _draft(block, masked, logits, settings["threshold"])
            told = self.logits(block, cache, kept=True, drafts=False).argmax(-1)
            wrong = (told[:-1] != block[1:]).nonzero()
            accepted = int(wrong[0]) + 1 if len(wrong) else length
            tokens += told[:accepted].tolist()
            if surplus := cache.get_seq_length() - before - accepted:
                cache.crop(-surplus)
        return tokens[: tokens.index(end) + 1] if end in tokens else tokens


HEAD = "diffusion_head.weight"


def _fill(block: Tensor, masked: Tensor, logits: Tensor, threshold: float | None) -> None:
    """Fill the surest masked position, and with a threshold all that reach it."""
    sure, found = logits.softmax(-1).max(-1)
    sure = sure.masked_fill(~masked, -torch.inf)
    chosen = torch.zeros_like(masked)
    chosen[sure.argmax()] = True
    if threshold is not None:
        chosen |= sure >= threshold
    block[chosen] = found[chosen]


def _draft(block: Tensor, masked: Tensor, logits: Tensor, threshold: float) -> None:
    """Fill all masked positions, or those that reach a threshold, at least one."""
    sure, found = logits.softmax(-1).max(-1)
    if not threshold:
        block[masked] = found[masked]
        return
    chosen = masked & (sure >= threshold)
    if not chosen.any():
        chosen[sure.masked_fill(~masked, -torch.inf).argmax()] = True
    block[chosen] = found[chosen]


def check_loops() -> None:
    """The ports must give the recorded answers of the published loops, for texts."""
    text = Text(load_file(TEXT / "model.safetensors"))
    for case in json.loads((TEXT / "reference.json").read_text())["cases"]:
        if "max_thinking_tokens" not in case["settings"]:
            tokens = text.answer(torch.tensor(case["prompt"]), None, case["settings"])
            assert (tokens, text.forwards) == (case["tokens"], case["forwards"]), case["name"]


@dataclass
class Eyes:
    """Tower and projector with random weights."""

    tower: PixtralVisionModel
    projector: Mistral3MultiModalProjector

    @classmethod
    def drawn(cls, generator: torch.Generator) -> "Eyes":
        config = Mistral3Config(
            vision_config=PixtralVisionConfig(**VISION),
            text_config=Ministral3Config(**CONFIG),
            spatial_merge_size=MERGE,
        )
        eyes = cls(PixtralVisionModel(config.vision_config), Mistral3MultiModalProjector(config))
        for part in (eyes.tower, eyes.projector):
            part.eval()
            for name, weight in part.named_parameters():
                noise = torch.randn(weight.shape, generator=generator)
                if "norm" in name or "ln_pre" in name:
                    weight.copy_(1.0 + 0.2 * noise)
                else:
                    weight.copy_(noise * 1.5 * weight[0].numel() ** -0.5)
        return eyes

    def rows(self, levels: Tensor) -> Tensor:
        """Rows [N, C] of levels [H, W, 3], without those between lines."""
        mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
        values = ((levels / 255 - mean) / deviation).permute(2, 0, 1)[None]
        sizes = [levels.shape[:2]]
        passed = self.tower(values, image_sizes=sizes, output_hidden_states=True)
        rows: Tensor = self.projector(passed.hidden_states[-1].squeeze(0), sizes)
        return rows

    def spread(self, images: list[Tensor]) -> None:
        """Have rows differ by about as much as embeddings."""
        rows = torch.cat([self.rows(levels) for levels in images])
        self.projector.linear_2.weight *= CONFIG["hidden_size"] ** -0.5 / rows.std()

    def named(self) -> dict[str, Tensor]:
        """Tensors by the names of the published class."""
        parts = {"vision_tower": self.tower, "multi_modal_projector": self.projector}
        return {
            f"encoder.{part}.{name}": tensor.contiguous()
            for part, module in parts.items()
            for name, tensor in module.state_dict().items()
        }


def scaled(image: Tensor) -> Tensor:
    """Levels [H, W, 3] of an image that is stretched to whole units, in steps of a 128th."""
    size = [-(-length // UNIT) * UNIT for length in image.shape[:2]]
    planes = image.permute(2, 0, 1)[None].float()
    levels = F.interpolate(planes, size, mode="bicubic", align_corners=False)
    steps = (levels[0].permute(1, 2, 0) * 128).round()
    return (steps / 128).contiguous()


def tokens_of(levels: Tensor) -> list[int]:
    """Token ids of an image, as the authors' processor writes them."""
    rows, columns = (length // UNIT for length in levels.shape[:2])
    lines = ([PAD] * columns + [LINE_END]) * rows
    return [BEGIN, *lines[:-1], END]


def make_cases(
    name: str, texts: tuple[Text, Text], levels: list[Tensor], rows: list[Tensor]
) -> Iterator[dict[str, Any]]:
    """Answers to a prompt of random text that hang on its images, and not on rounding."""
    text, exact = texts
    lengths, images = PROMPTS[name]
    of_images = torch.cat([rows[image] for image in images])
    for seed in range(400):
        generator = torch.Generator().manual_seed(seed)
        template: list[int] = []
        prompt: list[int] = []
        for length, image in zip(lengths, (*images, None), strict=True):
            told = torch.randint(END + 1, EOS_ID, (length,), generator=generator).tolist()
            template += told + ([BEGIN] if image is not None else [])
            prompt += told + (tokens_of(levels[image]) if image is not None else [])
        ids, cases = torch.tensor(prompt), list[dict[str, Any]]()
        for kind, settings in SETTINGS.items():
            tokens = text.answer(ids, of_images, settings)
            other = text.answer(ids, -of_images, settings)
            end = tokens[len(tokens) // 2]
            for chosen in (settings, settings | {"eos_token_id": end}):
                tokens = text.answer(ids, of_images, chosen)
                forwards = text.forwards
                is_same = (tokens, forwards) == (
                    exact.answer(ids, of_images.double(), chosen),
                    exact.forwards,
                )
                has_some = other != tokens and MASK_ID not in tokens and is_same
                if not has_some or (chosen is settings and len(set(tokens)) < FEWEST):
                    break
                label = f"{kind}-{name}" + ("" if chosen is settings else "-end")
                case = {"name": label, "prompt": template, "images": list(images)}
                cases.append({**case, "settings": chosen, "forwards": forwards, "tokens": tokens})
        if len(cases) == 2 * len(SETTINGS):
            yield from cases
            return
    raise AssertionError(f"no clear choices: {name}")


def published_config() -> dict[str, Any]:
    """The text model's fields beside those of images, as in the published file."""
    changes = {
        "architectures": ["NemotronLabsDiffusionVLMModel"],
        "attn_implementation": None,
        "auto_map": {
            "AutoConfig": "configuration_nemotron_labs_diffusion_vlm."
            "NemotronLabsDiffusionVLMConfig",
            "AutoModel": "modeling_nemotron_labs_diffusion_vlm.NemotronLabsDiffusionVLMModel",
        },
        "complementary_mask": True,
        "diff_loss_weight": 0.5,
        "dlm_arch": "encoder",
        "dlm_loss_weight": 0.5,
        "dlm_type": "llada",
        "global_loss_avg": True,
        "model_type": "nemotron_labs_diffusion_vlm",
        "multimodal_projector_bias": False,
        "prefix_ratio": 0.8,
        "projector_hidden_act": "gelu",
        "rope_parameters": CONFIG["rope_parameters"] | {"type": "yarn"},
        "spatial_merge_size": MERGE,
        "vision_config": VISION,
        "vision_feature_layer": -1,
        "vocab_size": CONFIG["vocab_size"] + 1,
    }
    return dict(sorted((CONFIG | changes).items()))


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    check_loops()
    generator = torch.Generator().manual_seed(29)
    tensors = load_file(TEXT / "model.safetensors")
    for name in ("encoder.embed_tokens.weight", HEAD):
        more = torch.randn(1, CONFIG["hidden_size"], generator=generator)
        tensors[name] = torch.cat((tensors[name], 0.1 * more))
    eyes = Eyes.drawn(generator)
    images = [draw_image(*size, generator) for size in IMAGES]
    levels = [scaled(image) for image in images]
    eyes.spread(levels)
    rows = [eyes.rows(some) for some in levels]
    texts = Text(tensors), Text(tensors).double()
    cases = [case for name in PROMPTS for case in make_cases(name, texts, levels, rows)]
    shutil.copytree(ADAPTER, FOLDER / ADAPTER.name, dirs_exist_ok=True)
    recorded: dict[str, Tensor] = {}
    for i, (image, some, of_image) in enumerate(zip(images, levels, rows, strict=True)):
        recorded |= {f"image.{i}": image, f"levels.{i}": some, f"features.{i}": of_image}
    golden = {"family": "nemotron_vlm", "mask_token_id": MASK_ID, "cases": cases}
    files = {"config.json": published_config(), "golden.json": golden}
    write_golden(FOLDER, tensors | eyes.named(), recorded, files)
    print([len(some) for some in rows], [(c["name"], c["forwards"]) for c in cases])


if __name__ == "__main__":
    main()
