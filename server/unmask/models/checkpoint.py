"""The small files of a checkpoint folder."""

import json
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.json_file import read_json
from unmask.models.family import RawConfig
from unmask.models.hub import GGUF, no_folder
from unmask.models.quantization_config import NAME as QUANTIZATION

logger = logging.getLogger(__name__)

CONFIG = "config.json"
BLOCK_IN_NAME = re.compile(r"(?:-b|[-_]?block[-_]?(?:length|size)[-_=]?)(\d{1,4})(?![\w.])", re.I)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Checkpoint folder with its `config.json` and its optional `generation_config.json`."""

    folder: Path
    name: str
    config: RawConfig
    generation: RawConfig

    @classmethod
    def open(cls, folder: Path, overrides: str | None = None, name: str | None = None) -> Self:
        """Read both files, with fields of `config.json` replaced by the JSON object `overrides`.

        Raises `InvalidCheckpoint`, and `InvalidConfig` if the overrides are not a JSON object.
        """
        if not (folder / CONFIG).exists():
            raise InvalidCheckpoint(f"there is no {CONFIG} in {folder}{_hint(folder)}")
        changes = _read_overrides(overrides)
        config = read_json(folder / CONFIG) | changes
        # A null is absent, so that a family that needs the field says so. One that is asked for is
        # kept of a quantization, which other files may name too.
        kept = changes.keys() & {QUANTIZATION}
        config = {f: value for f, value in config.items() if value is not None or f in kept}
        generation = read_json(folder / "generation_config.json", optional=True)
        return cls(folder, name or folder.name, config, generation)

    def with_block_length(self, field: str | None) -> Self:
        """Copy with the block length from the name, such as -b8, if the files have none."""
        in_name = BLOCK_IN_NAME.search(self.name)
        if field is None or in_name is None or self.config.get(field) is not None:
            return self
        if self.generation.get("block_length") is not None:
            return self
        length = int(in_name[1])
        logger.info("%s: %s %d, from the checkpoint's name", self.name, field, length)
        return replace(self, config=self.config | {field: length})

    @property
    def architectures(self) -> tuple[str, ...]:
        """Class names in `architectures`, else in `auto_map`; fine-tuned copies may lack both."""
        named, mapped = self.config.get("architectures"), self.config.get("auto_map")
        if named:
            if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
                raise InvalidCheckpoint(
                    f"config.json: architectures must be a list of names, got {named!r:.60}"
                )
            return tuple(named)
        entries = mapped.values() if isinstance(mapped, dict) else ()
        return tuple(str(entry).rpartition(".")[2] for entry in entries)


def elsewhere(folder: Path, file: str) -> str:
    """Part of an error about a folder without a file: the first folder below that has it.

    Raises `InvalidCheckpoint` if there is no such folder.
    """
    if not folder.is_dir():
        raise no_folder(folder)
    found = sorted((*folder.glob(f"*/{file}"), *folder.glob(f"snapshots/*/{file}")))
    return f"; {found[0].parent} has one" if found else ""


def _hint(folder: Path) -> str:
    """Part of an error about a folder without `CONFIG`: the kind of folder that it is."""
    if (folder / "adapter_config.json").is_file():
        return f"; it is an adapter: serve the model that it adapts, with --adapter {folder}"
    if any(folder.glob("*.gguf")):
        return f". {GGUF}"
    return elsewhere(folder, CONFIG)


def _read_overrides(overrides: str | None) -> RawConfig:
    try:
        content = {} if overrides is None else json.loads(overrides)
    except ValueError as error:
        raise InvalidConfig(f"model.hf_overrides is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidConfig(f"model.hf_overrides must be a JSON object, got {overrides}")
    return content
