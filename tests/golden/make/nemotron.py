"""Makes `tests/golden/nemotron`: a tiny checkpoint with its draft adapter, and reference results.

Run as `make/nemotron.py PATH`. PATH is `modeling_nemotron_labs_diffusion.py` of
nvidia/Nemotron-Labs-Diffusion-8B on the Hugging Face hub (May 2026, "transformers>=5.0"), or its
class `NemotronLabsDiffusionModel` without the training code, as for the recorded results. Its three
loops run as published: `generate`, `ar_generate`, `linear_spec_generate`. Port: the modules beside
it, `modeling_ministral` and the configuration, are replaced by `Encoder`, which is transformers'
(5.23) Ministral 3 with the authors' switch between causal and bidirectional attention; and PEFT is
replaced by `Lora`, which gives the same bits as PEFT 0.21.2.

Both configurations are written by hand, with the published fields. The weights are trained for
seconds on chains of tokens, so that thresholds, drafts and ends of sequences matter. Answers whose
length is no multiple of the block length are cut from the next multiple: the authors' code asks for
multiples.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.models.ministral3 import Ministral3Config
from transformers.models.ministral3 import modeling_ministral3 as ministral

ROOT = Path(__file__).parent.parent.parent.parent
FOLDER = ROOT / "tests" / "golden" / "nemotron"
ADAPTER = FOLDER / "linear_spec_lora"
CONFIG: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
ADAPTER_CONFIG: dict[str, Any] = json.loads((ADAPTER / "adapter_config.json").read_text())
RANK, ALPHA = ADAPTER_CONFIG["r"], ADAPTER_CONFIG["lora_alpha"]
BLOCK = CONFIG["block_size"]
MASK_ID, EOS_ID, THINK_END_ID = CONFIG["mask_token_id"], CONFIG["eos_token_id"], 7


class Attention(ministral.Ministral3Attention):
    """Attention that is causal, or bidirectional over the cache and all rows of the pass.

    Rows of a pass without `use_cache` do not stay in the cache.
    """

    diffusion_lm = True

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None,
        position_ids: Tensor,
        past_key_values: DynamicCache | None = None,
        use_cache: bool = False,
        **_: Any,
    ) -> tuple[Tensor, None]:
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        projections = self.q_proj, self.k_proj, self.v_proj
        query, key, value = (p(hidden_states).view(shape).transpose(1, 2) for p in projections)
        query, key = ministral.apply_rotary_pos_emb(query, key, *position_embeddings)
        rope = self.config.rope_parameters
        beta, length = rope["llama_4_scaling_beta"], rope["original_max_position_embeddings"]
        query = query * ministral.get_llama_4_attn_scale(position_ids, beta, length)
        if past_key_values is not None and use_cache:
            key, value = past_key_values.update(key, value, self.layer_idx)
        elif past_key_values is not None:
            past = past_key_values.layers[self.layer_idx]
            key, value = torch.cat((past.keys, key), 2), torch.cat((past.values, value), 2)
        num_rows, num_keys = query.shape[2], key.shape[2]
        causal = torch.ones(num_rows, num_keys, dtype=torch.bool).tril(num_keys - num_rows)
        mask = None if self.diffusion_lm else causal
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), None


class Encoder(ministral.Ministral3Model):
    """Ministral 3 with this attention, as the published class calls it."""

    def __init__(self, config: Ministral3Config) -> None:
        super().__init__(config)
        for index, layer in enumerate(self.layers):
            layer.self_attn = Attention(config, index)

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        use_cache: bool = False,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        if position_ids is None:
            start = 0 if past_key_values is None else past_key_values.get_seq_length()
            position_ids = torch.arange(start, start + input_ids.shape[1])[None]
        hidden = self.embed_tokens(input_ids)
        rope = self.rotary_emb(hidden, position_ids=position_ids)
        for layer in self.layers:
            hidden = layer(
                hidden,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                position_embeddings=rope,
            )
        kept = past_key_values if use_cache else None
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden), past_key_values=kept)


class Lora(nn.Module):
    """Linear layer with a low-rank addition, which the published loop switches by PEFT's flag."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.a = nn.Parameter(torch.randn(RANK, base.in_features) / base.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(base.out_features, RANK))
        self._disable_adapters = True

    def forward(self, x: Tensor) -> Tensor:
        plain: Tensor = self.base(x)
        if self._disable_adapters:
            return plain
        return plain + F.linear(F.linear(x, self.a), self.b) * (ALPHA / RANK)


def load_published(path: Path) -> ModuleType:
    """The published module, with stand-ins for the two that it imports from beside it."""
    package = ModuleType("published")
    package.__path__ = [str(path.parent)]
    model, config = ModuleType("published.modeling_ministral"), ModuleType("published.config")
    vars(model).update(
        Ministral3Model=Encoder,
        Ministral3PreTrainedModel=ministral.Ministral3PreTrainedModel,
        Ministral3Attention=Attention,
        apply_rotary_pos_emb=ministral.apply_rotary_pos_emb,
        repeat_kv=ministral.repeat_kv,
        _get_llama_4_attn_scale=ministral.get_llama_4_attn_scale,
    )
    vars(config).update(NemotronLabsDiffusionConfig=Ministral3Config)
    sys.modules["published"] = package
    sys.modules["published.modeling_ministral"] = model
    sys.modules["published.configuration_nemotron_labs_diffusion"] = config
    return importlib.import_module(f"published.{path.stem}")


class Chains:
    """Token chains: the successor of the token before, or now and then another; EOS is one."""

    def __init__(self, num_tokens: int, generator: torch.Generator) -> None:
        self.generator = generator
        self.tokens = torch.randperm(EOS_ID, generator=generator)[:num_tokens]
        self.tokens[0] = EOS_ID
        self.successors = torch.randperm(num_tokens, generator=generator)

    def draw(self, count: int, length: int) -> Tensor:
        """Chains [count, length]."""
        current = torch.randint(len(self.tokens), (count,), generator=self.generator)
        columns = []
        for _ in range(length):
            luck = torch.rand(count, generator=self.generator)
            other = torch.randint(len(self.tokens), (count,), generator=self.generator)
            current = torch.where(luck < 0.03, other, self.successors[current])
            columns.append(self.tokens[current])
        return torch.stack(columns, 1)


def set_bidirectional(model: Any, enabled: bool) -> None:
    for layer in model.encoder.layers:
        layer.self_attn.diffusion_lm = enabled


def losses(model: Any, chains: Chains, *, causal: bool) -> Tensor:
    """Loss of masked positions of an open block and, with `causal`, of next tokens before it."""
    generator = chains.generator
    prefix = int(torch.randint(4, 48, (1,), generator=generator))
    block_len = BLOCK * int(torch.randint(1, 3, (1,), generator=generator))
    ids = chains.draw(16, prefix + block_len)
    start = int(torch.randint(0, 192, (1,), generator=generator))
    positions = torch.arange(start, start + ids.shape[1])[None]
    cache = DynamicCache()
    set_bidirectional(model, enabled=False)
    past = model.encoder(ids[:, :prefix], positions[:, :prefix], cache, use_cache=True)
    logits = model.diffusion_head(past.last_hidden_state)
    loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1 : prefix + 1].flatten())
    share = torch.rand(16, 1, generator=generator)
    masked = torch.rand(16, block_len, generator=generator) < 0.3 + 0.7 * share
    masked[:, 0] = False
    block = torch.where(masked, MASK_ID, ids[:, prefix:])
    set_bidirectional(model, enabled=True)
    drafted = model.encoder(block, positions[:, prefix:], cache).last_hidden_state
    draft_loss = F.cross_entropy(model.diffusion_head(drafted)[masked], ids[:, prefix:][masked])
    return draft_loss + loss if causal else draft_loss


def train(model: Any, parameters: list[nn.Parameter], chains: Chains, steps: int) -> None:
    is_adapter = len(parameters) < len(list(model.parameters()))
    optimizer = torch.optim.Adam(parameters)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
        loss = losses(model, chains, causal=not is_adapter)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}")


def set_adapters(model: Any, enabled: bool) -> None:
    for module in model.modules():
        if isinstance(module, Lora):
            module._disable_adapters = not enabled


@torch.no_grad()
def forward_passes(model: Any, chains: Chains) -> dict[str, Tensor]:
    """Logits of causal rows, and of an open block without and with the adapter."""
    prefix = 100
    ids = chains.draw(1, prefix + BLOCK)
    ids[:, prefix + 1 :: 2] = MASK_ID
    ids[:, prefix + 4] = MASK_ID
    rows = torch.cat((torch.arange(0, prefix, 7), torch.arange(prefix, prefix + BLOCK)))
    set_adapters(model, enabled=False)
    set_bidirectional(model, enabled=False)
    causal = model(ids, use_cache=False).logits[0, rows]
    cache = model(ids[:, :prefix], use_cache=True).past_key_values
    set_bidirectional(model, enabled=True)
    results = {"input_ids": ids[0], "causal_rows": rows, "causal_logits": causal}
    for name, enabled in (("open_logits", False), ("draft_logits", True)):
        set_adapters(model, enabled)
        passed = model(ids[:, prefix:], past_key_values=cache, use_cache=False)
        results[name] = passed.logits[0]
    set_adapters(model, enabled=False)
    return results


def run_case(published: ModuleType, model: Any, prompt: Tensor, settings: dict[str, Any]) -> Any:
    """A reference answer: tokens, forward passes and, of speculation, tokens of each pass."""
    wanted, block_len = settings["gen_length"], settings.get("block_length", 1)
    is_block = settings["mode"] == "diffusion"
    length = -(-wanted // block_len) * block_len if is_block else wanted
    kept: list[int] = []

    def crop(cache: DynamicCache, length: int) -> None:
        if (surplus := cache.get_seq_length() - length) > 0:
            cache.crop(-surplus)  # published for transformers 5.0, where `crop` took the length
        kept.append(length)

    vars(published)["_crop_dynamic_cache"] = crop
    options = {"eos_token_id": settings["eos_token_id"] or -1}
    if "max_thinking_tokens" in settings:
        options |= {n: settings[n] for n in ("max_thinking_tokens", "end_think_token_id")}
    if settings["mode"] == "ar":
        out, forwards = model.ar_generate(prompt[None], length, **options)
    else:
        loops = {"diffusion": model.generate, "self_speculation": model.linear_spec_generate}
        options |= {"block_length": block_len, "threshold": settings["threshold"]}
        out, forwards = loops[settings["mode"]](prompt[None], length, **options)
    starts = [len(prompt), *kept]
    accepted = [end - start for start, end in zip(starts, kept, strict=False)]
    tokens = out[0, len(prompt) :].tolist()
    assert MASK_ID not in tokens
    case = {"settings": settings, "forwards": forwards, "tokens": tokens[:wanted]}
    return case | ({"accepted": accepted} if settings["mode"] == "self_speculation" else {})


def all_settings(gen_length: int, block_len: int) -> Iterator[tuple[str, dict[str, Any]]]:
    base = {"gen_length": gen_length, "eos_token_id": None}
    block = base | {"mode": "diffusion", "block_length": block_len}
    yield "threshold", block | {"policy": "threshold", "threshold": 0.9}
    yield "one-a-step", block | {"policy": "low_confidence", "threshold": None}
    yield "ar", base | {"mode": "ar"}
    speculation = base | {"mode": "self_speculation", "block_length": block_len}
    for name, adapter, threshold in (("", True, 0.0), ("-plain", False, 0.0), ("-0.9", True, 0.9)):
        yield f"speculation{name}", speculation | {"adapter": adapter, "threshold": threshold}


def make_cases(
    published: ModuleType, model: Any, prompts: list[Tensor]
) -> Iterator[dict[str, Any]]:
    """Answers of all modes for prompts of ragged lengths."""
    adapters = [layer.self_attn.o_proj for layer in model.encoder.layers]
    sizes = (20, 8), (24, 8), (33, 16), (40, 16)
    for prompt, (gen_length, block_len) in zip(prompts, sizes, strict=True):
        prompt_len = len(prompt)
        for name, settings in all_settings(gen_length, block_len):
            for ends in (False, True):
                chosen = settings | ({"eos_token_id": EOS_ID} if ends else {})
                attached = settings.get("adapter", False)
                for layer, adapter in zip(model.encoder.layers, adapters, strict=True):
                    layer.self_attn.o_proj = adapter if attached else adapter.base
                case = run_case(published, model, prompt, chosen)
                label = f"{name}-{prompt_len}" + ("-eos" if ends else "")
                yield {"name": label, "prompt": prompt.tolist(), **case}
        thinking = {"max_thinking_tokens": 11, "end_think_token_id": THINK_END_ID}
        for name, settings in list(all_settings(gen_length, block_len))[:3]:
            case = run_case(published, model, prompt, settings | thinking)
            yield {"name": f"{name}-{prompt_len}-thinking", "prompt": prompt.tolist(), **case}


def main(path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    published = load_published(path)
    model = published.NemotronLabsDiffusionModel(Ministral3Config(**CONFIG)).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    with torch.no_grad():
        model.diffusion_head.weight[MASK_ID] = 0
    chains = Chains(24, torch.Generator().manual_seed(1))
    train(model, list(model.parameters()), chains, 800)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.requires_grad_(False)
    for layer in model.encoder.layers:
        layer.self_attn.o_proj = Lora(layer.self_attn.o_proj)
    set_adapters(model, enabled=True)
    train(model, [p for p in model.parameters() if p.requires_grad], chains, 100)
    pairs: dict[str, Tensor] = {}
    for index, layer in enumerate(model.encoder.layers):
        name, lora = (
            f"base_model.model.encoder.layers.{index}.self_attn.o_proj",
            layer.self_attn.o_proj,
        )
        pairs |= {f"{name}.lora_A.weight": lora.a.data, f"{name}.lora_B.weight": lora.b.data}

    save_file(weights, FOLDER / "model.safetensors")
    save_file(pairs, ADAPTER / "adapter_model.safetensors")
    save_file(forward_passes(model, chains), FOLDER / "reference.safetensors")
    prompts = [torch.tensor([3]), *(chains.draw(1, length)[0] for length in (13, 45, 90))]
    cases = list(make_cases(published, model, prompts))
    # No answer hangs on rounding.
    assert cases == list(make_cases(published, model.double(), prompts))
    golden = {"family": "nemotron", "mask_token_id": MASK_ID, "cases": cases}
    (FOLDER / "reference.json").write_text(json.dumps(golden) + "\n")
    for file in sorted(FOLDER.rglob("*.*")):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
