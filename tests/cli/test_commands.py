"""Output and errors of the commands."""

import io
import json
import re
import subprocess
import sys

import pytest

from tests.cli.running import ENVIRONMENT, ROOT, unmask, unmask_here
from tests.support.golden import load_golden
from unmask import LLM, __version__
from unmask.cli.flags import SAMPLING
from unmask.cli.generate import read_prompt
from unmask.cli.output import err, out
from unmask.config import Config, ModelConfig
from unmask.options import OPTIONS
from unmask.types import SamplingParams
from unmask_kernels.policies.table import POLICIES


@pytest.mark.parametrize("module", ["unmask.cli.app", "unmask.bench.load", "unmask.bench.table"])
def test_the_command_line_and_the_load_generator_start_without_torch(module):
    heavy = "{'torch', 'transformers', 'numpy', 'fastapi', 'uvicorn'}"
    code = f"import sys, {module}; sys.exit(str({heavy} & set(sys.modules) or ''))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr.strip() == ""


def test_the_version_is_the_package_s():
    assert unmask("--version").stdout == f"unmask {__version__}\n"


def test_every_setting_is_a_flag_of_serve():
    text = unmask("serve", "--help", COLUMNS="200", TERMINAL_WIDTH="200").stdout
    flags = set(re.findall(r"--[a-z][a-z-]+", text))
    assert {option.flag for option in OPTIONS} | {"--config"} <= flags


def test_sampling_flags_are_fields_of_sampling_params():
    assert {row.name for row in SAMPLING} <= set(SamplingParams.__dataclass_fields__)


@pytest.mark.usual_cases(13)
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["config", "--port", "x"], "--port must be an integer from 0 to 65535, got 'x'"),
        (["config", "--check", "/nowhere"], "cannot read /nowhere: No such file or directory"),
        (["generate", "hi", "--top-p", "2"], "top_p must be greater than 0.0 and at most 1.0"),
        (["generate", "hi", "--policy", "best"], "policy must be one of low_confidence"),
        (["generate", "hi", "--block-length", "long"], "block_length must be a number or auto"),
        (["generate", "--model", "/nowhere", "hi"], "there is no folder /nowhere; names of"),
        (["generate", "--model", "sdar-8b", "hi"], "there is no folder sdar-8b; names"),
        (["generate", "hi", "--chat-template", "{% for %}"], "model.chat_template has an error:"),
        (["chat", "--chat-template", "chatml"], "model.chat_template chatml: there is no such"),
        (["generate"], "give a prompt as an argument, or on stdin"),
        (["generate", ""], "a prompt is empty"),
        (["generate", "hi", "--chat", "--suffix", "end"], "suffix is not supported with --chat"),
        (["generate", "hi", "--suffix", "end", "--editing-threshold", "1"], "editing_threshold is"),
        (["serve", "a", "--model", "b"], "set the model once"),
        (["serve", "/nowhere"], "there is no folder /nowhere; names of"),
        (["serve", __file__], "test_commands.py is a file; a checkpoint is a folder"),
        (["serve", "--adapter", "nowhere"], "there is no folder nowhere; names of"),
        (["serve", "--host", "256.0.0.1"], "cannot listen on 256.0.0.1"),
        (["bench", "--rate", "1", "--concurrency", "2"], "set --concurrency or --rate, not both"),
        (["bench", "--url", "http://127.0.0.1:9"], "http://127.0.0.1:9 does not list its models"),
        (["bench", "--url", "localhost:80"], "--url must be as http://localhost:8000, got 'local"),
        (["bench", "--url", "http://a:b"], "--url 'http://a:b' is not a URL"),
        (["bench", "--api-key", "key\n"], "--api-key (OPENAI_API_KEY) has characters that no"),
        (["bench", "--json", "/"], "cannot write /: it is a folder"),
        (["bench", "--plot", "/nowhere/a.svg"], "cannot write /nowhere/a.svg: there is no folder"),
        (["eval", "--json", "/nowhere/a"], "cannot write /nowhere/a: there is no folder /nowhere"),
        (["bench", "--extra", "[]"], "--extra must be a JSON object"),
        (["bench", "--endpoint", "x"], "--endpoint must be chat or completions"),
        (["bench", "--random-len", "5", "--token-range", "9", "3"], "--token-range must be LOW"),
    ],
)
def test_a_user_s_error_is_one_line_and_exit_code_2(args, message):
    run = unmask_here(*args)
    assert run.returncode == 2
    *_, line = run.stderr.splitlines()
    assert line.startswith("unmask: ")
    assert message in line
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_a_wrong_variable_stops_every_command_that_reads_settings():
    run = unmask_here("config", UNMASK_SERVER_PROT="1")
    assert run.returncode == 2
    assert "the nearest is UNMASK_SERVER_PORT" in run.stderr


@pytest.mark.parametrize(
    ("section", "setting", "message"),
    [
        ("server", 'tls_key_file = "/nowhere"', "is set without server.tls_cert_file"),
        ("server", 'cors_origins = ["a"]', "server.cors_origins must be '*' or origins"),
        ("server", 'otlp_endpoint = "localhost:4317"', "server.otlp_endpoint must begin with"),
        ("server", "health_port = 8000", "server.health_port must not be server.port"),
        ("server", 'uds = "a"\napi_processes = 2', "processes share no Unix socket"),
        ("server", 'engine = "thread"\napi_processes = 2', "set server.api_processes to 1"),
        ("server", 'engine = "thread"\ndata_parallel = 2', "set server.data_parallel to 1"),
    ],
)
def test_a_file_that_would_end_a_start_is_not_valid(tmp_path, section, setting, message):
    file = tmp_path / "a.toml"
    file.write_text(f"[{section}]\n{setting}\n")
    for args in (("config", "--check", str(file)), ("serve", "--config", str(file))):
        run = unmask_here(*args)
        assert run.returncode == 2
        assert message in run.stderr
        assert run.stdout == ""


@pytest.mark.parametrize(
    ("section", "setting", "message"),
    [
        ("model", 'path = "/nowhere"', "there is no folder /nowhere"),
        ("model", 'path = "~nobody-here/a"', "~nobody-here/a: "),
        ("model", 'tokenizer = "/nowhere"', "there is no folder /nowhere"),
        ("model", 'chat_template = "/nowhere"', "model.chat_template /nowhere: there is no such"),
        ("server", 'tls_cert_file = "/nowhere"', "TLS file /nowhere cannot be read"),
        ("server", 'api_key_file = "/nowhere"', "server.api_key_file /nowhere cannot be read"),
    ],
)
def test_a_file_whose_paths_are_not_here_is_valid_with_a_word(tmp_path, section, setting, message):
    file = tmp_path / "a.toml"
    file.write_text(f"[{section}]\n{setting}\n")
    run = unmask_here("config", "--check", str(file))
    assert (run.returncode, run.stdout) == (0, f"{file} is valid\n")
    assert run.stderr.startswith(f"unmask: here it would not start: {message}")
    run = unmask_here("serve", "--config", str(file))
    assert run.returncode == 2
    assert message in run.stderr


def test_config_prints_the_tree_and_where_values_were_found(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[engine]\npage_size = 8\n")
    run = unmask_here(
        "config", "--config", str(file), "--no-prefix-cache", UNMASK_SERVER_PORT="9000"
    )
    lines = run.stdout.splitlines()
    assert f"page_size = 8  # {file}" in lines
    assert "prefix_cache = false  # --prefix-cache" in lines
    assert "port = 9000  # UNMASK_SERVER_PORT" in lines
    checked = unmask_here("config", "--check", str(file), UNMASK_SERVER_PORT="of another machine")
    assert checked.stdout == f"{file} is valid\n"


def test_generate_answers_in_the_order_asked(tiny_folder):
    args = ["--model", str(tiny_folder), "--max-tokens", "12", "--ignore-eos", "--json"]
    run = unmask_here("generate", "one", "two", *args)
    first, second = (json.loads(line) for line in run.stdout.splitlines())
    assert first["usage"]["completion_tokens"] == 12
    assert (first["finish_reason"], first["stop_reason"]) == ("length", None)
    alone = json.loads(unmask_here("generate", *args, stdin="two").stdout)
    assert alone["text"] == second["text"]


def test_generate_prints_a_text_as_it_is(tiny_folder):
    args = ["generate", "one", "--raw", "--model", str(tiny_folder), "--max-tokens", "300"]
    args += ["--ignore-eos", "--temperature", "50", "--seed", "5"]
    text = json.loads(unmask_here(*args, "--json").stdout)["text"]
    assert set(text) & set("\a\b\t\v\f\r"), "any token is likely at that temperature"
    assert unmask_here(*args).stdout == f"{text}\n"


def test_messages_have_no_emoji_in_place_of_names(capsys):
    out.print("/v1/:id:", markup=False)
    err.print("/v1/:id:", markup=False)
    assert capsys.readouterr() == ("/v1/:id:\n", "/v1/:id:\n")


def test_a_closed_stdin_is_an_empty_one(tiny_folder):
    run = unmask_here("generate", stdin=None)
    assert (run.returncode, "give a prompt as an argument" in run.stderr) == (2, True)
    run = unmask_here("chat", "--model", str(tiny_folder), stdin=None)
    assert (run.returncode, run.stderr) == (0, "")


def test_generate_fills_what_is_between_two_texts(tmp_path):
    loaded = load_golden("llada", tmp_path)
    mask = str(loaded.info.mask_token_id)
    args = ["generate", "one", "--model", str(tmp_path), "--mask-token-id", mask, "--json"]
    args += ["--max-tokens", "8", "--ignore-eos", "--policy", "low_confidence"]
    run = unmask_here(*args, "--suffix", " end")
    assert run.returncode == 0, run.stderr
    output = json.loads(run.stdout)
    with LLM(config=Config(ModelConfig(path=str(tmp_path), mask_token_id=int(mask)))) as llm:
        sampling = SamplingParams(max_tokens=8, ignore_eos=True, policy="low_confidence")
        (completion,) = llm.generate("one", sampling, suffix=" end")
        *_, last = llm.stream("one", sampling, suffix=" end")
    assert output["text"] == completion.text
    assert output["usage"]["prompt_tokens"] == len("one end")
    assert last.finish == completion.finish
    assert json.loads(unmask_here(*args).stdout)["text"] != completion.text


def test_generate_shows_each_step_on_stderr_only(tiny_folder):
    args = ["generate", "one", "--raw", "--model", str(tiny_folder), "--max-tokens", "6"]
    shown = unmask_here(*args, "--show-steps")
    assert "block 0, step 1:" in shown.stderr
    assert "·" in shown.stderr
    assert shown.stdout == unmask_here(*args).stdout != ""


def test_chat_keeps_a_conversation_until_it_is_reset(tiny_folder):
    args = ["chat", "--model", str(tiny_folder), "--max-tokens", "10", "--ignore-eos"]
    run = unmask_here(*args, stdin="hello\nhello\n/reset\nhello\n/exit\nnever\n")
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("10 tokens in") == 3
    answers = re.findall(r"> (?:> )?(.*?)\n10 tokens", run.stdout, re.DOTALL)
    assert answers[0] == answers[2]


def test_eval_prints_tasks_and_settings_and_writes_them(tiny_folder, tmp_path):
    suite, file = tmp_path / "suite.jsonl", tmp_path / "result.json"
    problem = {"messages": [{"role": "user", "content": "hi"}], "checker": "exact"}
    lines = [problem | {"task": task, "reference": "x"} for task in ("add", "add", "sort [/hard]")]
    suite.write_text("\n".join(map(json.dumps, lines)))
    args = ["eval", "--model", str(tiny_folder), "--suite", str(suite), "--max-tokens", "4"]
    run = unmask_here(*args, "--limit", "1", "--json", str(file))
    assert run.returncode == 0, run.stderr
    for word in ("as given", "add", "[/hard]", "sort", "0.0%", "tokens per step", "tokens/s"):
        assert word in run.stdout
    (result,) = json.loads(file.read_text())["results"]
    assert [task["num_prompts"] for task in result["tasks"]] == [1, 1]
    assert result["num_tokens"] <= 8
    assert {"taken", "machine", "versions", "commit"} <= json.loads(file.read_text()).keys()
    piped = unmask_here(*args, "--limit", "1", "--json", "-")
    assert [one["num_prompts"] for one in json.loads(piped.stdout)["results"][0]["tasks"]] == [1, 1]
    wrong = unmask_here(*args, "--task", "none")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "unmask: no task 'none'; there are add, sort [/hard]\n",
    )


def test_eval_of_memorised_problems_alone_has_no_accuracy(tiny_folder, tmp_path):
    suite, file = tmp_path / "suite.jsonl", tmp_path / "result.json"
    problem = {"task": "fact", "messages": [{"role": "user", "content": "hi"}]}
    problem |= {"checker": "exact", "reference": "x", "phrasing": "seen", "memorised": True}
    suite.write_text(json.dumps(problem))
    args = ["eval", "--model", str(tiny_folder), "--suite", str(suite), "--max-tokens", "4"]
    run = unmask_here(*args, "--json", str(file))
    assert run.returncode == 0, run.stderr
    assert "fact (seen, memorised)" in run.stdout
    assert "all" not in run.stdout
    (result,) = json.loads(file.read_text())["results"]
    assert (result["accuracy"], result["by_phrasing"]) == (None, {})


def test_eval_draws_every_policy_at_several_settings(tiny_folder, tmp_path):
    suite, file, plot = (tmp_path / name for name in ("suite.jsonl", "result.json", "plot.svg"))
    problem = {"messages": [{"role": "user", "content": "hi"}], "checker": "exact"}
    lines = [problem | {"task": task, "reference": "x"} for task in ("add", "sort")]
    suite.write_text("\n".join(map(json.dumps, lines)))
    args = ["eval", "--model", str(tiny_folder), "--suite", str(suite), "--max-tokens", "4"]
    written = ["--json", str(file), "--plot", str(plot)]
    run = unmask_here(*args, "--policies", "--limit", "1", "--block-length", "8", *written)
    assert run.returncode == 0, run.stderr
    content = json.loads(file.read_text())
    assert content["limit"] == 1
    names = {policy.name for policy in POLICIES if not (policy.remasks or policy.mixes)}
    assert {one["policy"] for one in content["results"]} == names
    given = [one["given"] for one in content["results"] if one["policy"] == "random"]
    assert given == [{"steps": steps} for steps in (8, 4, 2, 1)]
    assert any(one["is_best"] for one in content["results"])
    picture = plot.read_text()
    for name in names:
        assert name in run.stdout
        assert f">{name}</text>" in picture
    for more in (["--policies", "--steps", "3"], ["--policies", "--radius", "3"]):
        wrong = unmask_here(*args, *more)
        assert wrong.returncode == 2
        assert f"--policies has settings of its own, without {more[1]}" in wrong.stderr
    wrong = unmask_here(*args, "--plot", str(plot))
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "unmask: --plot draws the results of --policies\n",
    )


def test_a_person_at_a_terminal_is_told_how_to_end_a_prompt(capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert read_prompt(Terminal("2 + 2 =\n")) == "2 + 2 =\n"
    assert "Ctrl-D" in capsys.readouterr().err
    assert read_prompt(io.StringIO("piped")) == "piped"
    assert capsys.readouterr() == ("", "")


INTERRUPTED_IMPORT = """
import os, runpy, signal, sys

class Interrupts:
    def find_spec(self, name, *_):
        if name == "unmask.cli":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
sys.meta_path.insert(0, Interrupts())
runpy.run_module("unmask", run_name="__main__")
"""


def test_ctrl_c_while_a_command_is_imported_ends_it_without_a_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=ENVIRONMENT,
        cwd=ROOT,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
