"""The page of metrics lists what there is, and nothing else."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.engines import ROOMY, make_engine
from unmask.config import Config, ServerConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"


def exported(engine: Engine) -> set[str]:
    families = text_string_to_metric_families(engine.metrics.render().decode())
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def first_cells() -> list[str]:
    """What the rows of the page's tables are about."""
    lines = PAGE.read_text().splitlines()
    return [line.split("|")[1] for line in lines if line.startswith("| `")]


def test_every_metric_is_explained(tiny: LoadedModel) -> None:
    found = {name for name in exported(make_engine(tiny)) if not name.startswith("process_")}
    documented = {name for cell in first_cells() for name in re.findall(r"`(unmask_\w+)", cell)}
    assert documented == found


def test_every_name_of_vllm_is_explained(tiny: LoadedModel) -> None:
    engine = Engine(Config(engine=ROOMY, server=ServerConfig(vllm_metrics=True)), tiny, Metrics())
    found = {name for name in exported(engine) if name.startswith("vllm:")}
    documented = {name for cell in first_cells() for name in re.findall(r"`(vllm:\w+)", cell)}
    assert documented == found
