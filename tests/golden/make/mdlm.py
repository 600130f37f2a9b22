"""Makes tests/golden/mdlm and bd3lm with the authors' code, on a CPU.

`python -m tests.golden.make.mdlm BD3LMS MDLM REMDM`, from the root of this repository: checkouts of
github.com/kuleshov-group/bd3lms at 1c3e8f43d88dfbcee5ff2aa6932a9e74b31ae1d7,
github.com/kuleshov-group/mdlm at c112c526d193436838c98d81455ee51f90309470 and
github.com/kuleshov-group/remdm at f830d659fb98d9b2c79ff71bfa12d578312b688a.

Logits are of `models/hf/modeling_bd3lm.py`, whose network is MDLM's where `cross_attn` is false.
Samples are of `Diffusion._semi_ar_sampler` (BD3-LM, first hitting) and `Diffusion._sample` (MDLM,
`ddpm` and `ddpm_cache`; ReMDM, but that the prompt stays), losses of `_forward_pass_diffusion`
(BD3-LM). Packages that these files import for training only are replaced by stubs. Random numbers
are unmask's own, by seed, position and step: `torch.rand_like` gives those with which the same
token is drawn.
"""

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.support.tiny import EOS_ID, MASK_ID, VOCAB_SIZE
from unmask_kernels.philox import gumbel_noise, position_noise

GOLDEN = Path(__file__).parent.parent
LENGTH, BLOCK_LEN = 512, 8
FIELDS: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "model_length": LENGTH,
    "hidden_dim": 32,
    "cond_dim": 8,
    "n_blocks": 2,
    "n_heads": 2,
    "dropout": 0.1,
    "time_conditioning": False,
    "dtype": "float32",
}
ONLY_BD3LM = {
    "block_size": BLOCK_LEN,
    "cross_attn": True,
    "adaln": True,
    "attn_backend": "sdpa",
    "causal": False,
    "var_min": True,
    "sampling_eps_min": 1e-3,
    "sampling_eps_max": 0.999,
}
# Prompt length, answer length, steps of MDLM's samplers.
# Prompt length, answer length, steps, eta of ReMDM's samplers, and which of them.
REMASKED = (
    (1, 30, 24, 0.05, "remdm_cap"),
    (19, 24, 40, 0.1, "remdm_rescale"),
    (12, 40, 16, 0.3, "remdm_rescale"),
    (30, 25, 60, 0.1, "remdm_loop"),
    (8, 20, 100, 0.02, "remdm_loop"),
    (40, 31, 12, 0.7, "remdm_cap"),
)
REMASKED_BY_CONFIDENCE = (
    (1, 30, 24, None, "remdm_conf"),
    (19, 24, 60, None, "remdm_conf"),
    (33, 40, 90, None, "remdm_conf"),
    (12, 16, 6, None, "remdm_conf"),
)
CASES = ((1, 40, 6), (11, 17, 12), (16, 24, 9), (23, 33, 20), (57, 50, 5), (80, 30, 30))
STUBS = (
    *(
        "hydra",
        "hydra.utils",
        "lightning",
        "torchmetrics",
        "torchmetrics.aggregation",
        "dataloader",
    ),
    *("metrics", "models", "omegaconf", "tqdm", "utils", "flash_attn"),
)


def rearrange(x: Tensor, pattern: str, **sizes: int) -> Tensor:
    """The two uses of `einops.rearrange` in the model."""
    if pattern == "b s (three h d) -> b s three h d":
        return x.unflatten(2, (sizes["three"], sizes["h"], -1))
    assert pattern == "b s h d -> b s (h d)"
    return x.flatten(2)


def hf_classes(root: Path) -> tuple[Any, Any]:
    """`BD3LMConfig` and `BD3LM`."""
    einops = types.ModuleType("einops")
    einops.rearrange = rearrange  # type: ignore[attr-defined]
    sys.modules["einops"] = einops
    package = types.ModuleType("bd3lm_hf")
    package.__path__ = [str(root / "models/hf")]
    sys.modules["bd3lm_hf"] = package
    configuration = importlib.import_module("bd3lm_hf.configuration_bd3lm")
    modeling = importlib.import_module("bd3lm_hf.modeling_bd3lm")
    return configuration.BD3LMConfig, modeling.BD3LM


def diffusion_of(root: Path, name: str) -> Any:
    """The module `diffusion` of a checkout."""

    class LightningModule(torch.nn.Module):
        device, dtype = torch.device("cpu"), torch.float32

    stubs: dict[str, Any] = {stub: MagicMock() for stub in STUBS}
    stubs["lightning"].LightningModule = LightningModule
    stubs["torchmetrics"].aggregation.MeanMetric = object
    stubs["tqdm"].tqdm = lambda steps, **_: steps
    stubs["noise_schedule"] = run_module("noise_schedule", root / "noise_schedule.py")
    with patch.dict(sys.modules, stubs):
        return run_module(name, root / "diffusion.py")


def run_module(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def set_weights(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Random weights, of adaLN too; the mask's logit is high, as nothing trains it."""
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator)
        if "norm" in name:
            weight.copy_(1 + 0.2 * drawn)
        elif name.endswith("bias"):
            weight.copy_(0.3 * drawn)
        else:
            weight.copy_(drawn * (1.2 / weight.shape[-1] ** 0.5))
    model.backbone.vocab_embed.embedding.mul_(3)
    model.backbone.output_layer.linear.weight.mul_(1.5)
    model.backbone.output_layer.linear.bias[MASK_ID] = 6.0


def text(length: int, generator: torch.Generator) -> list[int]:
    drawn: list[int] = torch.randint(0, EOS_ID, (length,), generator=generator).tolist()
    return [EOS_ID, *drawn][:length]  # GPT-2's BOS is its EOS


class Numbers:
    """unmask's random numbers in place of torch's, for a sampler of one text."""

    def __init__(self, seed: int) -> None:
        self.seed, self.step, self.first = seed, 0, 0
        self.block = torch.empty(0)

    def _keys(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        positions = torch.arange(self.first, self.first + count)
        seeds, steps = (torch.full_like(positions, key) for key in (self.seed, self.step))
        return seeds, positions, steps

    def rand_like(self, probabilities: Tensor) -> Tensor:
        """Uniform numbers [1, L, V] by which `_sample_categorical` takes our token.

        Token v is taken where p / E is highest, E = -log(uniform); that of the mask is such that
        its position is left masked where our number is below the mask's share.
        """
        _, length, vocab_size = probabilities.shape
        keys = self._keys(length)
        exponential = (-gumbel_noise(*keys, vocab_size).double()).exp()
        shares = probabilities[0].double().clone()
        is_ancestral = bool((shares[:, MASK_ID] != 0).any())
        shares[:, MASK_ID] = 0
        total = shares.sum(-1)
        smallest = (exponential / (shares / total[:, None])).amin(-1).nan_to_num(1.0)  # all mask
        uniform = (-(-position_noise(keys[0], keys[1], keys[2]).double()).exp()).exp()
        exponential[:, MASK_ID] = smallest * uniform / (1 - uniform) if is_ancestral else 1.0
        # Only their ratios count; the sampler cannot tell those above 23 apart.
        exponential *= 20 / exponential.amax(-1, keepdim=True)
        self.step += 1
        return (-exponential).exp()[None]

    def randint(self, low: int, high: Tensor, size: tuple[int, ...]) -> Tensor:
        """Rank among the masked positions of the one with the highest noise."""
        self.step -= 1  # it was counted by the tokens
        noise = position_noise(*self._keys(self.block.shape[1]))
        self.step += 1
        masked = self.block[0] == MASK_ID
        best = torch.where(masked, noise, -torch.inf).argmax()
        return masked[:best].sum()[None]


def sampler(module: Any, model: Any, prompt: list[int], numbers: Numbers, **fields: Any) -> Any:
    """A `Diffusion` of a model that fills masks after a prompt."""

    class Sampler(module.Diffusion):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

        def _sample_prior(self, *shape: int) -> Tensor:
            length = shape[-1]
            numbers.first, numbers.step = numbers.first + self.num_given, 0
            self.num_given = length
            given = prompt[numbers.first : numbers.first + length]
            return torch.tensor([given + [MASK_ID] * (length - len(given))])

        def _ddpm_caching_update(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
            numbers.block = x[:, -self.block_size :]
            if "conf" in kwargs:  # ReMDM's, which rounds confidences to bfloat16
                kwargs["conf"] = kwargs["conf"].float()
            updated = super()._ddpm_caching_update(x, *args, **kwargs)
            if len(updated) == 3:  # ReMDM's would mask the prompt again
                updated[1][:, : len(prompt)] = torch.tensor(prompt)
            return updated

        def _check_stop_conds(self, x: Tensor) -> tuple[bool, Tensor]:
            return False, x

    made = Sampler()
    made.num_given = 0
    fields |= {"backbone": lambda x, sigma, **_: logits_of(model, x[0], sigma)[None]}
    made.mask_index, made.neg_infinity = MASK_ID, -1000000.0
    made.parameterization, made.time_conditioning = "subs", False
    made.cross_attn = False  # the sampler's: inputs are not doubled
    made.tokenizer = types.SimpleNamespace(bos_token_id=prompt[0])
    made.noise = module.noise_schedule.LogLinearNoise()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def config_of(algo: str, block_len: int, length: int, **sampling: Any) -> Any:
    """The fields of Hydra's configuration that samplers read."""
    space = types.SimpleNamespace
    return space(
        algo=space(name=algo),
        model=space(length=length),
        loader=space(eval_batch_size=1),
        noise=space(type="loglinear"),
        sampling=space(
            nucleus_p=1.0, kv_cache=False, var_length=False, noise_removal=True, **sampling
        ),
    )


@torch.no_grad()
def first_hitting(
    module: Any, model: Any, prompt: list[int], num_tokens: int, seed: int
) -> tuple[list[int], int]:
    """Tokens of BD3-LM's sampler after a prompt, and its forward passes."""
    numbers = Numbers(seed)
    config = config_of("bd3lm", BLOCK_LEN, LENGTH, first_hitting=True)
    end = len(prompt) + num_tokens
    made = sampler(module, model, prompt, numbers, config=config, block_size=BLOCK_LEN)
    with (
        patch.object(torch, "rand_like", numbers.rand_like),
        patch.object(torch, "randint", numbers.randint),
    ):
        x, forwards = made._semi_ar_sampler(1, BLOCK_LEN + 1, -(-end // BLOCK_LEN), LENGTH)
    return x[0, len(prompt) : end].tolist(), forwards


@torch.no_grad()
def ancestral(
    module: Any,
    model: Any,
    prompt: list[int],
    num_tokens: int,
    steps: int,
    seed: int,
    name: str,
    **sampling: Any,
) -> tuple[list[int], int]:
    """Tokens of MDLM's sampler `name`, or ReMDM's, after a prompt, and its forward passes."""
    numbers = Numbers(seed)
    end = len(prompt) + num_tokens
    config = config_of("mdlm", end, end, dfm=False, **sampling)
    made = sampler(module, model, prompt, numbers, config=config, block_size=end, sampler=name)
    with patch.object(torch, "rand_like", numbers.rand_like):
        x = made._sample(steps)
    return x[0, len(prompt) :].tolist(), steps


@torch.no_grad()
def logits_of(model: Any, ids: Tensor, time: Tensor) -> Tensor:
    """Logits [T, V] by the backbone."""
    kwargs = {"sample_mode": True} if model.config.cross_attn else {}
    logits: Tensor = model.backbone(ids[None], time, **kwargs)[0][0]
    return logits


@torch.no_grad()
def losses_of(
    module: Any, model: Any, ids: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Losses [2, T] of a text [T], whose mean is the bound, at times of its blocks.

    Of masks at random, and of masks up to the end of each block from its n-th position on.
    """
    num_blocks = len(ids) // BLOCK_LEN
    times = torch.rand(num_blocks, generator=generator) * 0.9 + 0.1
    times = times.repeat_interleave(BLOCK_LEN)
    places = torch.arange(len(ids))
    is_masked = torch.rand(len(ids), generator=generator) < times
    is_masked = torch.stack((is_masked, places % BLOCK_LEN >= places // BLOCK_LEN))
    noised = torch.where(is_masked, MASK_ID, ids)
    made = sampler(module, model, ids.tolist(), Numbers(0), config=config_of("bd3lm", 0, len(ids)))
    made.cross_attn, made.mdlm_loss_scale, made.ignore_bos = True, False, False
    made.q_xt = lambda *_, **__: noised
    made.backbone = lambda x, sigma, **_: model.backbone(x, sigma)[0]
    model.backbone.n = len(ids)
    model.backbone.gen_mask(len(ids), BLOCK_LEN)
    losses = made._forward_pass_diffusion(ids.expand(2, -1), times.expand(2, -1))
    model.backbone.n = LENGTH
    model.backbone.gen_mask(LENGTH, BLOCK_LEN)
    return {"ids": ids, "times": times, "noised": noised, "losses": losses.contiguous()}


def half_masked(length: int, generator: torch.Generator) -> Tensor:
    ids = torch.tensor(text(length, generator))
    ids[torch.rand(length, generator=generator) < 0.5] = MASK_ID
    ids[0] = EOS_ID
    return ids


def write(folder: Path, model: Any, raw: dict[str, Any], ids: Tensor, cases: list[Any]) -> None:
    folder.mkdir(exist_ok=True)
    save_file(
        {name: weight.contiguous() for name, weight in model.state_dict().items()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")
    logits = logits_of(model, ids, torch.rand(1))  # of any time
    logits = logits[:, :MASK_ID].contiguous()  # that of the mask gets -1e6
    save_file({"input_ids": ids, "logits": logits}, folder / "forward.safetensors")
    head = json.dumps({"family": folder.name})[:-1]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (folder / "golden.json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')
    for path in sorted(folder.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes")


def remasked(module: Any, model: Any, generator: torch.Generator, rows: Any) -> list[Any]:
    """Cases of ReMDM's samplers."""
    cases = []
    for i, (prompt_len, num_tokens, steps, eta, policy) in enumerate(rows):
        prompt, seed = text(prompt_len, generator), 2**41 + i
        fields = {"sampler": policy.replace("_", "-"), "eta": eta}
        fields |= {"t_on": 0.55, "t_off": 0.05, "alpha_on": 0.9}
        args = module, model, prompt, num_tokens, steps, seed, "ddpm_cache"
        tokens, forwards = ancestral(*args, **fields)
        settings = {"gen_length": num_tokens, "temperature": 1.0, "seed": seed, "policy": policy}
        settings |= {} if eta is None else {"eta": eta}
        settings |= {"steps": steps, "block_length": num_tokens}
        cases.append(
            {"name": f"{policy}-{i}", "prompt": prompt, "settings": settings}
            | {"tokens": tokens, "forwards": forwards}
        )
        print(cases[-1]["name"], settings, tokens, forwards)
    return cases


def make(name: str, classes: tuple[Any, Any], module: Any, remdm: Any) -> None:
    generator = torch.Generator().manual_seed(15)
    config_class, model_class = classes
    is_full = name == "mdlm"
    own = ONLY_BD3LM | {"cross_attn": False, "var_min": False} if is_full else ONLY_BD3LM
    model = model_class(config_class(**FIELDS, **own)).eval()
    set_weights(model, generator)
    raw = FIELDS | {"architectures": [name.upper()], "model_type": name}
    cases = []
    for i, (prompt_len, num_tokens, steps) in enumerate(CASES):
        prompt, seed = text(prompt_len, generator), 2**40 + i
        settings = {"gen_length": num_tokens, "temperature": 1.0, "seed": seed}
        if is_full:
            settings |= {"policy": "ancestral", "steps": steps, "block_length": num_tokens}
            loop = ("ddpm", "ddpm_cache")[i % 2]
            tokens, forwards = ancestral(module, model, prompt, num_tokens, steps, seed, loop)
        else:
            loop = "first-hitting"
            settings |= {"policy": "random", "block_length": BLOCK_LEN}
            tokens, forwards = first_hitting(module, model, prompt, num_tokens, seed)
        assert MASK_ID not in tokens
        cases.append(
            {"name": f"{loop}-{i}", "prompt": prompt, "settings": settings}
            | {"tokens": tokens, "forwards": forwards}
        )
        print(cases[-1]["name"], settings, tokens, forwards)
    raw |= {} if is_full else ONLY_BD3LM
    if is_full:
        cases += remasked(remdm, model, generator, REMASKED)
        another = torch.Generator().manual_seed(16)
        cases += remasked(remdm, model, another, REMASKED_BY_CONFIDENCE)
    else:
        ids = torch.tensor(text(6 * BLOCK_LEN, generator))
        save_file(losses_of(module, model, ids, generator), GOLDEN / name / "bound.safetensors")
    write(GOLDEN / name, model, raw, half_masked(48, generator), cases)


if __name__ == "__main__":
    torch.set_num_threads(1)
    roots = [Path(argument) for argument in sys.argv[1:]]
    of_model = hf_classes(roots[0])
    names = "bd3lm_diffusion", "mdlm_diffusion", "remdm_diffusion"
    of_bd3lm, of_mdlm, of_remdm = map(diffusion_of, roots, names)
    make("bd3lm", of_model, of_bd3lm, of_remdm)
    make("mdlm", of_model, of_mdlm, of_remdm)
