"""Each row of the census, by its published fields: served by its family, or refused by name."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import AttentionName, DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.census import CENSUS, REFUSED, SERVED, reason_for_refusal
from unmask.models.checkpoint import Checkpoint
from unmask.models.registry import (
    FAMILIES,
    LoadedModel,
    describe_census,
    family_of,
    find_family,
    load_model,
)
from unmask.types import ModelInfo


@dataclass
class Folder:
    """A golden checkpoint in the place of a published one, with the fields that tell it apart."""

    source: str
    attention: str
    fields: dict[str, Any] = field(default_factory=dict)
    choice: AttentionName | None = None
    block_length: int | None = None
    shift: bool = False
    folder: str = "checkpoint"


NTK = {"rope_scaling": {"type": "ntk", "factor": 31}, "max_sequence_length": 131072}
NAMED_LIKE_LLAMA = {"architectures": ["LLaDAModelLM"], "mask_token_id": 511}
A2D = Folder("a2d_mdlm", "full", choice="full", block_length=32)
OPDLM = Folder("a2d_mdlm", "block_causal", choice="block", block_length=4, folder="OPDLM-0.6B")
BERT = Folder("modernbert", "full", block_length=32)
SERVED_FOLDERS: dict[str, Folder] = {
    "LLaDA 8B Base and Instruct, LLaDA 1.5": Folder("llada", "full", block_length=32),
    "LLaDA with Llama's tensor names": Folder("illada", "full", NAMED_LIKE_LLAMA, block_length=32),
    "dParallel": Folder("llada", "full", block_length=32),
    "d3LLM-LLaDA": Folder("llada", "full", block_length=32, folder="d3LLM_LLaDA"),
    "D2F-LLaDA, an adapter or merged": Folder(
        "llada", "prompt_block", block_length=32, folder="D2F_LLaDA"
    ),
    "D2F-Dream, an adapter or merged": Folder(
        "dream", "prompt_block", choice="block", block_length=32, shift=True
    ),
    "CDLM-LLaDA, an adapter or merged": Folder(
        "llada", "prompt_block", block_length=32, folder="CDLM-LLaDA"
    ),
    "CDLM-Dream, an adapter or merged": Folder(
        "dream", "prompt_block", block_length=32, shift=True, folder="CDLM-Dream"
    ),
    "UltraLLaDA": Folder("llada", "full", NTK, block_length=32),
    "LLaDA-MoE-7B-A1B Base and Instruct": Folder(
        "llada_moe", "full", {"architectures": ["LLaDAMoEModel"]}, block_length=32
    ),
    "iLLaDA-8B Base and Instruct": Folder("illada", "full", block_length=32),
    "LLaDA2.0 mini and flash, CAP": Folder("llada2", "block_causal", block_length=32),
    "DMax 16B, Math and Coder": Folder(
        "llada2", "block_causal", block_length=32, folder="DMax-Math-16B"
    ),
    "MBD-LLaDA2": Folder("llada2", "block_causal", block_length=32, folder="MBD-LLaDA2-mini"),
    "MBD-LLaDA2-mini-DMax": Folder(
        "llada2", "block_causal", block_length=32, folder="MBD-Math-LLaDA2-mini-DMax-16B"
    ),
    "LLaDA2.1 mini and flash": Folder(
        "llada2", "block_causal", block_length=32, folder="LLaDA2.1-mini"
    ),
    "LLaDA2.2 mini and flash": Folder("llada22", "block_causal", block_length=32),
    "LLaDA2.0-Uni": Folder("llada2", "block_causal", {"image_token_offset": 512}, block_length=32),
    "LLaDA-UI": Folder("llada_ui", "block_causal", {"mask_token_id": 511}, block_length=32),
    "Dream-v0 7B, Dream-Coder, DiffuCoder": Folder("dream", "full", shift=True),
    "d3LLM-Dream, d3LLM-Dream-Coder": Folder(
        "dream", "full", block_length=32, shift=True, folder="d3LLM_Dream_Coder"
    ),
    "DreamOn-v0-7B": Folder("dream", "full", shift=True),
    "Open-dCoder-0.5B": Folder("dream", "full", shift=True),
    "Dream-VL-7B": Folder("dream_vl", "full", shift=True),
    "DreamReasoner-8B": Folder("dream_reasoner", "block_causal", block_length=32),
    "SDAR 1.7B, 4B, 8B, TraDo": Folder("sdar", "block_causal", block_length=4),
    "SDAR-30B-A3B": Folder("sdar_moe", "block_causal", block_length=4),
    "I-DLM 8B and 32B, UNO-Qwen3-8B": Folder("idlm", "causal", block_length=4),
    "Fast-dLLM v2 1.5B and 7B": Folder("fast_dllm", "block_causal", block_length=32, shift=True),
    "Fast-dVLM-3B": Folder("fast_dvlm", "causal_prefix", block_length=32, shift=True),
    "WeDLM 7B and 8B": Folder("wedlm", "causal_window", block_length=16),
    "Stable-DiffCoder-8B Base and Instruct": Folder(
        "stable_diffcoder", "block_causal", block_length=4
    ),
    "Nemotron-Labs-Diffusion 3B, 8B, 14B, TinyStories-3b": Folder(
        "nemotron",
        "causal_prefix",
        {"architectures": ["NemotronLabsDiffusionEncoderModel"], "block_size": None},
        block_length=32,
    ),
    "Nemotron-Labs-Diffusion-VLM-8B": Folder("nemotron_vlm", "causal_prefix", block_length=8),
    "Efficient-DLM 4B and 8B, Nemotron-Diffusion-Research-8B": Folder(
        "efficient_dlm", "block_causal", block_length=32
    ),
    "A2D of Qwen3, Qwen2.5-Coder and Llama, by MDLM or BD3-LM": A2D,
    "OPDLM 0.6B and 4B": OPDLM,
    "CoDA-v0 1.7B Base and Instruct": Folder("coda", "full", shift=True),
    "RND1-Base-0910": Folder("rnd1", "full", shift=True),
    "ModernBERT base and large chat v0.1": BERT,
    "DiffutronLM-0.3B Base and Instruct": BERT,
    "diffusionGPT, modernbert-diffusion-small": BERT,
    "ModernBERT, mmBERT": BERT,
    "DiffusionGemma-26B-A4B-it": Folder("dgemma", "canvas", block_length=16),
    "LFM2.5-Encoder-350M-Diffusion": Folder("lfm2_encoder", "full", block_length=16),
    "LFM2.5-Encoder 230M and 350M": Folder("lfm2_encoder", "full", block_length=16),
    "LFM2.5-350M-diffusion-exp": Folder("lfm2", "canvas", block_length=8),
    "SDAR-VL 4B and 8B, Instruct and Think": Folder("sdar_vl", "block_causal", block_length=4),
    "LLaDA-V, LLaDA-MedV": Folder("llada_v", "full", block_length=128),
    "MDLM": Folder("mdlm", "full"),
    "BD3-LM, blocks of 4, 8 and 16": Folder("bd3lm", "block_causal", block_length=8),
}
PLANNER = {"num_head_layers": 1, "use_adaln": True, "use_mask_embeddings": True}
IMAGE_TOKENS = {"codebook_size": 8192, "num_vq_tokens": 1024}
# Golden folders with the fields for which a row is refused that has no architecture of its own.
REFUSED_FIELDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "MMaDA": ("llada", IMAGE_TOKENS, "codebook_size.*image tokens"),
    "LLaDOU, dUltra": ("llada", PLANNER, "num_head_layers.*a network that chooses positions"),
    "sdar_4b_multi_block_causal": ("sdar", {"block_causal_prompt": True}, "to verify drafts"),
}


def load(folder: Path, source: str, fields: dict[str, Any], **config: Any) -> LoadedModel:
    folder.mkdir(exist_ok=True)
    raw = json.loads((GOLDEN / source / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(raw))
    save_file(load_file(GOLDEN / source / "model.safetensors"), folder / "model.safetensors")
    generation = GOLDEN / source / "generation_config.json"
    if generation.exists():
        (folder / generation.name).write_text(generation.read_text())
    sizes = raw.get("text_config") or raw
    byte_tokenizer(min(sizes["vocab_size"], 600)).save_pretrained(folder)
    return load_model(ModelConfig(str(folder), dtype="float32", **config), DecodingConfig())


def test_every_row_has_its_folder_and_every_family_its_row() -> None:
    assert {row.name for row in SERVED} == set(SERVED_FOLDERS)
    assert {row.family for row in SERVED} == {family.name for family in FAMILIES}
    assert len({row.name for row in CENSUS}) == len(CENSUS)
    assert all(row.note for row in REFUSED)


@pytest.mark.parametrize("row", SERVED, ids=lambda row: row.name)
def test_a_row_that_is_served_is_loaded_by_its_family(row: Any, tmp_path: Path) -> None:
    made = SERVED_FOLDERS[row.name]
    folder = tmp_path / made.folder
    info: ModelInfo = load(folder, made.source, made.fields, attention=made.choice).info
    family = family_of(Checkpoint.open(folder))
    assert family.name == row.family
    assert set(row.architectures) <= set(family.architectures)
    assert (info.attention, info.shift) == (made.attention, made.shift)
    assert info.block_length == made.block_length


@pytest.mark.parametrize(
    ("architecture", "mask", "policy", "threshold"),
    [
        ("StableDiffcoderForCausalLM", 5, None, 0.95),
        ("ILLaDAForCausalLM", 5, None, None),
        ("DiffEncoderModel", 151662, None, None),
        ("CoDALanguageModel", 151669, "entropy", None),
        ("RND1LM", 151669, "entropy", None),
        ("A2DQwen3LMHeadModel", None, None, None),
        ("ModernBertForMaskedLM", None, None, None),
    ],
)
def test_defaults_are_those_of_the_authors(
    architecture: str, mask: int | None, policy: str | None, threshold: float | None
) -> None:
    traits = find_family(architecture).traits({})
    assert (traits.mask_token_id, traits.policy, traits.threshold) == (mask, policy, threshold)


def architectures_refused() -> list[tuple[str, str]]:
    served = {name for family in FAMILIES for name in family.architectures}
    return [(row.name, name) for row in REFUSED for name in row.architectures if name not in served]


@pytest.mark.parametrize(("name", "architecture"), architectures_refused())
def test_a_row_that_is_refused_says_its_name_and_the_reason(
    name: str, architecture: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    with pytest.raises(InvalidCheckpoint) as caught:
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())
    message = str(caught.value)
    assert "\n" not in message
    assert architecture in message
    reason = reason_for_refusal(architecture)
    assert reason is not None
    assert reason in message or "class of an autoregressive model" in message


@pytest.mark.parametrize("name", REFUSED_FIELDS)
def test_a_row_with_another_s_architecture_is_refused_by_its_fields(
    name: str, tmp_path: Path
) -> None:
    assert name in {row.name for row in REFUSED}
    source, fields, message = REFUSED_FIELDS[name]
    with pytest.raises(InvalidCheckpoint, match=message):
        load(tmp_path / "checkpoint", source, fields)


@pytest.mark.parametrize("source", ["llada", "dream"])
@pytest.mark.parametrize("name", ["llada-instruct-void", "VoidPadding", "dream_void_merged"])
def test_void_padding_is_refused_by_its_name(source: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=rf"{name} is not supported, as VoidPadding of .*"):
        load(tmp_path / name, source, {})


@pytest.mark.parametrize(
    ("source", "name", "row"),
    [
        ("sdar", "RCD-SDAR-8B-b64-Thinking", "RCD"),
        ("llada", "RCD-LLaDA-8B-Instruct", "RCD"),
        ("llada", "dLLM-Var", "dLLM-Var"),
    ],
)
def test_a_model_of_another_s_class_is_refused_by_its_name(
    source: str, name: str, row: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=rf"{name} is not supported, as {row}.*rename"):
        load(tmp_path / name, source, {})


def test_an_adapter_for_void_padding_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"dream-instruct-void is not supported.*padding"):
        load(tmp_path / "dream", "dream", {}, adapter=("akpon900/dream-instruct-void",))


@pytest.mark.parametrize(
    ("source", "name"),
    [("llada", "avoid-8b"), ("sdar", "void"), ("sdar", "SeqD-SDAR-8B-b64-Thinking")],
)
def test_another_model_with_such_a_name_is_served(source: str, name: str, tmp_path: Path) -> None:
    assert load(tmp_path / name, source, {}).info.name == name


@pytest.mark.parametrize("architecture", ["Qwen3ForCausalLM", "SDARForCausalLM"])
def test_a_model_of_trida_stack_is_refused_by_the_file_beside_it(
    architecture: str, tmp_path: Path
) -> None:
    said = {"bd_size": 32, "mask_id": 151669, "ar_loss_weight": 0.2}
    (tmp_path / "block_diffusion.json").write_text(json.dumps(said))
    with pytest.raises(
        InvalidCheckpoint, match=r"block_diffusion\.json .*: blocks behind a causal"
    ):
        load(tmp_path, "sdar", {"architectures": [architecture]})


@pytest.mark.parametrize("file", ["adapter_config.json", "llm_config.json"])
def test_a_folder_without_a_configuration_is_refused(file: str, tmp_path: Path) -> None:
    """Adapters, and LLaDA-o, whose files have other names."""
    (tmp_path / file).write_text("{}")
    with pytest.raises(InvalidCheckpoint, match=r"there is no config\.json"):
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())


def test_open_dcoder_is_served_by_dreams_class(tmp_path: Path) -> None:
    """Its configuration is Qwen2's, and its loop Dream's."""
    fields = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "auto_map": None}
    with pytest.raises(InvalidCheckpoint, match="Qwen2ForCausalLM is the class of an autoreg"):
        load(tmp_path / "checkpoint", "dream", fields)
    own = json.dumps({"architectures": ["DreamModel"]})
    info = load(tmp_path / "checkpoint", "dream", fields, hf_overrides=own).info
    assert (info.attention, info.shift, info.schedule) == ("full", True, "timed")


def test_rows_that_are_served_tell_their_verification() -> None:
    for row in describe_census():
        assert bool(row.verified) == (row.family is not None)
