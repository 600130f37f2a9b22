"""The golden Nemotron-Labs-Diffusion-VLM with its images and the answers of its reference."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.support.golden_images import recorded_cases, recorded_pixels
from tests.support.tiny import GOLDEN, MASK_ID
from unmask.config import DecodingConfig, ModelConfig
from unmask.image_fits import Lines
from unmask.images import ImageTraits
from unmask.models.registry import LoadedModel, load_model

FOLDER = GOLDEN / "nemotron_vlm"
LINES = Lines(8, 1400)
TRAITS = ImageTraits(18, (18,), (21,), LINES, sees_itself=False, part_type="image_url")
golden_pixels = partial(recorded_pixels, FOLDER, TRAITS)
image_cases = partial(recorded_cases, FOLDER, TRAITS)
# Tokens 18 to 21, as in the published tokenizer.
TAGS = "<|image_start|>", "<|image_pad|>", "<|image_break|>", "<|image_end|>"
# Images are told by the authors' type of a part alone.
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
    "{% if part.type == 'image_url' %}<|image_start|>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{{ '<think>\n' if enable_thinking else '<think></think>' }}{% endif %}"
)


def tokenizer(tags: tuple[str, ...] = TAGS) -> PreTrainedTokenizerFast:
    """Bytes and pairs of them, between them the tags from 18 on, then an end and a mask."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [a + b for a in alphabet[33:60] for b in alphabet[60:80]]
    texts = [*alphabet[:18], *tags, *alphabet[18:], *pairs][: MASK_ID - 1]
    fast = FastTokenizer(models.BPE(vocab={text: i for i, text in enumerate(texts)}, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    special = (*tags, "<|im_end|>", "<|mask|>", "<|last|>")
    fast.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    made = PreTrainedTokenizerFast(
        tokenizer_object=fast, eos_token="<|im_end|>", mask_token="<|mask|>"
    )
    made.chat_template = CHAT_TEMPLATE
    assert made.convert_tokens_to_ids("<|mask|>") == MASK_ID
    return made


def raw_config(**changes: Any) -> dict[str, Any]:
    """Golden configuration with changed fields."""
    raw: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
    return raw | changes


def write(
    folder: Path,
    raw: dict[str, Any],
    tensors: dict[str, Tensor] | None = None,
    tags: tuple[str, ...] = TAGS,
) -> Path:
    """A checkpoint with the draft adapter, by default with the golden tensors."""
    (folder / "config.json").write_text(json.dumps(raw))
    save_file(tensors or load_file(FOLDER / "model.safetensors"), folder / "model.safetensors")
    adapter = "linear_spec_lora"
    shutil.copytree(FOLDER / adapter, folder / adapter, dirs_exist_ok=True)
    tokenizer(tags).save_pretrained(folder)
    return folder


def load(folder: Path, **config: Any) -> LoadedModel:
    """The checkpoint in a folder, in float32 on a CPU by default."""
    options = {"dtype": "float32", "device": "cpu"} | config
    return load_model(ModelConfig(str(folder), **options), DecodingConfig())
