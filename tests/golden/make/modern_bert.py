"""Makes the golden folder of ModernBERT with a port of dLLM's sampler over transformers' model.

`python -m tests.golden.make.modern_bert`, from the root of this repository, with transformers 5.23.
The port of `MDLMSampler` of github.com/ZHZisZZ/dllm is `answer_loop` of the relatives.
"""

import json
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import ModernBertConfig, ModernBertForMaskedLM

from tests.golden.make.relative_configs import ROUNDED
from tests.golden.make.relatives import CloseChoice, Reference, answer_loop
from tests.support.tiny import EOS_ID, GOLDEN, MASK_ID, VOCAB_SIZE

FOLDER = "modernbert"
SIZES: dict[str, Any] = {
    "attention_bias": False,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "cls_token_id": EOS_ID,
    "decoder_bias": True,
    "eos_token_id": EOS_ID,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "hidden_size": 32,
    "intermediate_size": 48,
    "local_attention": 20,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "mlp_bias": False,
    "norm_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "pad_token_id": EOS_ID,
    "sep_token_id": EOS_ID,
    "vocab_size": VOCAB_SIZE,
}
# As older releases of transformers wrote them, the last two without effect.
PUBLISHED: dict[str, Any] = SIZES | {
    "architectures": ["ModernBertForMaskedLM"],
    "classifier_pooling": "mean",
    "deterministic_flash_attn": False,
    "embedding_dropout": 0.0,
    "initializer_cutoff_factor": 2.0,
    "model_type": "modernbert",
    "repad_logits_with_grad": False,
    "sparse_prediction": False,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "layer_norm_eps": 1e-05,
    "position_embedding_type": "absolute",
}


@dataclass
class BertReference(Reference):
    """ModernBERT, which makes its own masks of full and of sliding layers."""

    @torch.no_grad()
    def logits(self, ids: list[int] | Tensor) -> Tensor:
        self.forwards += 1
        logits: Tensor = self.model(input_ids=torch.as_tensor(ids)[None]).logits[0]
        return logits


def draw(model: ModernBertForMaskedLM, generator: torch.Generator) -> None:
    """Random weights, so large that every part affects the logits; the mask is never likely."""
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator)
        if weight.dim() > 1 and "embeddings" not in name:
            drawn *= 1.2 / weight.shape[-1] ** 0.5
        elif weight.dim() == 1:
            drawn = 0.3 * drawn + ("norm.weight" in name)
        weight.data.copy_(drawn)
        if "Wqkv.weight" in name:  # attention that looks at few positions, so that answers vary
            weight.data[: len(weight) // 3] *= 2.5
    model.decoder.weight.data[MASK_ID] *= 0.05
    model.decoder.bias.data[MASK_ID] = -5.0


def main() -> None:
    generator = torch.Generator().manual_seed(9)
    model = ModernBertForMaskedLM(ModernBertConfig(**SIZES, attn_implementation="eager"))
    model.train(False)
    draw(model, generator)
    cases: list[dict[str, Any]] = []
    for prompt_len, settings in ROUNDED:
        tokens = None
        while tokens is None or MASK_ID in tokens:
            reference = BertReference(model, None)
            prompt = torch.randint(0, EOS_ID, (prompt_len,), generator=generator).tolist()
            try:
                tokens = answer_loop(reference, prompt, settings)
            except CloseChoice:
                continue
        asked = {name: value for name, value in settings.items() if name != "schedule"}
        own = {"name": f"{FOLDER}-{len(cases)}", "prompt": prompt, "settings": asked}
        cases.append(own | {"tokens": tokens, "forwards": reference.forwards})
        print(f"{settings}: {reference.forwards} passes, {len(set(tokens))} tokens")
    ids = torch.randint(0, EOS_ID, (45,), generator=generator)
    ids[torch.rand(45, generator=generator) < 0.4] = MASK_ID
    target = GOLDEN / FOLDER
    target.mkdir(exist_ok=True)
    logits = BertReference(model, None).logits(ids)
    save_file({"input_ids": ids, "logits": logits.contiguous()}, target / "forward.safetensors")
    stored = {name: t.clone() for name, t in model.state_dict().items() if name != "decoder.weight"}
    save_file(stored, target / "model.safetensors")
    raw = json.dumps(PUBLISHED, indent=1, sort_keys=True)
    (target / "config.json").write_text(f"{raw}\n")
    head = json.dumps({"family": FOLDER, "mask_token_id": MASK_ID})[:-1]
    listed = ",\n".join(json.dumps(case) for case in cases)
    (target / "golden.json").write_text(f'{head}, "cases": [\n{listed}\n]}}\n')


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
