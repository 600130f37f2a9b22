"""Model names on the hub, and no execution of code from a checkpoint."""

import fnmatch
import json
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.hub import display_name, find_checkpoint
from unmask.models.registry import load_model
from unmask.tokenizer import Tokenizer

CUSTOM = """
import pathlib
pathlib.Path({marker!r}).touch()
from transformers import PreTrainedTokenizer
class CustomTokenizer(PreTrainedTokenizer):
    pass
"""


def fake_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[dict]:
    calls: list[dict] = []

    def download(name: str, **options: object) -> str:
        calls.append({"name": name, **options})
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return calls


def test_a_folder_is_itself_even_if_its_name_could_be_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_hub(monkeypatch, tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("org/name") == Path("org/name")
    assert find_checkpoint("/nowhere") == Path("/nowhere")
    assert find_checkpoint("nowhere") == Path("nowhere")
    assert calls == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("models--s-sahoo--uno-qwen3-8B/snapshots/0a1b2c", "uno-qwen3-8B"),
        ("models--gpt2/snapshots/0a1b2c", "gpt2"),
        ("snapshots/0a1b2c", "0a1b2c"),
        ("models--org--name", "models--org--name"),
    ],
)
def test_a_snapshot_in_the_cache_is_called_after_its_repository(
    path: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / path).mkdir(parents=True)
    assert display_name(str(tmp_path / path)) == name


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "dream.gguf").write_bytes(b"GGUF")
    for path in ("dream.gguf", str(tmp_path / "dream.gguf")):
        with (
            chdir(tmp_path),
            pytest.raises(InvalidCheckpoint, match=r"a file; .* GGUF is not read"),
        ):
            load_model(ModelConfig(path=path), DecodingConfig())


def test_a_name_of_the_hub_is_fetched_and_serves_under_its_last_part(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_hub(monkeypatch, tiny_folder)
    for path in ("org/SDAR-tiny@v1.0", "org/SDAR-tiny@v1.0/"):
        loaded = load_model(ModelConfig(path=path), DecodingConfig())
        assert loaded.info.name == "SDAR-tiny"
        assert (calls[-1]["name"], calls[-1]["revision"]) == ("org/SDAR-tiny", "v1.0")


def test_neither_code_nor_pickles_are_fetched(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_hub(monkeypatch, tiny_folder)
    find_checkpoint("org/name")
    assert calls[0]["revision"] is None
    wanted = {
        name
        for name in (
            *("config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"),
            *("chat_template.jinja", "tokenizer.model", "vocab.json", "merges.txt"),
            *("modeling_x.py", "pytorch_model.bin", "x.pt", "x.pkl", "tokenization_x.py", "x.so"),
        )
        if any(fnmatch.fnmatch(name, pattern) for pattern in calls[0]["allow_patterns"])
    }
    assert len(wanted) == 7
    below = "original/consolidated.safetensors", "model.safetensors"
    unread = calls[0]["ignore_patterns"]
    assert [n for n in below if any(fnmatch.fnmatch(n, p) for p in unread)] == [below[0]]
    assert not [n for n in wanted if n.endswith((".py", ".bin", ".pt", ".pkl", ".so"))]


def test_an_adapter_beside_the_weights_is_fetched_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's client tries patterns on whole paths, where a star may be slashes too."""
    published, fetched = tmp_path / "published", tmp_path / "fetched"
    shutil.copytree(GOLDEN / "nemotron", published)
    (published / "original").mkdir()
    (published / "original" / "consolidated.safetensors").write_bytes(b"")

    def download(
        name: str,
        *,
        revision: str | None,
        allow_patterns: list[str],
        ignore_patterns: list[str] | None = None,
    ) -> str:
        assert (name, revision) == ("nvidia/Nemotron", "main")
        files = [str(path.relative_to(published)) for path in published.rglob("*.*")]
        wanted = huggingface_hub.utils.filter_repo_objects(
            files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        )
        for file in wanted:
            (fetched / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(published / file, fetched / file)
        return str(fetched)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_checkpoint("nvidia/Nemotron@main") == fetched
    assert {path.name for path in (fetched / "linear_spec_lora").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not (fetched / "original").exists()
    byte_tokenizer().save_pretrained(fetched)
    loaded = load_model(ModelConfig("nvidia/Nemotron@main", mask_token_id=511), DecodingConfig())
    assert loaded.model.draft_adapters


def test_an_image_tokenizer_is_fetched_without_the_decoder_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        *("config.json", "model.safetensors", "image_tokenizer/config.json", "decoder/config.json"),
        *("image_tokenizer/image_tokenizer.safetensors", "decoder/decoder.safetensors"),
    ]

    def download(name: str, **options: Any) -> str:
        patterns = {"allow_patterns": options["allow_patterns"]}
        patterns["ignore_patterns"] = options.get("ignore_patterns")
        for file in huggingface_hub.utils.filter_repo_objects(files, **patterns):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(b"")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    find_checkpoint("inclusionAI/LLaDA2.0-Uni")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert found == set(files) - {"decoder/decoder.safetensors"}


def test_a_hub_that_cannot_be_reached_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **_: object) -> str:
        raise OSError("offline mode is enabled\nand more lines of advice")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    message = (
        r"^org/name is not a local folder and could not be downloaded .*: offline mode is enabled$"
    )
    with pytest.raises(InvalidCheckpoint, match=message):
        find_checkpoint("org/name")


@pytest.mark.parametrize("with_config", [False, True])
def test_a_tokenizer_that_is_code_is_refused_and_not_run(tmp_path: Path, with_config: bool) -> None:
    marker = tmp_path / "it-ran"
    (tmp_path / "tokenization_custom.py").write_text(CUSTOM.format(marker=str(marker)))
    names = {"auto_map": {"AutoTokenizer": ["tokenization_custom.CustomTokenizer", None]}}
    tokenizer = {"tokenizer_class": "CustomTokenizer"} | names
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    if with_config:
        model = {"model_type": "custom", "auto_map": {"AutoConfig": "tokenization_custom.Custom"}}
        (tmp_path / "config.json").write_text(json.dumps(model))
    with pytest.raises(InvalidCheckpoint, match="no usable tokenizer in"):
        Tokenizer.from_folder(tmp_path)
    assert not marker.exists()
