"""Cases that schemathesis makes of the schema of every endpoint, against a whole server.

`make fuzz` runs it.

    python -m benchmarks.fuzz --schemathesis .fuzz/bin/st --out benchmarks/results/fuzz_cpu.json

No answer may be a 5xx, every error must be OpenAI's envelope, and every answer must match its
schema. Cases that follow the schema and are refused all the same are counted with their reasons:
the schema could be closer. Ends with status 1 if anything is wrong.
"""

import argparse
import base64
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic.json_schema import models_json_schema

from benchmarks.machine import ROOT, describe
from benchmarks.server import Server, serving
from unmask.api.anthropic_bodies import CountBody
from unmask.api.error_responses import ANTHROPIC_PATH, ANTHROPIC_TYPES, OTHER_TYPES
from unmask.api.openapi import REF, close, document_body, document_errors, error_schema
from unmask.api.routes import DIALECTS

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance", "unsupported_method"),
)
# Answers are short, so cases are quick, and the queue holds the most choices of all workers.
SERVER_ARGS = ("--max-model-len", "64", "--max-queue", "4096")
MAX_TOKENS = 16
ANTHROPIC_ERROR = "AnthropicError"
ENVELOPE = {"message": str, "type": str, "param": str | None, "code": str | None}
CASE_S = 120.0  # that an answer may take; a request has up to 1,024 choices
PART_S = 600.0  # that a part of the cases may take
MAX_SHOWN = 40  # of what is wrong
MAX_MESSAGE = 100


@dataclass(frozen=True, slots=True)
class Case:
    """One request that was answered; `is_valid` if it follows the schema."""

    operation: str
    is_valid: bool
    status: int  # 0 without an answer
    content: bytes
    request: str
    body: bytes
    failed: tuple[str, ...]  # checks

    @property
    def error(self) -> dict[str, Any] | None:
        """The error in an envelope, or None if the answer is no envelope."""
        try:
            error = json.loads(self.content)["error"]
        except (ValueError, TypeError, KeyError):
            return None
        fields = ENVELOPE.items()
        # Anthropic's has more.
        is_whole = isinstance(error, dict) and error.keys() >= ENVELOPE.keys()
        return error if is_whole and all(isinstance(error[n], t) for n, t in fields) else None

    def faults(self) -> list[str]:
        """Faults of the answer."""
        found = list(self.failed)
        if not self.status:
            found.append("no answer")
        if self.status == 504 and b'"timeout"' in self.body:
            found = [check for check in found if check != "not_a_server_error"]  # as was asked for
        elif self.status >= 500:
            found.append(f"status {self.status}")
        if self.status >= 400 and self.error is None:
            found.append("no envelope")
        return found

    @property
    def reason(self) -> str:
        """The field and the start of the message, numbers and values left out."""
        error = self.error or {"param": None, "message": "no envelope"}
        message = re.sub(r"\d+|got .*|'.*?'|\".*?\"", "*", error["message"])
        return f"{re.sub(r'[0-9]+', '*', error['param'] or '-')}: {message[:MAX_MESSAGE]}"


def cases_of(lines: Iterator[str]) -> Iterator[Case]:
    """Cases in a report of schemathesis, one JSON object a line."""
    for line in lines:
        scenario = json.loads(line).get("ScenarioFinished")
        if scenario is None:
            continue
        recorder = scenario["recorder"]
        for name, interaction in recorder.get("interactions", {}).items():
            response, request = interaction.get("response"), interaction["request"]
            meta = recorder["cases"][name]["value"].get("meta") or {}
            checks = recorder.get("checks", {}).get(name, ())
            yield Case(
                operation=recorder["label"],
                is_valid=meta.get("generation", {}).get("mode") == "positive",
                status=0 if response is None else response["status_code"],
                content=b"" if response is None else _bytes(response.get("content")),
                request=f"{request['method']} {request['uri']}",
                body=_bytes(request.get("body")),
                failed=tuple(check["name"] for check in checks if check["status"] != "success"),
            )


def _bytes(content: dict[str, str] | None) -> bytes:
    return b"" if content is None else base64.b64decode(content["$base64"])


@dataclass
class Counts:
    """Cases of all operations, and all that is wrong."""

    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    num_valid: Counter[str] = field(default_factory=Counter)
    num_taken: Counter[str] = field(default_factory=Counter)  # of the valid ones
    reasons: Counter[str] = field(default_factory=Counter)  # why valid ones are refused
    faults: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)  # requests whose answers are wrong

    @property
    def total(self) -> int:
        """All cases."""
        return sum(counts.total() for counts in self.statuses.values())

    def add(self, case: Case) -> None:
        """Count one case."""
        self.statuses[case.operation][case.status] += 1
        if case.is_valid:
            self.num_valid[case.operation] += 1
            self.num_taken[case.operation] += case.status < 400
            if case.status == 400:
                self.reasons[f"{case.operation} {case.reason}"] += 1
        if faults := case.faults():
            self.faults.update(faults)
            if len(self.shown) < MAX_SHOWN:
                self.shown.append(
                    f"{', '.join(faults)}: {case.request} {case.body!r} -> {case.content!r}"
                )

    def report(self) -> dict[str, Any]:
        """All counts."""
        return {
            "cases": self.total,
            "statuses": dict(sum(self.statuses.values(), Counter())),
            "valid": self.num_valid.total(),
            "valid_taken": self.num_taken.total(),
            "operations": {
                name: {
                    "cases": counts.total(),
                    "statuses": dict(sorted(counts.items())),
                    "valid": self.num_valid[name],
                    "valid_taken": self.num_taken[name],
                }
                for name, counts in sorted(self.statuses.items())
            },
            "refused_though_valid": dict(self.reasons.most_common(MAX_SHOWN)),
            "wrong": dict(self.faults),
            "wrong_cases": self.shown,
        }


def document(url: str) -> dict[str, Any]:
    """The server's `/openapi.json`, and the endpoints of other dialects, which it leaves out.

    Their answers are objects: other schemas of them than the bodies' are not known here.
    """
    found: dict[str, Any] = httpx.get(f"{url}/openapi.json", trust_env=False).json()
    bodies = {dialect.path: dialect.body for dialect in DIALECTS if dialect.answer is None}
    bodies["/v1/messages/count_tokens"] = CountBody
    _, models = models_json_schema([(b, "validation") for b in bodies.values()], ref_template=REF)
    for model in models["$defs"].values():
        close(model)
    # A number of tokens is required here, and the context is short.
    models["$defs"]["MessagesBody"]["properties"]["max_tokens"]["maximum"] = MAX_TOKENS
    errors = {ANTHROPIC_ERROR: error_schema((*OTHER_TYPES, *ANTHROPIC_TYPES.values()))}
    found["components"]["schemas"] = models["$defs"] | errors | found["components"]["schemas"]
    answer = {"schema": {"type": "object"}}
    content = {"application/json": answer, "text/event-stream": answer}
    for path, body in bodies.items():
        envelope = ANTHROPIC_ERROR if path.startswith(ANTHROPIC_PATH) else "Error"
        responses = document_errors(400, 401, 404, 413, 429, 500, 503, 504, model=envelope)
        named = {str(status): response for status, response in responses.items()}
        named["200"] = {"description": "the answer", "content": content}
        found["paths"][path] = {"post": {**document_body(body), "responses": named}}
    return found


def run_part(server: Server, counts: Counts, seed: int, options: argparse.Namespace) -> None:
    """Count the cases of one run of schemathesis."""
    with tempfile.TemporaryDirectory() as folder:
        report, schema = Path(folder) / "report.ndjson", Path(folder) / "openapi.json"
        schema.write_text(json.dumps(document(server.url)), encoding="utf-8")
        phases = "coverage,fuzzing" if seed == 0 else "fuzzing"  # coverage has no seed
        command = [
            *(str(options.schemathesis.absolute()), "run", str(schema), "--url", server.url),
            *("--seed", str(seed), "--phases", phases, "--workers", str(options.workers)),
            *("--max-examples", str(options.examples), "--checks", ",".join(CHECKS)),
            *("--no-shrink", "--continue-on-failure", "--generation-database", "none"),
            *("--report", "ndjson", "--report-ndjson-path", str(report), "--warnings", "off"),
            *("--suppress-health-check", "all", "--request-timeout", str(CASE_S)),
        ]
        subprocess.run(
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            timeout=PART_S,
            check=False,  # its status tells of checks that failed, which are counted
        )
        with report.open(encoding="utf-8") as lines:
            for case in cases_of(lines):
                counts.add(case)


def version(schemathesis: Path) -> str:
    """The version of a command."""
    done = subprocess.run([schemathesis, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemathesis", type=Path, default=ROOT / ".fuzz" / "bin" / "st")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--examples", type=int, default=150, help="of an operation, in one part")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="after which no part begins")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    counts, began_s = Counts(), time.monotonic()
    with serving(SERVER_ARGS) as server:
        for seed in itertools.count(options.first_seed):
            before = counts.total
            run_part(server, counts, seed, options)
            assert counts.total > before, "schemathesis sends no cases"
            elapsed_s = time.monotonic() - began_s
            print(
                f"seed {seed}: {counts.total} cases, {elapsed_s:.0f} s, {counts.faults}", flush=True
            )
            if counts.total >= options.cases or elapsed_s > (options.seconds or 1e9):
                break
        gauges = server.metrics()
    report = {
        **describe(),
        "schemathesis": version(options.schemathesis),
        "seconds": round(elapsed_s, 1),
        **counts.report(),
        "running_afterwards": gauges["unmask_requests_running"],
    }
    print(json.dumps(report, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 1 if counts.faults or gauges["unmask_requests_running"] else 0


if __name__ == "__main__":
    sys.exit(main())
