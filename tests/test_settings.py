"""Sources of settings, their precedence, and errors for wrong ones."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from unmask.config import Config
from unmask.errors import InvalidConfig
from unmask.options import BOUNDS, MEANINGS, OPTIONS
from unmask.sampling_params import SETTINGS
from unmask.settings import resolve

CONFIGS = Path(__file__).parent.parent / "configs"
NAMES = {
    f"{section.name}.{entry.name}"
    for section in fields(Config)
    for entry in fields(section.default_factory)
    if section.name != "decoding" or entry.name == "preset"
} | {f"decoding.{row.name}" for row in SETTINGS}
DECODING = {
    *("preset", "policy", "threshold", "factor", "entropy_bound", "entropy_threshold", "steps"),
    *("block_length", "distance_penalty", "temperature", "cache", "editing_threshold"),
    *("sub_block_length", "eos_last"),
    *("open_blocks", "add_block_threshold", "semi_complete_threshold"),
}


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "unmask.toml"
    file.write_text(text)
    return file


def test_without_any_source_everything_has_its_default():
    resolved = resolve(environment={})
    assert resolved.config == Config()
    assert resolved.sources == {}


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    file = write(tmp_path, "[server]\nport = 1\nhost = 'a'\nlog_level = 'error'\n")
    environment = {"UNMASK_SERVER_PORT": "2", "UNMASK_SERVER_HOST": "b"}
    resolved = resolve({"server.port": "3"}, file=file, environment=environment)
    server = resolved.config.server
    assert (server.port, server.host, server.log_level) == (3, "b", "error")
    assert resolved.sources == {
        "server.port": "--port",
        "server.host": "UNMASK_SERVER_HOST",
        "server.log_level": str(file),
    }


def test_the_environment_may_name_the_file(tmp_path):
    file = write(tmp_path, "[engine]\npage_size = 8\n")
    assert resolve(environment={"UNMASK_CONFIG": str(file)}).config.engine.page_size == 8


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("UNMASK_ENGINE_PREFIX_CACHE", "No", False),
        ("UNMASK_ENGINE_PREFIX_CACHE", "1", True),
        ("UNMASK_ENGINE_THREADS", "none", None),
        ("UNMASK_ENGINE_THREADS", "4", 4),
        ("UNMASK_DECODING_THRESHOLD", "1", 1.0),
        ("UNMASK_DECODING_BLOCK_LENGTH", "8", 8),
        ("UNMASK_DECODING_BLOCK_LENGTH", "auto", "auto"),
        ("UNMASK_SERVER_CORS_ORIGINS", "http://a, http://b", ("http://a", "http://b")),
        ("UNMASK_SERVER_API_KEY", "123", "123"),
    ],
)
def test_variables_are_read_as_the_type_of_their_field(variable, text, expected):
    option = next(option for option in OPTIONS if option.variable == variable)
    value = resolve(environment={variable: text}).get(option)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nprot = 1", "server.prot is not a setting; the nearest is server.port"),
        ("[serve]\nport = 1", "serve is not a setting; the nearest is server"),
        ("port = 1", "port is not a setting; the nearest is server.port"),
        ("[server]\nport = '1'", "server.port must be an integer from 0 to 65535, got '1'"),
        ("[server]\nport = 65536", "server.port must be an integer from 0 to 65535, got 65536"),
        ("[server]\nport = 1.0", "server.port must be an integer from 0 to 65535, got 1.0"),
        ("[server]\nport = true", "server.port must be an integer from 0 to 65535, got True"),
        ("[server]\naccess_log = 1", "server.access_log must be true or false, got 1"),
        ("[server]\ncors_origins = 'a'", "server.cors_origins must be a list of strings, got 'a'"),
        ("[server]\napi_key = 12345", "server.api_key must be a string, got a secret of another"),
        ("[engine]\npage_size = 0", "engine.page_size must be an integer of at least 1, got 0"),
        ("[decoding]\nthreshold = nan", "decoding.threshold must be a number from 0 to 1, got nan"),
        (
            "[decoding]\nblock_length = 'long'",
            "decoding.block_length must be auto or an integer from 1 to 1024, got 'long'",
        ),
        ("[decoding]\nfactor = 0", "decoding.factor must be a number greater than 0, got 0"),
        ("[decoding]\nentropy_bound = inf", "decoding.entropy_bound must be a number of at least"),
        ("[model]\ndtype = 'f8'", "must be one of auto, bfloat16, float16, float32, got 'f8'"),
        ("server = 1", "server must be a table, got 1"),
        ("[server", "is not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(tmp_path, text, message):
    file = write(tmp_path, text)
    with pytest.raises(InvalidConfig, match=re.escape(message)) as caught:
        resolve(file=file, environment={})
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(InvalidConfig, match=r"cannot read /nowhere\.toml: No such file"):
        resolve(file=Path("/nowhere.toml"), environment={})


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("UNMASK_SERVER_PROT", "1", "UNMASK_SERVER_PROT is not a setting; the nearest is UNMASK_"),
        ("UNMASK_PORT", "80", "UNMASK_PORT is not a setting; the nearest is UNMASK_SERVER_PORT"),
        ("UNMASK_SERVER_PORT", "x", "UNMASK_SERVER_PORT must be an integer from 0 to 65535"),
        ("UNMASK_SERVER_ACCESS_LOG", "2", "UNMASK_SERVER_ACCESS_LOG must be true or false"),
        ("UNMASK_DECODING_POLICY", "best", "UNMASK_DECODING_POLICY must be one of low_confidence"),
        (
            "UNMASK_DECODING_STEPS",
            "8193",
            "UNMASK_DECODING_STEPS must be an integer from 1 to 8192",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(variable, text, message):
    with pytest.raises(InvalidConfig, match=message):
        resolve(environment={variable: text})


@pytest.mark.parametrize("service", ["UNMASK", "UNMASK_SERVER", "UNMASK_ENGINE", "UNMASK_A_B"])
def test_variables_that_kubernetes_sets_for_a_service_of_our_name_are_let_be(service):
    """Each service of a namespace gives all its pods some, and `server.port` looks like one."""
    environment = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "80",
        f"{service}_SERVICE_PORT_HTTP": "80",
        f"{service}_PORT": "tcp://10.0.0.1:80",
        f"{service}_PORT_80_TCP": "tcp://10.0.0.1:80",
        f"{service}_PORT_80_TCP_PROTO": "tcp",
        f"{service}_PORT_53_UDP_ADDR": "10.0.0.1",
    }
    assert resolve(environment=environment).config == Config()


@pytest.mark.parametrize("text", [" {{ messages }}\nassistant: ", "my.jinja"])
def test_a_template_keeps_the_space_around_it(text):
    from_flag = resolve({"model.chat_template": text}, environment={})
    from_variable = resolve(environment={"UNMASK_MODEL_CHAT_TEMPLATE": text})
    assert from_flag.config.model.chat_template == text
    assert from_variable.config == from_flag.config
    unset = resolve({"model.chat_template": " None "}, environment={})
    assert unset.config.model.chat_template is None


def test_a_wrong_flag_is_named():
    with pytest.raises(InvalidConfig, match="--page-size must be an integer of at least 1"):
        resolve({"engine.page_size": "-1"}, environment={})


def test_every_field_is_an_option_with_a_meaning_a_flag_and_a_variable():
    assert {option.name for option in OPTIONS} == NAMES == set(MEANINGS)
    assert {option.key for option in OPTIONS if option.section == "decoding"} >= DECODING
    assert len({option.flag for option in OPTIONS}) == len(OPTIONS)
    assert len({option.variable for option in OPTIONS}) == len(OPTIONS)


def test_every_number_has_bounds_that_hold_its_default():
    assert {o.name for o in OPTIONS if o.base in (int, float)} == set(BOUNDS)
    for option in OPTIONS:
        if option.default is not None:
            assert option.check(option.default) == option.default


def test_what_is_printed_is_read_back_the_same(tmp_path):
    flags = {"server.host": 'a"\\\n\x7fé', "decoding.threshold": "0.5", "engine.threads": "3"}
    flags["server.cors_origins"] = "http://a,http://b"
    first = resolve(flags, environment={})
    file = write(tmp_path, first.to_toml())
    assert resolve(file=file, environment={}).config == first.config


def test_secrets_are_never_shown():
    resolved = resolve({"server.api_key": "hunter2"}, environment={})
    assert resolved.config.server.api_key == "hunter2"
    assert "hunter2" not in resolved.to_toml() + repr(resolved.to_dict())


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_shipped_files_load(file, tmp_path):
    resolve(file=file, environment={})
    # What is commented out must be right as well, or it misleads.
    uncommented = write(tmp_path, re.sub(r"(?m)^# (\w+ = )", r"\1", file.read_text()))
    resolve(file=uncommented, environment={})


def test_there_is_an_example_for_each_family_and_kind_of_machine():
    assert {file.stem for file in CONFIGS.glob("*.toml")} == {
        *("default", "cpu", "gpu"),
        *("sdar-8b", "llada-8b", "llada2-mini", "llada22-mini", "dream-7b", "fast-dllm-v2-7b"),
        *("diffusion-gemma-26b", "nemotron-8b", "wedlm-8b", "idlm-8b"),
    }


def test_the_default_file_says_what_is_the_case_anyway():
    assert resolve(file=CONFIGS / "default.toml", environment={}).config == Config()


def test_the_default_file_explains_every_key():
    section, explained, comment = "", set(), ""
    for line in (CONFIGS / "default.toml").read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif match := re.fullmatch(r"(?:# )?(\w+) = .+", line):
            name = f"{section}.{match[1]}"
            assert MEANINGS[name] in comment
            explained.add(name)
            comment = ""
        else:
            comment += line
    assert explained == NAMES


def test_examples_of_unset_keys_in_the_default_file_are_valid(tmp_path):
    text = (CONFIGS / "default.toml").read_text()
    file = write(tmp_path, re.sub(r"(?m)^# (\w+ = )", r"\1", text))
    assert None not in resolve(file=file, environment={}).to_dict()["decoding"].values()
    assert set(tomllib.loads(file.read_text())) == {"model", "engine", "decoding", "server"}


def test_the_variable_that_turns_native_kernels_off_is_no_setting():
    assert resolve(environment={"UNMASK_NATIVE": "0"}).config == Config()
