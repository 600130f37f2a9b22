"""Reading safetensors, with every missing, unexpected or misshapen tensor named."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from unmask.errors import InvalidCheckpoint

Progress = Callable[[str, int, int], None]


class Weights:
    """The tensors of a checkpoint, taken one by one by the model that knows their shapes."""

    def __init__(
        self, tensors: dict[str, Tensor], dtype: torch.dtype, device: torch.device
    ) -> None:
        self._tensors = tensors
        self._problems: list[str] = []
        self.dtype = dtype
        self.device = device

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        dtype: torch.dtype,
        device: torch.device,
        progress: Progress | None = None,
    ) -> "Weights":
        """Map every `*.safetensors` file of a folder; `progress` gets name, bytes done and all."""
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise InvalidCheckpoint(f"no *.safetensors in {folder}")
        total = sum(file.stat().st_size for file in files)
        tensors: dict[str, Tensor] = {}
        done = 0
        for file in files:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a dict
                    tensor = opened.get_tensor(name)
                    done += tensor.numel() * tensor.element_size()
                    tensors[name] = tensor.to(device, dtype)
                    if progress is not None:
                        progress("weights", done, total)
        if progress is not None:
            progress("weights", total, total)
        return cls(tensors, dtype, device)

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Remove and return a tensor; what is wrong with it is told by `check_all_taken`."""
        tensor = self._tensors.pop(name, None)
        if tensor is None:
            self._problems.append(f"missing {name} {shape}")
        elif tensor.shape != shape:
            self._problems.append(f"{name} is {tuple(tensor.shape)}, expected {shape}")
        else:
            return tensor
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def drop(self, name: str) -> None:
        """Ignore a tensor that may be there, such as a tied head saved twice."""
        self._tensors.pop(name, None)

    def drop_prefix(self, prefix: str) -> None:
        """Ignore every tensor whose name begins so, such as those of a vision tower."""
        for name in [name for name in self._tensors if name.startswith(prefix)]:
            del self._tensors[name]

    def check_all_taken(self) -> None:
        """Raise `InvalidCheckpoint` that lists every problem, unexpected tensors included."""
        unexpected = [f"unexpected {n} {tuple(t.shape)}" for n, t in self._tensors.items()]
        if problems := self._problems + unexpected:
            raise InvalidCheckpoint("the weights do not fit config.json: " + "; ".join(problems))
