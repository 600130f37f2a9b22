"""The table of settings: names in files, in the environment and as flags, values and meanings.

Settings of `[decoding]` are sampling parameters and follow from `unmask.sampling_params`.
"""

import math
import typing
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, cast

from unmask.config import Config
from unmask.errors import InvalidConfig
from unmask.sampling_params import SETTINGS
from unmask.value_types import ValueType

Scalar = str | int | float | bool
Value = Scalar | tuple[str, ...] | None

MEANINGS = {
    "model.path": "Checkpoint folder, or org/name on the hub; the embedded model if unset.",
    "model.served_name": "Name that clients see; the folder's name if unset.",
    "model.dtype": "Type of weights and activations; auto takes the checkpoint's where it is fast.",
    "model.quantization": "Weights in 8 bits, or 4 of linear layers; auto holds them as stored.",
    "model.adapter": "LoRA adapters to merge: PEFT folders, or org/name on the hub.",
    "model.device": "Device of the model; auto takes the first CUDA device, else the CPU.",
    "model.max_model_len": "Longest prompt and answer together, in tokens; the model's if unset.",
    "model.tokenizer": "Folder or hub repository of the tokenizer; the checkpoint's if unset.",
    "model.chat_template": "Jinja file, or text, of the chat template; the checkpoint's if unset.",
    "model.mask_token_id": "Id of the mask token, for checkpoints that do not name it.",
    "model.attention": "Attention of weights that do not say theirs, as A2D, D2F: full or block.",
    "model.hf_overrides": "JSON object of config.json fields to replace; null removes one.",
    "engine.max_num_seqs": "Sequences that may share a step.",
    "engine.max_batch_tokens": "Query tokens that a step may hold, prompts and blocks together.",
    "engine.max_queue": "Requests that may wait; more are answered with status 503.",
    "engine.page_size": "Tokens of a page of the KV cache (default: 64 on a GPU, 32 elsewhere).",
    "engine.num_pages": "Pages of the KV cache; as many as kv_memory_mib holds if unset.",
    "engine.kv_memory_mib": "MiB of the KV cache (default: 85% of free GPU memory, 256 on a CPU).",
    "engine.kv_dtype": "Data type of the KV cache; auto takes the model's, fp8 is e4m3.",
    "engine.prefix_cache": "Reuse the KV pages of prompts that begin alike.",
    "engine.overlap": "Prepare a step while the last one runs (default: on a GPU).",
    "engine.overlap_rows": "Rows from which steps of block-causal models overlap.",
    "engine.steps_ahead": "Steps launched before one's result is read, where they overlap.",
    "engine.graphs": "Use CUDA graphs (default: on a GPU).",
    "engine.saturation_rows": "Rows that fill the device (default: 256 on a GPU, 32 elsewhere).",
    "engine.rows_per_client": "Rows of a step for each client (default: saturation_rows).",
    "engine.speculation_rows": "Rows that a step may have for speculative states; 0 is off.",
    "engine.step_timeout_s": "Seconds after which a step hangs, and the engine is started again.",
    "engine.threads": "CPU threads (default: all cores for C kernels, half of them for torch).",
    "decoding.preset": "Published settings by name, such as speed; an unknown one lists them.",
    **{f"decoding.{row.name}": row.meaning for row in SETTINGS},
    "server.host": "Address to listen on; 0.0.0.0 is every address.",
    "server.port": "TCP port to listen on; 0 takes a free one.",
    "server.uds": "Unix socket to listen on, instead of `host` and `port`.",
    "server.health_port": "TCP port of health and metrics on a thread of their own; none if unset.",
    "server.engine": "Run the engine in a process of its own, or on a thread for debugging.",
    "server.data_parallel": "Engines, each with a GPU of its own, or a share of the CPU's cores.",
    "server.api_processes": "Processes that serve HTTP, before the same engines.",
    "server.api_key": "Bearer token that clients must send; none is asked for if unset.",
    "server.api_key_file": "TOML file of hashed keys with names and scopes; see `unmask key new`.",
    "server.metrics_key": "Bearer token that /metrics asks for; none if unset.",
    "server.allowed_hosts": "Host names that are answered; '*' is every name.",
    "server.tls_cert_file": "Certificate, and its chain, with which the server speaks HTTPS.",
    "server.tls_key_file": "Private key of the certificate; in the certificate's file if unset.",
    "server.cors_origins": "Origins of web pages that may call the API; '*' is every origin.",
    "server.vllm_metrics": "Export metrics under vLLM's names too, for its dashboards.",
    "server.requests_per_minute": "Requests that a client may send in a minute.",
    "server.tokens_per_minute": "Tokens of prompts and answers that a client may use in a minute.",
    "server.max_concurrent_requests": "Requests that a client may have open at once.",
    "server.max_queue_per_client": "Choices of a client that may run or wait.",
    "server.request_timeout_s": "Seconds that a request may take; more ends it with status 504.",
    "server.ping_interval_s": "Seconds of silence on a stream before a comment keeps it alive.",
    "server.keep_alive_s": "Seconds until an idle connection is closed, later than by clients.",
    "server.header_timeout_s": "Seconds in which the head of a request must arrive.",
    "server.body_timeout_s": "Seconds in which a body must arrive; 16 KiB of it give one more.",
    "server.write_timeout_s": "Seconds until a client that reads nothing is disconnected.",
    "server.max_header_kib": "KiB of the longest request line and headers that are read.",
    "server.max_body_mib": "MiB of the longest request body (default: 4; 32 for models of images).",
    "server.max_bodies_mib": "MiB of bodies over 64 KiB that each API process holds; more get 503.",
    "server.max_unread_mib": "MiB of a stream that are held for a client that does not read them.",
    "server.max_connections": "Connections that each API process serves at once; more get 503.",
    "server.backlog": "Connections that the system holds until they are accepted.",
    "server.drain_delay_s": "Seconds after SIGTERM until the server takes no connections.",
    "server.shutdown_timeout_s": "Seconds that requests have to end at a signal; then they abort.",
    "server.status_interval_s": "Seconds between log lines of what was done; 0 is none.",
    "server.access_log": "Log every HTTP request, with tokens and times of its answer.",
    "server.otlp_endpoint": "URL of an OpenTelemetry collector that gets spans of requests.",
    "server.log_level": "Least severe messages that are logged.",
    "server.log_format": "Log lines for people (text) or for collectors (json).",
}
# Smallest and largest value, both allowed; settings that are not here are no numbers.
BOUNDS: dict[str, tuple[float, float]] = {
    "model.max_model_len": (1, math.inf),
    "model.mask_token_id": (0, math.inf),
    "engine.max_num_seqs": (1, math.inf),
    "engine.overlap_rows": (0, math.inf),
    "engine.steps_ahead": (1, math.inf),
    "engine.max_batch_tokens": (1, math.inf),
    "engine.max_queue": (1, math.inf),
    "engine.page_size": (1, math.inf),
    "engine.num_pages": (1, math.inf),
    "engine.kv_memory_mib": (1, math.inf),
    "engine.threads": (1, math.inf),
    "engine.saturation_rows": (1, math.inf),
    "engine.rows_per_client": (1, math.inf),
    "engine.speculation_rows": (0, math.inf),
    "engine.step_timeout_s": (1, math.inf),
    **{f"decoding.{row.name}": row.interval for row in SETTINGS if row.low is not None},
    "server.port": (0, 65535),
    "server.data_parallel": (1, 1024),
    "server.requests_per_minute": (1, math.inf),
    "server.tokens_per_minute": (1, math.inf),
    "server.max_concurrent_requests": (1, math.inf),
    "server.max_queue_per_client": (1, math.inf),
    "server.request_timeout_s": (0.001, math.inf),
    "server.api_processes": (1, 256),
    "server.ping_interval_s": (0.01, math.inf),
    "server.keep_alive_s": (0, math.inf),
    "server.health_port": (0, 65535),
    "server.header_timeout_s": (0.1, math.inf),
    "server.body_timeout_s": (0.1, math.inf),
    "server.write_timeout_s": (0.1, math.inf),
    "server.max_header_kib": (8, 1024),
    "server.max_body_mib": (1, 1024),
    "server.max_bodies_mib": (1, math.inf),
    "server.max_unread_mib": (1, math.inf),
    "server.max_connections": (1, math.inf),
    "server.backlog": (1, 65535),
    "server.drain_delay_s": (0, math.inf),
    "server.shutdown_timeout_s": (0, math.inf),
    "server.status_interval_s": (0, math.inf),
}
FLAGS = {"model.path": "--model"}
SECRETS = frozenset({"server.api_key", "server.metrics_key"})
VERBATIM = frozenset({"model.chat_template"})  # a text, the white space around it included
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting; `base` is the type of its value, or of its elements if there are `many`.

    A number may have `words` in its place, such as "auto".
    """

    section: str
    key: str
    base: type[Scalar]
    choices: tuple[str, ...]
    optional: bool
    many: bool
    default: Value
    words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in a file, the section first."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"UNMASK_{self.section}_{self.key}".upper()

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return FLAGS.get(self.name) or "--" + self.key.replace("_", "-")

    @property
    def meaning(self) -> str:
        """One sentence of help."""
        return MEANINGS[self.name]

    @property
    def secret(self) -> bool:
        """True if its value must not be shown."""
        return self.name in SECRETS

    def parse(self, text: str) -> Value:
        """The value that a variable or flag spells out; raises `InvalidConfig`."""
        verbatim, text = text, text.strip()
        if self.secret and not text:
            return self.check(text)
        if self.optional and text.lower() in ("", "none"):
            return None
        if self.name in VERBATIM:
            return self.check(verbatim)
        if self.many:
            return self.check([part.strip() for part in text.split(",") if part.strip()])
        if self.base is bool:
            if text.lower() not in TRUE + FALSE:
                raise InvalidConfig(f"must be true or false, got {text!r}")
            return text.lower() in TRUE
        if self.base is str or text in self.words:
            return self.check(text)
        try:
            return self.check(self.base(text))
        except ValueError:
            raise InvalidConfig(f"must be {self.expected}, got {text!r}") from None

    def check(self, value: object) -> Value:
        """The value if it is one this setting may have; raises `InvalidConfig`."""
        if self.secret and isinstance(value, str) and not value.strip():
            raise InvalidConfig("must not be empty; leave it unset to ask for no key")
        if isinstance(value, str) and value in self.words:
            return value
        if self.many:
            if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
                return tuple(value)
        elif self.base in (int, float):
            if isinstance(value, (int, self.base)) and not isinstance(value, bool):
                low, high = self.bounds
                if low <= value <= high and value < math.inf:
                    return cast(Scalar, self.base(value))
        elif isinstance(value, self.base) and (not self.choices or value in self.choices):
            return value
        shown = "a secret of another type" if self.secret else repr(value)
        raise InvalidConfig(f"must be {self.expected}, got {shown}")

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest number it may be."""
        return BOUNDS.get(self.name, (-math.inf, math.inf))

    @property
    def expected(self) -> str:
        """The values it may have, in words."""
        return " or ".join((*self.words, self._expected))

    @property
    def _expected(self) -> str:
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.many:
            return "a list of strings"
        words = {bool: "true or false", str: "a string", int: "an integer", float: "a number"}
        low, high = self.bounds
        if low == math.ulp(0.0):
            return words[self.base] + " greater than 0"
        if high < math.inf:
            return f"{words[self.base]} from {low} to {high}"
        return words[self.base] + (f" of at least {low}" if low > -math.inf else "")


def _option(section: str, entry: "Field[Any]", annotation: Any) -> Option:
    kind = ValueType.from_annotation(annotation)
    assert entry.default is not MISSING, f"{section}.{entry.name} has no default"
    return Option(
        section,
        entry.name,
        kind.base,
        kind.choices,
        kind.optional,
        kind.many,
        entry.default,
        kind.words,
    )


def _all_options() -> tuple[Option, ...]:
    options = []
    sections = typing.get_type_hints(Config)
    for section in fields(Config):
        tree = sections[section.name]
        hints = typing.get_type_hints(tree)
        entries = [entry for entry in fields(tree) if entry.metadata.get("is_setting", True)]
        options += [_option(section.name, entry, hints[entry.name]) for entry in entries]
    return tuple(options)


OPTIONS = _all_options()
