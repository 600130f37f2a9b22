"""Settings that are right by themselves and with which nothing could be served; no slow imports."""

import os
import re
import ssl
from typing import NoReturn

from unmask.config import Config, ModelConfig, ServerConfig
from unmask.errors import InvalidConfig
from unmask.models.hub import check_path
from unmask.template_file import template_of

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#*A-Z]+|null")  # of the `Origin` header
HOST = re.compile(r"[^\s/:*@\[\]]+|\[?[\da-fA-F.]*(:[\da-fA-F.]*){2,}\]?")  # a name, an address


def check_files(config: Config) -> None:
    """Raise `InvalidConfig` or `InvalidCheckpoint` for files and folders that end a start here."""
    from unmask.api.keys import KeyStore

    check_model(config.model)
    check_tls(config.server)
    KeyStore(config.server)


def check_model(model: ModelConfig) -> None:
    """Raise `InvalidCheckpoint` for folders that are not there, before anything is imported.

    Also `InvalidConfig` for a chat template that cannot be read.
    """
    for path in (model.path, model.tokenizer, *model.adapter):
        if path is not None:
            check_path(path)
    if model.chat_template is not None:
        template_of(model.chat_template)


def check_server(server: ServerConfig) -> None:
    """Raise `InvalidConfig` for settings of the server that cannot hold together.

    They are processes of what has only one, a port for two purposes, a key without a certificate,
    bodies longer than all together, a collector that is no URL, and hosts and origins that no
    browser sends.
    """
    for name in ("data_parallel", "api_processes"):
        if server.engine == "thread" and getattr(server, name) > 1:
            raise InvalidConfig(f"an engine on a thread is alone: set server.{name} to 1")
    if server.api_processes > 1 and server.uds is not None:
        raise InvalidConfig("processes share no Unix socket: set server.api_processes to 1")
    if server.tls_key_file is not None and server.tls_cert_file is None:
        raise InvalidConfig("server.tls_key_file is set without server.tls_cert_file")
    if server.uds is None and server.port != 0 and server.health_port == server.port:
        raise InvalidConfig(f"server.health_port must not be server.port, {server.port}")
    if server.max_body_mib is not None and server.max_bodies_mib < server.max_body_mib:
        raise InvalidConfig(
            f"server.max_bodies_mib, {server.max_bodies_mib}, must be at least "
            f"server.max_body_mib, {server.max_body_mib}"
        )
    endpoint = server.otlp_endpoint
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise InvalidConfig(f"server.otlp_endpoint must begin with http:// or https://: {endpoint}")
    for host in server.allowed_hosts:
        if host != "*" and not HOST.fullmatch(host):
            raise InvalidConfig(
                "server.allowed_hosts must be '*' or names such as gpu.example.com, without a "
                f"port, got {host!r}"
            )
    for origin in server.cors_origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise InvalidConfig(
                "server.cors_origins must be '*' or origins such as http://localhost:3000, in "
                f"lower case, without a path, got {origin!r}"
            )


def check_tls(server: ServerConfig) -> None:
    """Raise `InvalidConfig` for TLS files that have no certificate with its key."""
    if server.tls_cert_file is None:
        return
    for name in (server.tls_cert_file, server.tls_key_file):
        if name is not None and not os.access(name, os.R_OK):
            raise InvalidConfig(f"TLS file {name} cannot be read")

    def password() -> NoReturn:
        raise InvalidConfig("the TLS key asks for a password; store it without one")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            server.tls_cert_file, server.tls_key_file, password
        )
    except OSError as error:
        files = " and ".join(filter(None, (server.tls_cert_file, server.tls_key_file)))
        reason = (error.strerror or str(error)).partition(" (_ssl")[0]
        raise InvalidConfig(f"no certificate with its key, in PEM, in {files}: {reason}") from None
