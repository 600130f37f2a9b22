"""The resolved configuration: one frozen tree, whatever mixture of sources it came from."""

from dataclasses import dataclass, field
from typing import Literal

from unmask.errors import InvalidConfig
from unmask.sampling_params import PARAMETERS, SamplingParams

DtypeName = Literal["auto", "bfloat16", "float16", "float32"]
DeviceName = Literal["auto", "cpu", "cuda"]
KVDtypeName = Literal["auto", "fp8"]
AttentionName = Literal["full", "block"]
QuantizationName = Literal["auto", "none", "int8", "fp8", "int4"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
EnginePlace = Literal["process", "thread"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The served checkpoint and its types; without a path, the embedded model."""

    path: str | None = None
    served_name: str | None = None
    dtype: DtypeName = "auto"
    quantization: QuantizationName = "auto"
    adapter: tuple[str, ...] = ()
    device: DeviceName = "auto"
    max_model_len: int | None = None
    tokenizer: str | None = None
    chat_template: str | None = None
    mask_token_id: int | None = None
    attention: AttentionName | None = None
    hf_overrides: str | None = None


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Limits of the batcher and of the KV cache.

    `max_batch_tokens` is the number of query tokens a step may hold. The KV cache has `num_pages`
    of `page_size` tokens; without `num_pages` they fill `kv_memory_mib`. With `overlap`, up to
    `steps_ahead` steps are launched while the device works on the one before them, if that one has
    `overlap_rows` or more. Beyond `saturation_rows` a step's time grows with its rows, and
    load-adaptive block lengths are shorter. Where several clients run, a step has
    `rows_per_client` for each of them, or more if all of them want more. Steps of fewer than
    `speculation_rows` also run likely next states of their blocks. After a step of
    `step_timeout_s`, an engine in a process of its own is started again. `unmask.options` has the
    defaults of values that are None.
    """

    max_num_seqs: int = 64
    max_batch_tokens: int = 2048
    max_queue: int = 1024
    page_size: int | None = None
    num_pages: int | None = None
    kv_memory_mib: int | None = None
    kv_dtype: KVDtypeName = "auto"
    prefix_cache: bool = True
    overlap: bool | None = None
    overlap_rows: int = 0
    steps_ahead: int = 1
    graphs: bool | None = None
    threads: int | None = None
    saturation_rows: int | None = None
    rows_per_client: int | None = None
    speculation_rows: int = 0
    step_timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class DecodingConfig(SamplingParams):
    """Defaults for requests that give none; unset values are the checkpoint's.

    Raises `InvalidConfig` for a parameter that is no setting.
    """

    preset: str | None = None

    def __post_init__(self) -> None:
        SamplingParams.__post_init__(self)
        for row in PARAMETERS.values():
            if not row.is_setting and getattr(self, row.name) != row.default:
                raise InvalidConfig(f"{row.name} is given by requests only, it is not a setting")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The HTTP side: where to listen, who may call, what is exported and logged.

    Requests are spread over `data_parallel` engines in processes of their own, and HTTP over
    `api_processes`.
    After SIGTERM the server still answers connections for `drain_delay_s`, and requests have
    `shutdown_timeout_s` to end before they are aborted. Every `status_interval_s` the log tells
    what was done, if anything was; zero is never. Idle connections are closed after `keep_alive_s`,
    those whose client sends or reads too slowly after the other timeouts. Bodies of more than
    `max_body_mib` are refused, and those beyond `max_bodies_mib` in all; without the first, the
    model decides. With `health_port`, health and metrics are answered on a port and thread of their
    own too. Without `allowed_hosts` and without a key, a server on a loopback address answers to
    its names only. A client is a key, or an address where no key is asked for; each may send so
    many requests and use so many tokens a minute, have so many requests open, and so many choices
    running or waiting. A request that takes over `request_timeout_s` is given up.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    health_port: int | None = None
    engine: EnginePlace = "process"
    data_parallel: int = 1
    api_processes: int = 1
    api_key: str | None = None
    api_key_file: str | None = None
    metrics_key: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    cors_origins: tuple[str, ...] = ()
    vllm_metrics: bool = False
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrent_requests: int | None = None
    max_queue_per_client: int | None = None
    request_timeout_s: float | None = None
    ping_interval_s: float = 15.0
    keep_alive_s: float = 75.0
    header_timeout_s: float = 10.0
    body_timeout_s: float = 20.0
    write_timeout_s: float = 60.0
    max_header_kib: int = 64
    max_body_mib: int | None = None
    max_bodies_mib: int = 64
    max_unread_mib: int = 4
    max_connections: int = 4096
    backlog: int = 2048
    drain_delay_s: float = 5.0
    shutdown_timeout_s: float = 30.0
    status_interval_s: float = 10.0
    access_log: bool = False
    otlp_endpoint: str | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set."""

    model: ModelConfig = field(default_factory=ModelConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
