"""Registry of model families, and loading a checkpoint."""

import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch

from unmask.chat_templates import named_template
from unmask.config import DecodingConfig, DeviceName, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.models import (
    a2d,
    bd3lm,
    diffusion_gemma,
    dream,
    dream_vl,
    fast_dllm,
    fast_dvlm,
    idlm,
    lfm2_diffusion,
    lfm2_encoder,
    llada,
    llada2,
    llada2_uni,
    llada_hf,
    llada_moe,
    llada_ui,
    llada_v,
    mdlm,
    modern_bert,
    nemotron,
    nemotron_vlm,
    relatives,
    sdar,
    sdar_moe,
    sdar_vl,
    wedlm,
)
from unmask.models.adapters import check_beside, merge_adapters
from unmask.models.census import BEHIND_CAUSAL, CENSUS, check_names, reason_for_refusal
from unmask.models.checkpoint import Checkpoint
from unmask.models.config_fields import check_fields, count_problems
from unmask.models.config_values import check_values
from unmask.models.family import Family, Model, RawConfig
from unmask.models.hub import TOKENIZER_PATTERNS, display_name, find_checkpoint
from unmask.models.matrices import dtype_name
from unmask.models.model_info import model_info
from unmask.models.packed import Format
from unmask.models.quantization_files import find_quantization
from unmask.models.shards import open_shards, usual_dtype
from unmask.models.weights import Progress, Weights
from unmask.template_file import is_template
from unmask.tokenizer import Tokenizer, has_tokenizer
from unmask.types import MAX_BLOCK_LENGTH, ModelInfo
from unmask_kernels.dispatch import uses_triton

EMBEDDED = Path(__file__).parent.parent / "embedded"
logger = logging.getLogger(__name__)

# Errors of broken files that no check caught.
UNREADABLE = (
    *(ArithmeticError, AttributeError, IndexError, MemoryError, RecursionError, RuntimeError),
    *(TypeError, ValueError),
)
PACKED = get_args(Format)
WIDENED = ("fp4", "fp8", "int8", "mlx", "nf4")  # beginnings of other formats in few bits
HELD_IN_FEW_BITS = ("int4", "e2m1", "int8", "float8_e4m3fn")
TRIDA = "block_diffusion.json"  # of trida-stack, beside the class of an autoregressive model
EMBEDDED_NAME = "unmask-embedded"
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
FAMILIES: tuple[Family, ...] = (
    sdar.FAMILY,
    idlm.FAMILY,
    sdar_moe.FAMILY,
    llada2.FAMILY,
    llada2_uni.FAMILY,
    llada_ui.FAMILY,
    llada.FAMILY,
    llada_hf.FAMILY,
    llada_moe.FAMILY,
    dream.FAMILY,
    dream_vl.FAMILY,
    fast_dllm.FAMILY,
    fast_dvlm.FAMILY,
    nemotron.FAMILY,
    nemotron_vlm.FAMILY,
    wedlm.FAMILY,
    a2d.FAMILY,
    *relatives.FAMILIES,
    mdlm.FAMILY,
    bd3lm.FAMILY,
    modern_bert.FAMILY,
    diffusion_gemma.FAMILY,
    lfm2_diffusion.FAMILY,
    lfm2_encoder.FAMILY,
    sdar_vl.FAMILY,
    llada_v.FAMILY,
)

# Common autoregressive classes of transformers, for a clearer error message.
AUTOREGRESSIVE = re.compile(
    r"(Llama|Qwen\d?|Mistral|Mixtral|Gemma\d?|Phi\d?|GPT|Gpt|Bloom|Falcon|Deepseek|DeepSeek|Olmo"
    r"|OLMo|Starcoder|StableLm|Cohere|Granite|SmolLM|OPT|Mpt|MPT|Glm|ChatGLM|InternLM)\w*"
    r"(ForCausalLM|LMHeadModel|ForConditionalGeneration)$"
)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Model with its tokenizer and `ModelInfo`."""

    model: Model
    tokenizer: Tokenizer
    info: ModelInfo
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True, slots=True)
class FamilyInfo:
    """Row of `unmask models`: a family, its architectures, and how it was verified."""

    name: str
    architectures: tuple[str, ...]
    attention: str
    verified: str


def describe_families() -> list[FamilyInfo]:
    """All families, in registry order."""
    return [
        FamilyInfo(
            family.name,
            family.architectures,
            _attentions(family),
            family.verified,
        )
        for family in FAMILIES
    ]


def _attentions(family: Family) -> str:
    kinds = family.attentions or (family.traits({}).attention,)
    if family.block_attention is not None:
        kinds = *kinds, family.block_attention
    return " or ".join(kinds).replace("_", " ")


@dataclass(frozen=True, slots=True)
class CensusRow:
    """Row of `unmask models --census`: published checkpoints, and how they are answered."""

    name: str
    architectures: tuple[str, ...]
    family: str | None  # None: refused
    verified: str
    note: str


def describe_census() -> list[CensusRow]:
    """All published checkpoints that are known, with the verification of their family."""
    verified = {family.name: family.verified for family in FAMILIES}
    return [
        CensusRow(
            row.name,
            row.architectures,
            row.family,
            "" if row.family is None else verified[row.family],
            row.note,
        )
        for row in CENSUS
    ]


def load_model(
    config: ModelConfig, decoding: DecodingConfig, progress: Progress | None = None
) -> LoadedModel:
    """Load the checkpoint that `config` names, or the embedded one; raises `InvalidCheckpoint`."""
    folder = EMBEDDED if config.path is None else find_checkpoint(config.path)
    name = EMBEDDED_NAME if config.path is None else display_name(config.path)
    checkpoint = Checkpoint.open(folder, config.hf_overrides, name)
    check_beside(checkpoint.folder, config.adapter)
    family = family_of(checkpoint)
    check_names((name, *map(display_name, config.adapter)), family.architectures)
    checkpoint = checkpoint.with_block_length(family.block_field)
    check_fields(checkpoint.config, family.fields)
    check_values(checkpoint.config)
    raw = checkpoint.config
    device = device_named(config.device, torch.cuda.is_available())
    dtype = _dtype(config, raw, device, checkpoint.folder)
    tokenizer = _load_tokenizer(config, checkpoint.folder, family.chat_template)
    if config.quantization == "int4" and not uses_triton(device):
        raise InvalidCheckpoint(
            "weights of 4 bits are multiplied on a GPU alone; --quantization int8 holds them in "
            "8 bits"
        )
    try:
        info = model_info(checkpoint, family, config, decoding, tokenizer)
        weights = Weights.from_folder(
            checkpoint.folder,
            dtype,
            device,
            progress,
            quantization=config.quantization,
            compression=find_quantization(raw, checkpoint.folder),
        )
        merge_adapters(weights, config.adapter, info.attention)
        if info.canvas is None:
            weights.num_tokens = info.vocab_size
        weights.with_images = info.images is not None
        model = family.build(raw, weights, info.max_model_len + MAX_BLOCK_LENGTH)
        if model.vision is None:
            info = replace(info, images=None)
        weights.close()
        _log_formats(weights)
    except KeyError as error:
        raise InvalidCheckpoint(f"config.json has no {error}") from error
    except UNREADABLE as error:
        logger.debug("%s: loading failed", name, exc_info=True)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise InvalidCheckpoint(f"cannot load {name}: {type(error).__name__}: {reason}") from error
    tokenizer.begins_chats = family.begins_chats
    if family.warn is not None:
        family.warn(checkpoint.name)
    if family.is_masked_lm:
        tokenizer.encodes_bare = True
        modern_bert.warn_of_training(checkpoint.name, has_template=tokenizer.has_chat_template)
    mask = () if info.mask_token_id is None else (info.mask_token_id,)
    image = () if info.images is None else info.images.control_ids
    if info.images is not None:
        tokenizer.image_type = info.images.part_type
    tokenizer.reserve((*mask, *info.eos_token_ids, *info.command_ids, *image))
    return LoadedModel(model, tokenizer, info, dtype, device)


def _log_formats(weights: Weights) -> None:
    """Log how weights are held, and the way to fewer bits where they were widened."""
    for (stored, held), num_bytes in weights.held_bytes.items():
        is_widened = stored.startswith((*PACKED, *WIDENED))
        is_widened = is_widened and held not in HELD_IN_FEW_BITS
        way_out = "; --quantization fp8 or int8 holds them in 8 bits" if is_widened else ""
        size = num_bytes / 2**30
        logger.info("linear weights: %s, held in %s, %.2f GiB%s", stored, held, size, way_out)
    for expert_dtype, num_bytes in weights.expert_bytes.items():
        logger.info("experts: %s, %.2f GiB", dtype_name(expert_dtype), num_bytes / 2**30)


def family_of(checkpoint: Checkpoint) -> Family:
    """Family of a checkpoint by its architecture, else by its model type.

    Of several matches, returns the one that knows most fields. Raises `InvalidCheckpoint`.
    """
    if (checkpoint.folder / TRIDA).is_file():
        raise InvalidCheckpoint(
            f"{checkpoint.name} is not supported, as its {TRIDA} is trida-stack's: {BEHIND_CAUSAL}"
        )
    model_type = checkpoint.config.get("model_type")
    for name in checkpoint.architectures:
        if named := [family for family in FAMILIES if name in family.architectures]:
            matches = [f for f in named if f.is_own is None or f.is_own(checkpoint.config)]
            if not matches:
                raise _autoregressive(name)
            return _best_match(matches, checkpoint)
    if not checkpoint.config.get("architectures") and (
        matches := [family for family in FAMILIES if model_type in family.model_types]
    ):
        return _best_match(matches, checkpoint)
    name = next(iter(checkpoint.architectures), f"none, model type {model_type},")
    return find_family(name)


def find_family(architecture: str) -> Family:
    """Family of an architecture; raises `InvalidCheckpoint` that lists all architectures."""
    for family in FAMILIES:
        if architecture in family.architectures:
            return family
    if AUTOREGRESSIVE.match(architecture):
        raise _autoregressive(architecture)
    reason = reason_for_refusal(architecture)
    because = "" if reason is None else f": {reason}"
    raise InvalidCheckpoint(
        f"architecture {architecture} is not supported{because}; supported are {_known()}"
    )


def _autoregressive(architecture: str) -> InvalidCheckpoint:
    return InvalidCheckpoint(
        f"{architecture} is the class of an autoregressive model; unmask serves diffusion "
        f"language models only: {_known()}. For one that carries the other's class, name its own "
        "with --hf-overrides"
    )


def _known() -> str:
    """All architectures."""
    return ", ".join(dict.fromkeys(name for f in FAMILIES for name in f.architectures))


def _best_match(families: list[Family], checkpoint: Checkpoint) -> Family:
    """First family with the fewest unknown fields; of several the one that the name tells."""

    def rank(family: Family) -> tuple[int, bool]:
        is_named = family.named is not None and family.named.search(checkpoint.name) is not None
        return count_problems(checkpoint.config, family.fields), not is_named

    return min(families, key=rank)


def _load_tokenizer(config: ModelConfig, folder: Path, of_family: str | None) -> Tokenizer:
    """Tokenizer and chat template that `config` names, else the family's, else the checkpoint's."""
    folder, source = _tokenizer_folder(config, folder), config.chat_template
    if source is None:
        return Tokenizer.from_folder(folder, of_family)
    if not has_tokenizer(folder):
        raise InvalidConfig(
            f"model.chat_template is set, but there is no tokenizer in {folder}, so there are no "
            "chats; --tokenizer names one"
        )
    tokenizer = Tokenizer.from_folder(folder, named_template(source))
    logger.info("chat template: %s", "a text" if is_template(source) else source)
    return tokenizer


def _tokenizer_folder(config: ModelConfig, folder: Path) -> Path:
    """Folder of the tokenizer that `config` names, else the checkpoint's."""
    if config.tokenizer is None:
        return folder
    named = find_checkpoint(config.tokenizer, TOKENIZER_PATTERNS)
    if not has_tokenizer(named):
        raise InvalidCheckpoint(f"model.tokenizer: there is no tokenizer in {named}")
    return named


def device_named(name: DeviceName, has_gpu: bool) -> torch.device:
    """Device of a setting; `auto` takes a GPU that is there. Raises `InvalidConfig`."""
    if name == "auto":
        return torch.device("cuda" if has_gpu else "cpu")
    if name == "cuda" and not has_gpu:
        reason = "finds no GPU" if torch.version.cuda else "is built without CUDA"
        raise InvalidConfig(f"model.device is cuda, but torch {torch.__version__} {reason}")
    return torch.device(name)


def _dtype(config: ModelConfig, raw: RawConfig, device: torch.device, folder: Path) -> torch.dtype:
    """Configured dtype, else that of `config.json`, else most of the weights'.

    On CPUs without bfloat16 instructions float32. Of both names, `dtype` is the later one.
    """
    if config.dtype != "auto":
        return DTYPES[config.dtype]
    field = "dtype" if raw.get("dtype") else "torch_dtype"
    named = raw.get(field) or "auto"
    if not isinstance(named, str):
        raise InvalidCheckpoint(f"config.json: {field} must be a name, got {named!r:.40}")
    if device.type == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        return torch.float32
    stored = DTYPES.get(named.removeprefix("torch."))
    return stored or usual_dtype(open_shards(folder).values())
