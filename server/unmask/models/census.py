"""Published diffusion language models: served by a family, or refused for a reason."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from unmask.errors import InvalidCheckpoint

MULTIMODAL = "images and text, in a way that is not supported"
BEHIND_CAUSAL = "blocks behind a causal prompt, which no family with its class has"
RESEARCH = "a research model with time conditioning and a head of its own"


@dataclass(frozen=True, slots=True)
class Published:
    """Checkpoints of one kind: with a family they are served, and without one refused.

    `note` is a limit of what is served, or the reason for a refusal.
    """

    name: str
    architectures: tuple[str, ...] = ()  # class names in config.json, as far as they are known
    family: str | None = None
    note: str = ""
    named: re.Pattern[str] | None = None  # names that refuse it where its class is another's


D2F = "several blocks at once, by its name or with `--attention block`"
D3LLM = "several blocks at once, by its name or `open_blocks`; kept keys by `cache`"
BERT = ("ModernBertForMaskedLM",)
SERVED = (
    Published("LLaDA 8B Base and Instruct, LLaDA 1.5", ("LLaDAModelLM",), "llada"),
    Published("LLaDA with Llama's tensor names", ("LLaDAModelLM",), "llada-hf"),
    Published("dParallel", ("LLaDAModelLM",), "llada", "with the policy `entropy_threshold`"),
    Published("d3LLM-LLaDA", ("LLaDAModelLM",), "llada", D3LLM),
    Published("D2F-LLaDA, an adapter or merged", ("LLaDAModelLM",), "llada", D2F),
    Published(
        "CDLM-LLaDA, an adapter or merged",
        ("LLaDAModelLM",),
        "llada",
        "blocks behind the prompt, by its name; its own code was not compared",
    ),
    Published(
        "UltraLLaDA",
        ("LLaDAModelLM",),
        "llada",
        "NTK scaling multiplies the base of RoPE; its own model file was not compared",
    ),
    Published(
        "LLaDA-MoE-7B-A1B Base and Instruct", ("LLaDAMoEModelLM", "LLaDAMoEModel"), "llada-moe"
    ),
    Published("iLLaDA-8B Base and Instruct", ("ILLaDAForCausalLM",), "illada"),
    Published("LLaDA2.0 mini and flash, CAP", ("LLaDA2MoeModelLM",), "llada2"),
    Published("DMax 16B, Math and Coder", ("LLaDA2MoeModelLM",), "llada2", "told by its name"),
    Published("MBD-LLaDA2", ("LLaDA2MoeModelLM",), "llada2", "several blocks at once, by its name"),
    Published(
        "MBD-LLaDA2-mini-DMax",
        ("LLaDA2MoeModelLM",),
        "llada2",
        "several blocks at once, which are edited, by its name",
    ),
    Published("LLaDA2.1 mini and flash", ("LLaDA2MoeModelLM",), "llada2", "told by its name"),
    Published("LLaDA2.2 mini and flash", ("LLaDA2MoeModelLM",), "llada2"),
    Published(
        "LLaDA2.0-Uni",
        ("LLaDA2MoeModelLM",),
        "llada2-uni",
        "text and images in, text out; told by `image_token_offset`",
    ),
    Published(
        "LLaDA-UI",
        ("LLaDA2MoE_VLForConditionalGeneration",),
        "llada-ui",
        "text and images, no videos",
    ),
    Published("Dream-v0 7B, Dream-Coder, DiffuCoder", ("DreamModel",), "dream"),
    Published("d3LLM-Dream, d3LLM-Dream-Coder", ("DreamModel",), "dream", D3LLM),
    Published("D2F-Dream, an adapter or merged", ("DreamModel",), "dream", D2F),
    Published(
        "CDLM-Dream, an adapter or merged",
        ("DreamModel",),
        "dream",
        "blocks behind the prompt, by its name; its own code was not compared",
    ),
    Published("DreamOn-v0-7B", ("DreamModel",), "dream", "answers grow and shrink"),
    Published(
        "Open-dCoder-0.5B",
        family="dream",
        note="with Dream's class by `--hf-overrides`, as its own is Qwen2's",
    ),
    Published("Dream-VL-7B", ("DreamVLModel",), "dream-vl", "text and images, no videos"),
    Published("DreamReasoner-8B", ("DreamForCausalLM",), "sdar"),
    Published("SDAR 1.7B, 4B, 8B, TraDo", ("SDARForCausalLM",), "sdar"),
    Published("SDAR-30B-A3B", ("SDARMoeForCausalLM",), "sdar-moe"),
    Published("I-DLM 8B and 32B, UNO-Qwen3-8B", ("SDARForCausalLM",), "idlm"),
    Published("Fast-dLLM v2 1.5B and 7B", ("Fast_dLLM_QwenForCausalLM",), "fast-dllm"),
    Published(
        "Fast-dVLM-3B",
        ("Fast_dVLMForConditionalGeneration",),
        "fast-dvlm",
        "text and images, no videos",
    ),
    Published("WeDLM 7B and 8B", ("WeDLMForCausalLM",), "wedlm"),
    Published(
        "Stable-DiffCoder-8B Base and Instruct",
        ("StableDiffcoderForCausalLM",),
        "stable-diffcoder",
    ),
    Published(
        "Nemotron-Labs-Diffusion 3B, 8B, 14B, TinyStories-3b",
        ("NemotronLabsDiffusionModel", "NemotronLabsDiffusionEncoderModel"),
        "nemotron",
    ),
    Published(
        "Nemotron-Labs-Diffusion-VLM-8B",
        ("NemotronLabsDiffusionVLMModel",),
        "nemotron-vlm",
        "text and images",
    ),
    Published(
        "Efficient-DLM 4B and 8B, Nemotron-Diffusion-Research-8B",
        ("DiffEncoderModel",),
        "efficient-dlm",
        "blocks begin at the first token of the prompt",
    ),
    Published(
        "A2D of Qwen3, Qwen2.5-Coder and Llama, by MDLM or BD3-LM",
        ("A2DQwen3LMHeadModel", "A2DQwen2LMHeadModel", "A2DLlamaLMHeadModel"),
        "a2d",
        "with `--attention full` or `--attention block`",
    ),
    Published(
        "OPDLM 0.6B and 4B",
        ("A2DQwen3LMHeadModel",),
        "a2d",
        "with `--attention block`; blocks of 4 by its name",
    ),
    Published("CoDA-v0 1.7B Base and Instruct", ("CoDALanguageModel",), "coda"),
    Published("RND1-Base-0910", ("RND1LM",), "rnd1"),
    Published("ModernBERT base and large chat v0.1", BERT, "modernbert"),
    Published("DiffutronLM-0.3B Base and Instruct", BERT, "modernbert"),
    Published(
        "diffusionGPT, modernbert-diffusion-small",
        BERT,
        "modernbert",
        "without the edits at random of the former's pipeline",
    ),
    Published(
        "ModernBERT, mmBERT",
        BERT,
        "modernbert",
        "with a warning: they were trained to fill a few masks, and write no answers",
    ),
    Published(
        "DiffusionGemma-26B-A4B-it",
        ("DiffusionGemmaForBlockDiffusion",),
        "diffusion-gemma",
        "text and images",
    ),
    Published(
        "LFM2.5-350M-diffusion-exp",
        ("Lfm2ForBlockDiffusion",),
        "lfm2-diffusion",
        "small enough for a CPU; its configuration was not seen",
    ),
    Published(
        "LFM2.5-Encoder-350M-Diffusion",
        ("Lfm2BidirectionalForMaskedLM",),
        "lfm2-encoder",
        "small enough for a CPU; without the rule of its demonstration against neighbours",
    ),
    Published(
        "LFM2.5-Encoder 230M and 350M",
        ("Lfm2BidirectionalForMaskedLM",),
        "lfm2-encoder",
        "with a warning: they were trained to fill a few masks, and write no answers",
    ),
    Published(
        "SDAR-VL 4B and 8B, Instruct and Think",
        ("LlavaOnevisionForConditionalGeneration",),
        "sdar-vl",
        "text and images, no videos; told by the model type of its text",
    ),
    Published(
        "LLaDA-V, LLaDA-MedV",
        ("LlavaLLaDAModelLM",),
        "llada-v",
        "text and images, no videos; told by its class or model type",
    ),
    Published("MDLM", ("MDLM",), "mdlm", "with `--tokenizer`, as GPT-2's is not beside it"),
    Published(
        "BD3-LM, blocks of 4, 8 and 16",
        ("BD3LM",),
        "bd3lm",
        "with `--tokenizer`, as GPT-2's is not beside it",
    ),
)
REFUSED = (
    Published(
        "TwoTower-30B-A3B-Base",
        ("NemotronHTwoTowerForCausalLM",),
        note="two towers of Mamba 2 and experts",
    ),
    Published(
        "openPangu-7B-Diffusion-Base",
        ("PanguEmbeddedForCausalLM",),
        note="a tokenizer of SentencePiece with code of its own, which is never run",
    ),
    Published(
        "openPangu-R-7B-Diffusion",
        note="made of openPangu-Embedded-7B, whose tokenizer has code of its own, never run",
    ),
    Published("Sumi-7B", ("SumiForMaskGeneration",), note="uniform noise, an off-by-one softmax"),
    Published("GIDD 3B and 10B", ("GiddForDiffusionLM",), note="uniform noise, no mask token"),
    Published("Trida-7B-Preview", ("TridaForDLM",), note="its mask and blocks are not known"),
    Published(
        "Trida2.0-4B, and models of trida-stack",
        note=BEHIND_CAUSAL,
    ),
    Published("FLARE 2B, 4B and 9B", note="layers of linear attention (Qwen3.5)"),
    Published(
        "Steerling-8B",
        ("SteerlingForCausalLM", "CausalDiffusionLM"),
        note="a layer of concepts before the head, and a tokenizer with code of its own",
    ),
    Published(
        "LLaDA-MoE-v2-30B-A3B Base and Instruct",
        note="its class and the names of its tensors are not known",
    ),
    Published("W1-4B-dLLM-Base", note="a configuration in YAML, for code of its own"),
    Published("Cola-DLM", note="flows of latents, not masks"),
    Published(
        "ReFusion",
        ("Qwen3ForCausalLM",),
        note="slots of tokens in any order, each of which is written causally",
    ),
    Published("SDLM 3B and 32B", note="as many tokens of a block a pass as are certain in a row"),
    Published("LLaDOU, dUltra", ("LLaDOUModelLM",), note="a network of its own chooses positions"),
    Published(
        "sdar_4b_multi_block_causal",
        ("SDARForCausalLM",),
        note="trained to verify drafts, with masks in the order of their steps",
    ),
    Published(
        "VoidPadding of LLaDA and Dream",
        ("LLaDAModelLM", "DreamModel"),
        note="its padding, the token [VOID], is never chosen, but counts in confidences",
        named=re.compile(r"(?<![a-z0-9])void(padding)?(?![a-z0-9])", re.I),
    ),
    Published(
        "RCD of SDAR and LLaDA",
        ("SDARForCausalLM", "LLaDAModelLM"),
        note="masks are mixed with the guesses of the step before, by their entropy (2601.22954)",
        named=re.compile(r"(?<![a-z0-9])rcd(?![a-z0-9])", re.I),
    ),
    Published(
        "dLLM-Var",
        ("LLaDAModelLM",),
        note="blocks are added one at a time, with no masks behind the next one (2510.24605)",
        named=re.compile(r"(?<![a-z0-9])dllm[-_]?var(?![a-z0-9])", re.I),
    ),
    Published(
        "RemeDi-Instruct",
        ("RemeDiModelLM",),
        note="a second stream of layers chooses what is masked again",
    ),
    Published(
        "Adapters alone: D2F, linear_spec_lora, I-DLM's",
        note="no models by themselves: `--adapter` merges them, and linear_spec_lora is read "
        "beside the weights of Nemotron",
    ),
    Published("Mercury 2, Gemini Diffusion, Seed Diffusion", note="weights are not published"),
    Published("DUO", ("DUO",), note="uniform noise and time conditioning"),
    Published("SEDD, RADD", note="scores of a ratio, not logits of a token"),
    Published("TESS 2", note="a simplex over all tokens, not masks"),
    Published("LangFlow", note="flows of embeddings, not masks"),
    Published("Esoteric LM", note=RESEARCH),
    Published(
        "DiffuLLaMA, DiffuGPT",
        ("LlamaForCausalLM", "GPT2LMHeadModel"),
        note="carry the name of an autoregressive model",
    ),
    Published("dhara-70m", ("DharaForMaskedDiffusion",), note=RESEARCH),
    Published("LLaDA-o", note="two sets of weights a layer, and no config.json"),
    Published("LaViDa, LaViDa-O", ("LlavaLladaForMaskedDiffusion",), note=MULTIMODAL),
    Published("Dimple", ("DimpleModel",), note=MULTIMODAL),
    Published(
        "Dream-VLA",
        ("DreamVLAForActionPrediction",),
        note="actions of a robot, by a part of its own",
    ),
    Published(
        "Fast-dDrive",
        ("Fast_dLLM_Qwen2_5_VLForConditionalGeneration",),
        note="answers in a frame of its own, whose parts are filled by rules",
    ),
    Published(
        "DiffusionVL",
        ("DiffusionVLQwenVLForCausalLM", "DiffusionVL_Qwen2_5_VL_ForConditionalGeneration"),
        note=MULTIMODAL,
    ),
    Published("Dynin-Omni", ("DyninOmniForConditionalGeneration",), note=MULTIMODAL),
    Published("LaViDa-R1, PerceptionDLM, Omni-Diffusion, InternLumina-U2", note=MULTIMODAL),
    Published("LLaDA-Image", note="images are made, and no text"),
    Published("MMaDA", ("LLaDAModelLM",), note="image tokens in the vocabulary"),
    Published("Lumina-DiMOO", ("LLaDAForMultiModalGeneration",), note=MULTIMODAL),
)
CENSUS = (*SERVED, *REFUSED)


def reason_for_refusal(architecture: str) -> str | None:
    """Reason why checkpoints of an architecture that no family has are refused, if one is known."""
    return next((row.note for row in REFUSED if architecture in row.architectures), None)


def check_names(names: Iterable[str], architectures: Collection[str]) -> None:
    """Raise `InvalidCheckpoint` if a name refuses a checkpoint of these architectures.

    `names` are those of the checkpoint and of its adapters.
    """
    for name in names:
        for row in REFUSED:
            if row.named is None or set(row.architectures).isdisjoint(architectures):
                continue
            if row.named.search(name):
                raise InvalidCheckpoint(
                    f"{name} is not supported, as {row.name}: {row.note}. If it is another model, "
                    "rename its folder"
                )
