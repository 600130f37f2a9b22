"""Makes the golden folders of relatives with ports of their loops over transformers' models.

`python -m tests.golden.make.relatives`, from the root of this repository, with transformers 5.23.

Ports, since the published loops run on GPUs, or with other releases of transformers, or not from
any position: `block_diffusion_generate` of SDAR and DreamReasoner, `generate_block` of
Stable-DiffCoder, `MDLMSampler` and `BD3LMSampler` of github.com/ZHZisZZ/dllm, `generate.py` of
LLaDA, which iLLaDA's card points to, `diffusion_generate` of CoDA, and `diffusion_sample` of RND1.
Every step computes everything again, in float32 with an additive mask. A choice that another order
of additions could turn is not made into a case.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from tests.golden.make.relative_configs import CONFIGS, NAMES, Made
from tests.support.tiny import EOS_ID, GOLDEN, MASK_ID

CLASSES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen3_moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM),
}
Settings = dict[str, Any]


class CloseChoice(Exception):
    """A choice that another order of additions could turn."""


def must(is_clear: Tensor | bool) -> None:
    if not is_clear:
        raise CloseChoice


@dataclass
class Reference:
    """A model with its attention: blocks from the first position, or None for full attention."""

    model: torch.nn.Module
    block: int | None
    shift: bool = False
    forwards: int = 0

    @torch.no_grad()
    def logits(self, ids: list[int] | Tensor) -> Tensor:
        """Logits [T, V] about each position itself."""
        self.forwards += 1
        ids = torch.as_tensor(ids)
        index = torch.arange(len(ids))
        hidden = torch.zeros(len(ids), len(ids), dtype=torch.bool)
        if self.block is not None:
            hidden = index[None] // self.block > index[:, None] // self.block
        mask = torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(torch.float32).min)
        logits: Tensor = self.model(
            input_ids=ids[None], attention_mask=mask[None, None], use_cache=False
        ).logits[0]
        return torch.cat((logits[:1], logits[:-1])) if self.shift else logits

    def raw_logits(self, ids: Tensor) -> Tensor:
        """Logits [T, V] as the model gives them."""
        return Reference(self.model, self.block).logits(ids)


def surest(scores: Tensor, count: int) -> list[int]:
    """Indices of the highest scores; the next one must be clearly lower."""
    order = scores.sort(descending=True)
    if count < len(scores) and torch.isfinite(order.values[count]):
        must(order.values[count - 1] - order.values[count] > 1e-6)
    chosen: list[int] = order.indices[:count].tolist()
    return chosen


def likeliest(logits: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Tokens [T], and their probabilities [T] in float64; the second must be clearly less."""
    top = (logits if masked is None else logits[masked]).topk(2).values
    must((top[:, 0] - top[:, 1]).min() > 1e-4)
    shares, tokens = logits.double().softmax(-1).max(-1)
    return tokens, shares


def over(scores: Tensor, threshold: float) -> list[int]:
    must((scores[scores.isfinite()] - threshold).abs().min() > 1e-4)
    found: list[int] = (scores > threshold).nonzero().flatten().tolist()
    return found


def even(count: int, steps: int) -> list[int]:
    return [count // steps + (i < count % steps) for i in range(steps)]


def block_loop(reference: Reference, prompt: list[int], s: Settings) -> list[int]:
    """SDAR's, and Stable-DiffCoder's where its schedule is of the masks that a block has."""
    block, steps, threshold = s["block_length"], s["steps_per_block"], s.get("threshold")
    total = -(-(len(prompt) + s["gen_length"]) // block) * block
    ids = torch.tensor(prompt + [MASK_ID] * (total - len(prompt)))
    for start in range(len(prompt) // block * block, total, block):
        rows = slice(start, start + block)
        count = int((ids[rows] == MASK_ID).sum()) if s.get("of_masks") else block
        for quota in even(count, steps):
            masked = ids[rows] == MASK_ID
            if not masked.any():
                break
            tokens, shares = likeliest(reference.logits(ids[: start + block])[rows], masked)
            scores = shares.masked_fill(~masked, -torch.inf)
            taken = [] if threshold is None else over(scores, threshold)
            if len(taken) < quota:
                taken = surest(scores, min(quota, int(masked.sum())))
            ids[start + torch.tensor(taken)] = tokens[taken]
        reference.forwards += 1  # for keys and values
    return ids[len(prompt) : len(prompt) + s["gen_length"]].tolist()


def rounded(count: int, steps: int) -> list[int]:
    """`get_num_transfer_tokens` of dLLM, by its schedule that is linear in time."""
    quotas = []
    for left in range(steps, 0, -1):
        s, t = (torch.tensor(part / steps, dtype=torch.float32) for part in (left - 1, left))
        share = 1 - ((1 - (1 - s)) / (1 - (1 - t))).item()
        quotas.append(min(int(torch.tensor(count, dtype=torch.float64).mul(share).round()), count))
        count -= quotas[-1]
    return [quota for quota in quotas if quota]


def answer_loop(reference: Reference, prompt: list[int], s: Settings) -> list[int]:
    """LLaDA's, MDLM's and BD3-LM's: blocks from the prompt's end, each by its own schedule."""
    length, block, scale = s["gen_length"], s["block_length"], s.get("cfg_scale", 0.0)
    ids = torch.tensor(prompt + [MASK_ID] * length)
    schedule = rounded if s.get("schedule") == "rounded" else even
    for start in range(len(prompt), len(ids), block):
        end = start + block
        seen = end if reference.block else len(ids)  # blocks do not see later ones
        for quota in schedule(block, s["steps_per_block"]):
            logits = reference.logits(ids[:seen])
            if scale:
                alone = ids[:seen].clone()
                alone[: len(prompt)] = MASK_ID
                without = reference.logits(alone)
                logits = without + (scale + 1) * (logits - without)
                reference.forwards -= 1
            masked = ids[start:end] == MASK_ID
            tokens, shares = likeliest(logits[start:end], masked)
            scores = shares.masked_fill(~masked, -torch.inf)
            taken = torch.tensor(surest(scores, quota))
            ids[start + taken] = tokens[taken]
    return ids[len(prompt) :].tolist()


def ranks(logits: Tensor, policy: str) -> Tensor:
    shares = logits.softmax(-1)
    if policy == "entropy":
        return (shares * (shares + 1e-10).log()).sum(-1)
    if policy == "topk_margin":
        top = shares.topk(2).values
        return top[:, 0] - top[:, 1]
    return shares.max(-1).values


def dream_loop(reference: Reference, prompt: list[int], s: Settings) -> list[int]:
    """CoDA's `diffusion_generate`, which is Dream's."""
    length, steps = s["gen_length"], s["steps"]
    ids = torch.tensor(prompt + [MASK_ID] * length)
    times = torch.linspace(1, 1e-3, steps + 1)
    for i in range(steps):
        masked = (ids == MASK_ID).nonzero().flatten()
        count = torch.tensor(len(masked)) / 1
        last = i == steps - 1
        quota = int(count) if last else int(count * (1 - times[i + 1] / times[i]))
        if not quota:
            continue
        logits = reference.logits(ids)[masked]
        tokens, _ = likeliest(logits)
        taken = surest(ranks(logits, s["policy"]), quota)
        ids[masked[taken]] = tokens[taken]
    return ids[len(prompt) :].tolist()


def rnd1_loop(reference: Reference, prompt: list[int], s: Settings) -> list[int]:
    """RND1's `diffusion_sample`, greedy, with no position kept for an end token."""
    length, steps = s["gen_length"], s["steps"]
    ids = torch.tensor(prompt + [MASK_ID] * length)
    for step in range(steps - 1, -1, -1):
        masked = (ids == MASK_ID).nonzero().flatten()
        kept = int((torch.tensor([[length]]) * (step / steps)).long())
        if len(masked) == kept:
            continue
        logits = reference.logits(ids)[masked]
        tokens, _ = likeliest(logits)
        log_shares = logits.log_softmax(-1)
        entropies = -(log_shares.exp() * log_shares).sum(-1)
        taken = surest(-entropies, len(masked) - kept)
        ids[masked[taken]] = tokens[taken]
    return ids[len(prompt) :].tolist()


def draw(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Random weights, so large that every part affects the logits; the mask is never likely."""
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator)
        if name.endswith("norm.weight"):
            drawn = 1 + 0.3 * drawn
        elif weight.dim() > 1 and "embed" not in name:
            drawn *= 1.2 / weight.shape[-1] ** 0.5
        elif name.endswith("bias"):
            drawn *= 0.3
        weight.data.copy_(drawn)
        if "q_proj.weight" in name or "q_norm" in name:
            weight.data *= 2.5  # attention that looks at few positions, so that answers vary
    model.model.embed_tokens.weight.data[MASK_ID] *= 0.05
    model.lm_head.weight.data *= 0.7 if model.config.tie_word_embeddings else 3.0
    model.lm_head.weight.data[MASK_ID] *= 0.05


def tensors_of(model: torch.nn.Module, folder: str) -> dict[str, Tensor]:
    """Tensors by the names and in the layout of the checkpoint's authors."""
    kept = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        for old, new in NAMES.get(folder, {}).items():
            name = name.replace(old, new)
        if name.endswith("experts.gate_up_proj"):
            for expert, both in enumerate(tensor):
                gate, up = both.chunk(2)
                prefix = name.removesuffix("gate_up_proj") + str(expert)
                kept |= {f"{prefix}.gate_proj.weight": gate, f"{prefix}.up_proj.weight": up}
        elif name.endswith("experts.down_proj"):
            prefix = name.removesuffix("down_proj")
            kept |= {f"{prefix}{i}.down_proj.weight": one for i, one in enumerate(tensor)}
        else:
            kept[name] = tensor
    return {name: tensor.clone().contiguous() for name, tensor in kept.items()}


LOOPS: dict[str, Callable[[Reference, list[int], Settings], list[int]]] = {
    "block": block_loop,
    "answer": answer_loop,
    "dream": dream_loop,
    "rnd1": rnd1_loop,
}


def answer(
    model: torch.nn.Module,
    made: Made,
    prompt_len: int,
    settings: Settings,
    generator: torch.Generator,
) -> tuple[Reference, list[int], list[int]]:
    """A reference, a prompt and its answer; prompts with a choice that is close are passed over."""
    for _ in range(20):
        block = settings["block_length"] if made.block else None
        reference = Reference(model, block, made.shift)
        prompt = torch.randint(0, EOS_ID, (prompt_len,), generator=generator).tolist()
        try:
            tokens = LOOPS[made.loop](reference, prompt, settings)
        except CloseChoice:
            continue
        if MASK_ID not in tokens:
            return reference, prompt, tokens
    raise AssertionError(f"no prompt of {prompt_len} tokens has clear choices")


def make(folder: str) -> None:
    made = CONFIGS[folder]
    generator = torch.Generator().manual_seed(made.seed)
    config_class, model_class = CLASSES[made.base]
    sizes = {name: value for name, value in made.raw.items() if name not in made.own}
    model = model_class(config_class(**sizes))
    model.train(False)
    draw(model, generator)
    cases = []
    for i, (prompt_len, settings) in enumerate(made.cases):
        reference, prompt, tokens = answer(model, made, prompt_len, settings, generator)
        asked = {n: value for n, value in settings.items() if n not in ("of_masks", "schedule")}
        cases.append(
            {
                "name": f"{folder}-{i}",
                "prompt": prompt,
                "settings": asked,
                "tokens": tokens,
                "forwards": reference.forwards,
            }
        )
        print(f"{folder} {i}: {settings}, {reference.forwards} passes, {len(set(tokens))} tokens")
    ids = torch.randint(0, EOS_ID, (45,), generator=generator)
    ids[torch.rand(45, generator=generator) < 0.4] = MASK_ID
    target = GOLDEN / folder
    target.mkdir(exist_ok=True)
    logits = Reference(model, made.block).raw_logits(ids)
    save_file({"input_ids": ids, "logits": logits.contiguous()}, target / "forward.safetensors")
    save_file(tensors_of(model, folder), target / "model.safetensors")
    raw = json.dumps(made.published, indent=1, sort_keys=True)
    (target / "config.json").write_text(f"{raw}\n")
    head = json.dumps({"family": folder, "mask_token_id": MASK_ID})[:-1]
    listed = ",\n".join(json.dumps(case) for case in cases)
    (target / "golden.json").write_text(f'{head}, "cases": [\n{listed}\n]}}\n')


if __name__ == "__main__":
    torch.set_num_threads(1)
    for folder in CONFIGS:
        make(folder)
