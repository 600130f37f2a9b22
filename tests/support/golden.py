"""Tiny checkpoints of each family, and the answers of their references."""

import json
import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.draws import POLICIES, SAMPLERS
from tests.support.tiny import EOS_ID, GOLDEN, save_tokenizer
from unmask.config import AttentionName, DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model
from unmask.types import CACHES, Request, SamplingParams

# Block lengths of the recorded forward passes.
BLOCK_LENGTHS = {
    **{"sdar": 4, "sdar_moe": 4, "llada2": 32, "llada21": 32, "fast_dllm": 32},
    **{"nemotron": 32, "idlm": 4, "wedlm": 16, "wedlm_bias": 16, "bd3lm": 8},
}
FOLDERS = (*BLOCK_LENGTHS, "llada", "llada_moe", "llada_moe_options", "dream", "mdlm")
# Policies by the names of references that differ from ours.
POLICY_NAMES = {
    "maskgit_plus": "low_confidence",
    "topk_margin": "margin",
    "joint_threshold": "threshold",
}
# I-DLM's loop does not count the prompt's pass, of which the first token comes. WeDLM's engine
# gives tokens out a pass after they are filled.
UNCOUNTED = {"idlm": 1, "wedlm": -1}


@dataclass(frozen=True)
class Case:
    """Request and a reference's answer."""

    name: str
    request: Request
    tokens: list[int]
    forwards: int


def read_reference(folder: str) -> dict[str, Any]:
    """Answers of a reference, and the settings that it gave them with."""
    path = GOLDEN / folder / "golden.json"
    if not path.exists():
        path = path.with_name("reference.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def cases_of(folder: str) -> list[Case]:
    golden = read_reference(folder)
    return [
        Case(
            case["name"],
            Request(case["name"], tuple(case["prompt"]), sampling_of(golden, case["settings"])),
            case["tokens"],
            case["forwards"] + UNCOUNTED.get(golden["family"], 0),
        )
        for case in golden["cases"]
        if _is_served(case["settings"]) and case.get("loop") != "blocks"
    ]


def _is_served(settings: dict[str, Any]) -> bool:
    """False for drafts without the adapter."""
    return settings.get("mode") != "self_speculation" or settings.get("adapter", False)


def sampling_of(golden: dict[str, Any], settings: dict[str, Any]) -> SamplingParams:
    block_length = settings.get("block_length", settings.get("stride", settings.get("window")))
    steps = settings.get("steps")
    if golden["family"] == "llada" and steps is not None:  # counts those of all blocks together
        steps = steps * block_length // settings["gen_length"]
    policy, eos = settings.get("policy"), settings.get("eos_token_id")
    if golden["family"] == "wedlm" and settings["entropy_threshold"] is None:
        policy = "entropy"  # one position a pass
    return SamplingParams(
        max_tokens=settings["gen_length"],
        ignore_eos=settings.get("ignore_eos", True),
        stop_token_ids=() if eos is None else (eos,),
        temperature=settings.get("temperature"),
        seed=settings.get("seed"),
        mode=settings.get("mode"),
        policy=POLICY_NAMES.get(policy, policy),
        threshold=settings.get("threshold") or None,  # 0 drafts in one pass, as without any
        entropy_threshold=settings.get("entropy_threshold"),
        distance_penalty=settings.get("distance_penalty"),
        editing_threshold=settings.get("editing_threshold"),
        steps=settings.get("steps_per_block", steps),
        block_length=block_length,
        sub_block_length=settings.get("sub_block_length"),
        cache=settings.get("cache"),
        cfg_scale=settings.get("cfg_scale"),
        eta=settings.get("eta"),
        max_thinking_tokens=settings.get("max_thinking_tokens"),
    )


def load_golden(folder: str, target: Path, attention: AttentionName | None = None) -> LoadedModel:
    """Checkpoint and tokenizer in `target`."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / folder / name, target / name)
    for adapter in (GOLDEN / folder).glob("*_lora"):
        shutil.copytree(adapter, target / adapter.name, dirs_exist_ok=True)
    save_tokenizer(target)
    mask = read_reference(folder).get("mask_token_id")  # canvases of noise have none
    config = ModelConfig(path=str(target), dtype="float32", mask_token_id=mask, attention=attention)
    loaded = load_model(config, DecodingConfig())
    ends = {case["settings"].get("end_think_token_id") for case in read_reference(folder)["cases"]}
    if not ends - {None}:
        return loaded
    (end_id,) = ends - {None}
    return replace(loaded, info=replace(loaded.info, end_think_token_id=end_id))


def company(loaded: LoadedModel, num_requests: int, seed: int) -> list[Request]:
    """Requests of every kind that a model serves, of many lengths."""
    draw = random.Random(seed)
    is_full, edits = loaded.info.attention == "full", loaded.info.default_sampling
    requests = []
    for i in range(num_requests):
        extra = {"cache": draw.choice(CACHES[loaded.info.attention])}
        policy = draw.choice(POLICIES)
        if extra["cache"] == "delayed":  # for several open blocks
            policy = {"policy": "threshold", "threshold": 0.2, "open_blocks": 4}
        elif is_full:
            extra["cfg_scale"] = draw.choice([None, 0.0, 0.7])
        elif edits.editing_threshold is not None:
            extra = {"editing_threshold": draw.choice([None, 0.2, 0.9])}
        block_length = draw.choice([1, 3, 8, 16, 32, 40])
        if "ar" in loaded.info.modes:
            modes = [None, *loaded.info.modes]
            extra["mode"] = draw.choice(modes)
            block_length = None if extra["mode"] == "ar" else block_length
        sampling = SamplingParams(
            max_tokens=draw.randint(1, 60),
            block_length=block_length,
            seed=draw.randrange(2**63),
            logprobs=draw.choice([None, 2]),
            **policy,
            **draw.choice(SAMPLERS),
            **extra,
        )
        prompt = tuple(draw.choices(range(EOS_ID), k=draw.randint(1, 100)))
        requests.append(Request(f"other-{i}", prompt, sampling))
    return requests
