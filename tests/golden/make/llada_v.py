"""Makes tests/golden/llada_v with transformers' SigLIP and Llama, on a CPU.

`python -m tests.golden.make.llada_v`, from the root of this repository, with transformers 5.23.

Tiles of images, their rows after the tower, and the loop are ports of github.com/ML-GSAI/LLaDA-V
(`process_anyres_image`, `prepare_inputs_labels_for_multimodal`, `generate_with_embeds`), whose code
is of another release of transformers and needs a GPU. Images of a prompt with several are squares,
as in the authors' training and evaluation.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, SiglipVisionConfig, SiglipVisionModel

from tests.golden.make.images import Layout, draw_image, draw_prompts, spread, write_golden
from tests.golden.make.relatives import CloseChoice, Reference, even, likeliest, surest
from tests.support.llada_v import BANNED, END, PLACEHOLDER
from tests.support.plain import draw_tensors
from tests.support.tiny import GOLDEN, MASK_ID, VOCAB_SIZE

FOLDER = GOLDEN / "llada_v"
TILE, PATCH, SIDE, MOST = 20, 6, 3, 4  # two pixels of a tile are in no patch
WIDTH, INNER, LAYERS, HEADS = 24, 40, 3, 2
SHAPES = [[TILE * across, TILE * down] for across in range(1, 5) for down in range(1, 5)]
# Heights and widths: without padding, padded above and beside, one whose map is shrunk, and one
# that is twice as wide as it is high.
IMAGES = ((40, 40), (25, 58), (61, 22), (70, 79), (31, 62))
TEXT: dict[str, Any] = {
    "attention_bias": False,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "vocab_size": VOCAB_SIZE,
}
ONE = {"policy": "low_confidence", "block_length": 24, "steps_per_block": 24, "gen_length": 24}
HALF = {"policy": "low_confidence", "block_length": 16, "steps_per_block": 6, "gen_length": 32}
GUIDED = HALF | {"cfg_scale": 0.7}
# Lengths of text between images: all but the last are before an image.
PROMPTS: dict[str, Layout] = {
    "text": ((17,), ()),
    "one": ((7, 9), (1,)),
    "large": ((5, 6), (3,)),
    "two": ((6, 3, 11), (2, 0)),
}


class Vision:
    """The tower, the projector and the end of a line."""

    def __init__(self, generator: torch.Generator) -> None:
        config = SiglipVisionConfig(
            hidden_size=WIDTH,
            image_size=TILE,
            intermediate_size=INNER,
            num_attention_heads=HEADS,
            num_hidden_layers=LAYERS,
            patch_size=PATCH,
        )
        self.tower = SiglipVisionModel(config).eval()
        self.first = torch.nn.Linear(WIDTH, TEXT["hidden_size"])
        self.second = torch.nn.Linear(TEXT["hidden_size"], TEXT["hidden_size"])
        self.newline = torch.randn(TEXT["hidden_size"], generator=generator)
        for part in (self.tower, self.first, self.second):
            for name, weight in part.named_parameters():
                noise = torch.randn(weight.shape, generator=generator)
                if "norm" in name:
                    weight.copy_((0.0 if name.endswith("bias") else 1.0) + 0.2 * noise)
                elif "position" in name or name.endswith("bias"):
                    weight.copy_(0.5 * noise)
                else:
                    weight.copy_(noise * 1.5 * weight[0].numel() ** -0.5)

    def patches(self, tiles: Tensor) -> Tensor:
        """Rows [B, T, C] of tiles [B, S, S, 3] in uint8, of the last layer but one."""
        pixels = ((tiles.float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2)
        hidden = self.tower(pixel_values=pixels, output_hidden_states=True).hidden_states
        assert len(hidden) == LAYERS + 1
        return self.second(F.gelu(self.first(hidden[-2])))  # type: ignore[no-any-return]

    def rows(self, tiles: Tensor, width: int, height: int) -> Tensor:
        """Rows [N, C] of an image of that size."""
        rows = self.patches(tiles)
        if len(tiles) == 1:
            return torch.cat((rows[0], self.newline[None]))
        across, down = (length // TILE for length in best_shape(width, height))
        whole = rows[1:].view(down, across, SIDE, SIDE, -1).permute(4, 0, 2, 1, 3)
        kept = without_padding(whole.flatten(1, 2).flatten(2, 3), width, height)
        _, lines, columns = kept.shape
        times = math.sqrt(lines * columns / (MOST * SIDE**2))
        if times > 1.1:
            size = [int(lines // times), int(columns // times)]
            kept = F.interpolate(kept[None], size, mode="bilinear")[0]
        ends = self.newline[:, None, None].expand(-1, kept.shape[1], 1)
        packed = torch.cat((kept, ends), 2).flatten(1).T
        return torch.cat((rows[0], packed)).contiguous()


def without_padding(whole: Tensor, width: int, height: int) -> Tensor:
    _, lines, columns = whole.shape
    if width / height > columns / lines:
        left = (lines - int(height * (columns / width))) // 2
        return whole[:, left : lines - left]
    left = (columns - int(width * (lines / height))) // 2
    return whole[:, :, left : columns - left]


def best_shape(width: int, height: int) -> tuple[int, int]:
    best, most, least = (0, 0), 0, math.inf
    for across, down in SHAPES:
        scale = min(across / width, down / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        wasted = across * down - kept
        if kept > most or (kept == most and wasted < least):
            best, most, least = (across, down), kept, wasted
    return best


def as_tensor(images: list[Image.Image]) -> Tensor:
    data = [torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8) for image in images]
    return torch.stack([one.view(TILE, TILE, 3) for one in data])


def tiles_of(image: Image.Image) -> Tensor:
    """Tiles [B, S, S, 3] of a picture, the small copy first."""
    across, down = best_shape(*image.size)
    by_width, by_height = across / image.width, down / image.height
    if by_width < by_height:
        size = across, min(math.ceil(image.height * by_width), down)
    else:
        size = min(math.ceil(image.width * by_height), across), down
    padded = Image.new("RGB", (across, down), (0, 0, 0))
    padded.paste(image.resize(size), ((across - size[0]) // 2, (down - size[1]) // 2))
    corners = [(x, y) for y in range(0, down, TILE) for x in range(0, across, TILE)]
    tiles = [padded.crop((x, y, x + TILE, y + TILE)) for x, y in corners]
    return as_tensor([image.resize((TILE, TILE)), *tiles])


def square_of(image: Image.Image) -> Tensor:
    """The only tile [1, S, S, 3] of one of several pictures."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), (127, 127, 127))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return as_tensor([square.resize((TILE, TILE), Image.Resampling.BICUBIC)])


@dataclass
class Seeing(Reference):
    """The text model with rows of images in the place of embeddings, and full attention."""

    places: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    rows: Tensor = field(default_factory=lambda: torch.empty(0, TEXT["hidden_size"]))

    @torch.no_grad()
    def logits(self, ids: list[int] | Tensor) -> Tensor:
        return self._run(torch.as_tensor(ids), sees=True)

    def without(self, ids: Tensor) -> Tensor:
        """Logits where the prompt is masked."""
        return self._run(ids, sees=False)

    def _run(self, ids: Tensor, *, sees: bool) -> Tensor:
        self.forwards += sees
        embeddings = self.model.get_input_embeddings()(ids)  # type: ignore[operator]
        if sees:
            embeddings[self.places] = self.rows
        mask = torch.zeros(1, 1, len(ids), len(ids))
        logits: Tensor = self.model(
            inputs_embeds=embeddings[None], attention_mask=mask, use_cache=False
        ).logits[0]
        return logits


def answer_of(
    reference: Seeing,
    prompt: list[int],
    s: dict[str, Any],
    *,
    bans: bool = True,
    stops: bool = True,
) -> list[int]:
    """The authors' loop; without its bans and stops, LLaDA's, for comparison."""
    first, block, scale = len(prompt), s["block_length"], s.get("cfg_scale", 0.0)
    ids = torch.tensor(prompt + [MASK_ID] * s["gen_length"])
    stop = len(ids)
    for start in range(first, len(ids), block):
        for quota in even(block, s["steps_per_block"]):
            end = min(start + block, stop)
            masked = (ids[start:end] == MASK_ID) if start < end else torch.zeros(0).bool()
            if not masked.any():
                break
            logits = reference.logits(ids)
            if scale:
                alone = ids.clone()
                alone[:first] = MASK_ID
                without = reference.without(alone)
                logits = without + (scale + 1) * (logits - without)
            if bans:
                logits[:, list(BANNED)] = -torch.inf
            tokens, shares = likeliest(logits[start:end], masked)
            scores = shares.masked_fill(~masked, -torch.inf)
            taken = torch.tensor(surest(scores, min(quota, int(masked.sum()))))
            ids[start + taken] = tokens[taken]
            ends = (ids[first:] == END).nonzero().flatten()
            if stops and len(ends):
                stop = first + int(ends[0])
    answer: list[int] = ids[first:].tolist()
    return answer[: answer.index(END) + 1] if END in answer else answer


def make_case(
    name: str,
    text: LlamaForCausalLM,
    features: dict[str, list[Tensor]],
    settings: dict[str, Any],
    kind: str,
) -> dict[str, Any]:
    """A prompt of random text whose answer ends early, and would be another without a rule.

    That is the rule of ends, or of tokens that are in no answer.
    """
    _, images = layout = PROMPTS[name]
    rows_of = features["square" if len(images) > 1 else "tiles"]
    depends = False
    for template, prompt in draw_prompts(layout, rows_of, PLACEHOLDER, min(BANNED)):
        reference = Seeing(text, None)
        if images:
            reference.places = (torch.tensor(prompt) == PLACEHOLDER).nonzero().flatten()
            reference.rows = torch.cat([rows_of[image] for image in images])
        try:
            tokens = answer_of(reference, prompt, settings)
            forwards = reference.forwards
            if not 5 <= len(tokens) < settings["gen_length"] or PLACEHOLDER in tokens:
                continue
            needs = "stops" if kind != "half" else "bans"
            other = answer_of(reference, prompt, settings, **{needs: False})
            if images:
                reference.rows = -reference.rows
                depends = answer_of(reference, prompt, settings) != tokens
        except CloseChoice:
            continue
        if tokens != other and (depends or not images):
            return {
                **{"name": f"{name}-{kind}", "prompt": template, "images": list(images)},
                **{"settings": settings | {"ignore_eos": False}},
                **{"forwards": forwards, "tokens": tokens},
            }
    raise AssertionError(f"no clear choices: {name}")


def published_config() -> dict[str, Any]:
    """Fields that the authors' training writes, and sizes of a small tower."""
    return TEXT | {
        "add_faster_video": False,
        "add_time_instruction": False,
        "architectures": ["LlavaLLaDAModelLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 126080,
        "eos_token_id": 505,
        "faster_token_stride": 10,
        "force_sample": False,
        "image_aspect_ratio": f"anyres_max_{MOST}",
        "image_crop_resolution": None,
        "image_grid_pinpoints": SHAPES,
        "image_split_resolution": None,
        "initializer_range": 0.02,
        "mask_token_id": MASK_ID,
        "mm_hidden_size": WIDTH,
        "mm_newline_position": "grid",
        "mm_patch_merge_type": "spatial_unpad",
        "mm_projector_lr": None,
        "mm_projector_type": "mlp2x_gelu",
        "mm_resampler_type": None,
        "mm_spatial_pool_mode": "bilinear",
        "mm_spatial_pool_stride": None,
        "mm_tunable_parts": "mm_vision_tower,mm_mlp_adapter,mm_language_model",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "model/siglip2-so400m-patch14-384",
        "mm_vision_tower_lr": 2e-6,
        "model_type": "llava_llada",
        "pos_skipping_range": 4096,
        "pretraining_tp": 1,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "tokenizer_model_max_length": 8192,
        "tokenizer_padding_side": "right",
        "torch_dtype": "float32",
        "use_cache": False,
        "use_mm_proj": True,
        "use_pos_skipping": False,
        "vision_config": {
            "hidden_size": WIDTH,
            "image_size": TILE,
            "intermediate_size": INNER,
            "num_attention_heads": HEADS,
            "num_hidden_layers": LAYERS,
            "patch_size": PATCH,
        },
        "vision_tower_pretrained": None,
    }


def named(vision: Vision, text: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of the authors' classes, without the last layer and the head."""
    tensors = dict(text)
    for name, tensor in vision.tower.state_dict().items():
        name = name.removeprefix("vision_model.")
        if not name.startswith((f"encoder.layers.{LAYERS - 1}.", "head.")):
            tensors[f"model.vision_tower.vision_tower.vision_model.{name}"] = tensor.contiguous()
    for index, layer in ((0, vision.first), (2, vision.second)):
        for name, tensor in layer.state_dict().items():
            tensors[f"model.mm_projector.{index}.{name}"] = tensor
    return tensors | {"model.image_newline": vision.newline}


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(23)
    vision = Vision(generator)
    images = [draw_image(*size, generator) for size in IMAGES]
    pictures = [Image.fromarray(image.numpy()) for image in images]
    made = {"tiles": [tiles_of(one) for one in pictures]}
    made["square"] = [square_of(one) for one in pictures]

    def features() -> dict[str, list[Tensor]]:
        return {
            kind: [vision.rows(t, *p.size) for t, p in zip(tiles, pictures, strict=True)]
            for kind, tiles in made.items()
        }

    # Rows differ by about as much as embeddings, around zero.
    spread(vision.second, torch.cat(features()["tiles"]), 1.2)
    drawn = draw_tensors(vocab=VOCAB_SIZE, width=64, inner=96, layers=2, heads=4, kv_heads=4)
    drawn["lm_head.weight"] *= 3
    drawn["lm_head.weight"][list(BANNED)] *= 1.5
    drawn["lm_head.weight"][END] *= 2.5
    drawn["lm_head.weight"][MASK_ID] *= 0.05
    text = LlamaForCausalLM(LlamaConfig(**TEXT, tie_word_embeddings=False)).eval()
    text.load_state_dict(drawn)
    kinds = {"one": ONE, "half": HALF, "guided": GUIDED}
    cases = [
        make_case(name, text, features(), settings, kind)
        for kind, settings in kinds.items()
        for name in PROMPTS
    ]
    recorded: dict[str, Tensor] = {f"image.{i}": image for i, image in enumerate(images)}
    for kind, of_kind in features().items():
        for i, rows in enumerate(of_kind):
            recorded[f"{kind}.{i}"] = rows
            recorded[f"{kind}.{i}.pixels"] = made[kind][i].flatten(0, 1).contiguous()
    files: dict[str, Any] = {
        "config.json": published_config(),
        "golden.json": {"family": "llada_v", "mask_token_id": MASK_ID, "cases": cases},
    }
    write_golden(FOLDER, named(vision, drawn), recorded, files)
    for case in cases:
        print(case["name"], case["forwards"], len(case["tokens"]))
    print({kind: [len(rows) for rows in of_kind] for kind, of_kind in features().items()})


if __name__ == "__main__":
    main()
