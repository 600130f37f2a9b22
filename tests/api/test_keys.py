"""Keys of a file: names, digests, scopes and limits, read again when the file changes."""

import asyncio
import hashlib
import logging
import os
from dataclasses import replace

import httpx
import pytest

from tests.cli.running import unmask_here
from unmask.api import create_app
from unmask.api.key_file import Key, entry, new_secret, parse_keys
from unmask.api.keys import KeyStore
from unmask.cli.serve import guarded
from unmask.config import ServerConfig
from unmask.errors import InvalidConfig
from unmask.usage import ClientLimits

GENERATE = ("POST", "/v1/completions")


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def digest(secret):
    return hashlib.sha256(secret.encode()).hexdigest()


@pytest.fixture
def keys(tmp_path):
    """Settings with a key file; `one`, `two` and so on are the keys of these names."""

    def write(**scopes):
        file = tmp_path / "keys.toml"
        file.write_text("\n".join(entry(name, name, given) for name, given in scopes.items()))
        return ServerConfig(api_key_file=str(file))

    return write


def test_any_key_of_the_file_is_taken_as_bearer_or_as_anthropics_header(call, keys):
    config = keys(one=["inference"], two=["inference"])
    for key in ("one", "two"):
        assert call("GET", "/v1/models", config, headers=bearer(key)).status_code == 200
        headers = {"x-api-key": key}
        assert call("GET", "/v1/models", config, headers=headers).status_code == 200
    for wrong in ("", "three", "on", "onee", digest("one")):
        response = call("GET", "/v1/models", config, headers=bearer(wrong))
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("scope", "opened"),
    [
        ("inference", {"/v1/models"}),
        ("metrics", {"/metrics"}),
        ("admin", {"/v1/models", "/metrics", "/admin/keys"}),
    ],
)
def test_a_key_opens_what_its_scope_names(call, keys, scope, opened):
    config = keys(mine=[scope], other=["metrics"])
    for path in ("/v1/models", "/metrics", "/admin/keys"):
        response = call("GET", path, config, headers=bearer("mine"))
        assert response.status_code == (200 if path in opened else 403), path
        if path not in opened:
            assert response.json()["error"]["code"] == "insufficient_scope"
        assert call("GET", path, config).status_code == 401
    assert call("GET", "/health/ready", config).status_code == 200
    assert call("GET", "/", config).status_code == 200


def test_paths_below_a_root_path_need_the_same_keys(engine, metrics, keys):
    config = keys(mine=["inference"], scraper=["metrics"])
    app = create_app(engine, metrics, replace(config, allowed_hosts=("test",)))

    def status(path, host="test", **headers):
        async def send():
            transport = httpx.ASGITransport(app, root_path="/llm")
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
                return await client.get(f"/llm{path}", headers=headers)

        return asyncio.run(send()).status_code

    assert status("/v1/models", **bearer("mine")) == 200
    assert status("/admin/keys", **bearer("mine")) == 403
    assert status("/metrics", **bearer("mine")) == 403
    assert status("/metrics", **bearer("scraper")) == 200
    assert status("/health", host="10.0.0.1") == 200
    assert status("/openapi.json", **bearer("mine")) == 200
    assert "/openapi.json" in metrics.render().decode()


def test_metrics_are_closed_by_a_new_key_though_nobody_shows_one(keys):
    store = KeyStore(keys(one=["inference"]), refresh_s=0.0)
    assert not store.asks_for_metrics_key
    keys(one=["inference"], watch=["metrics"])
    assert store.asks_for_metrics_key


def test_one_secret_may_be_for_requests_and_for_metrics(call):
    config = ServerConfig(api_key="same", metrics_key="same")
    for path in ("/v1/models", "/metrics"):
        assert call("GET", path, config, headers=bearer("same")).status_code == 200
        assert call("GET", path, config).status_code == 401


def test_a_key_of_the_settings_is_not_in_the_file_too(keys, caplog):
    """Its scopes there would not count."""
    config = replace(keys(one=["admin"]), api_key="one")
    with pytest.raises(InvalidConfig, match=r"api_key_file .*: one is server\.api_key too"):
        KeyStore(config)
    store = KeyStore(replace(keys(two=["admin"]), api_key="one"), refresh_s=0.0)
    keys(one=["admin"])
    assert store.asks_for_metrics_key is False
    assert [key.name for key in store.keys] == ["api_key", "two"]
    assert "the keys stay as they were" in caplog.text


def test_metrics_are_open_while_no_key_is_for_them(call, keys):
    assert call("GET", "/metrics", keys(one=["inference"], boss=["admin"])).status_code == 200
    assert call("GET", "/metrics", keys(one=["metrics"])).status_code == 401


@pytest.mark.parametrize("path", ["/admin/keys", "/admin/", "/admin/x", "//admin/keys"])
def test_without_a_key_file_there_is_nothing_for_admins(call, path):
    assert call("GET", path).status_code == 404
    assert call("GET", path, ServerConfig(api_key="k"), headers=bearer("k")).status_code in (
        403,
        404,
    )


def test_admins_see_the_keys_without_secrets(call, tmp_path):
    file = tmp_path / "keys.toml"
    limits = "requests_per_minute = 5\ntokens_per_minute = 1_000\nmax_concurrent = 2\n"
    file.write_text(entry("boss", "b", ["admin"]) + entry("one", "o", ["inference"]) + limits)
    config = ServerConfig(api_key_file=str(file))
    response = call("GET", "/admin/keys", config, headers=bearer("b"))
    assert call("HEAD", "/admin/keys", config, headers=bearer("b")).status_code == 200
    assert response.json()["data"][1] == {
        "name": "one",
        "scopes": ["inference"],
        "requests_per_minute": 5,
        "tokens_per_minute": 1000,
        "max_concurrent": 2,
    }
    assert digest("o") not in response.text


def test_the_access_log_names_the_key_and_never_tells_it(call, keys, caplog):
    caplog.set_level(logging.INFO)
    config = keys(one=["metrics"])
    config = ServerConfig(api_key_file=config.api_key_file, access_log=True)
    call("GET", "/metrics", config, headers=bearer("one"))
    call("GET", "/v1/models", config, headers=bearer("one"))
    call("GET", "/metrics", config, headers=bearer("wrong-one"))
    lines = [r.getMessage() for r in caplog.records if r.name == "unmask.access"]
    assert [", key one, " in line for line in lines] == [True, True, False]
    assert "wrong-one" not in caplog.text


def scope_of(key):
    return {"type": "http", "headers": [(b"authorization", f"Bearer {key}".encode())]}


def test_a_file_that_changes_is_read_again_and_one_that_is_wrong_changes_nothing(keys, caplog):
    store = KeyStore(keys(one=["inference"]), refresh_s=0.0)
    first = store.find(scope_of("one"))
    assert first is not None
    assert first.name == "one"
    file = keys(two=["inference"]).api_key_file
    os.utime(file, ns=(1, 1))
    assert store.find(scope_of("one")) is None
    assert store.find(scope_of("two")) is not None
    for wrong in ("nonsense", "", "[two]\n"):
        with open(file, "w") as opened:
            opened.write(wrong)
        assert store.find(scope_of("two")) is not None
    os.remove(file)
    assert store.find(scope_of("two")) is not None
    assert caplog.text.count("the keys stay as they were") == 4
    keys(three=["inference"])
    assert store.find(scope_of("three")) is not None


HASH = "0" * 64


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("", "there is no key"),
        ("# nothing\n", "there is no key"),
        ("sk-a-key-in-plain-text", "not TOML"),
        ("a = 1", "must be a table"),
        ("[a]", "needs sha256"),
        (f"[a]\nsha256 = '{HASH[1:]}'", "needs sha256"),
        (f"[a]\nsha256 = '{'A' * 64}'", "needs sha256"),
        (f"[a]\nsha256 = '{HASH}'\nkey = 'x'", "unknown entry: key"),
        (f"[a]\nsha256 = '{HASH}'\nscopes = []", "needs scopes"),
        (f"[a]\nsha256 = '{HASH}'\nscopes = ['root']", "needs scopes"),
        (f"[a]\nsha256 = '{HASH}'\nscopes = 'admin'", "needs scopes"),
        (f"[a]\nsha256 = '{HASH}'\nmax_concurrent = 0", "must be a positive integer"),
        (f"[a]\nsha256 = '{HASH}'\ntokens_per_minute = true", "must be a positive integer"),
        (f"[a]\nsha256 = '{HASH}'\n[b]\nsha256 = '{HASH}'", "two names have the same key"),
        (f"['a\\nb']\nsha256 = '{HASH}'", "a key's name has"),
        (f"['{'a' * 65}']\nsha256 = '{HASH}'", "a key's name has"),
    ],
)
def test_a_wrong_file_is_refused_at_start_by_name(engine, metrics, tmp_path, text, told):
    file = tmp_path / "keys.toml"
    if text is not None:
        file.write_text(text)
    config = ServerConfig(api_key_file=str(file))
    for start in (lambda: create_app(engine, metrics, config), lambda: guarded(config)):
        with pytest.raises(InvalidConfig, match=r"server\.api_key_file .*keys\.toml") as caught:
            start()
        assert told in str(caught.value)


def test_limits_of_a_key_are_optional_numbers():
    (key,) = parse_keys(f"[a]\nsha256 = '{HASH}'\nrequests_per_minute = 60\n")
    assert key == Key(
        "a", bytes(32), frozenset({"inference"}), ClientLimits(requests_per_minute=60)
    )


def test_the_command_makes_a_key_and_prints_its_entry_without_it(tmp_path):
    run = unmask_here("key", "new", "team-a", "--scope", "metrics")
    assert run.returncode == 0
    secret = run.stderr.split()[-1]
    (key,) = parse_keys(run.stdout)
    assert secret not in run.stdout
    assert key == Key("team-a", hashlib.sha256(secret.encode()).digest(), frozenset({"metrics"}))


@pytest.mark.parametrize("args", [("a b",), ("a", "--scope", "root"), ("",)])
def test_the_command_refuses_what_the_file_would(args):
    run = unmask_here("key", "new", *args)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("unmask: ")


def test_keys_are_random():
    assert len({new_secret() for _ in range(100)}) == 100
    assert len(new_secret()) > 50
