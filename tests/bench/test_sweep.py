"""Sweeps run every combination against the same server, and say which was fastest."""

import asyncio
import io
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from tests.bench.fake_openai import FakeOpenAI, served
from unmask.bench.curves import draw
from unmask.bench.exchange import Target
from unmask.bench.load import Load, Run, connect
from unmask.bench.summary import Slo, summarise
from unmask.bench.sweep import (
    Combination,
    SweepRun,
    best_runs,
    parse_concurrencies,
    parse_sweep,
    run_sweep,
)
from unmask.bench.sweep_table import sweep_table
from unmask.errors import InvalidConfig, InvalidRequest

SVG = "{http://www.w3.org/2000/svg}"


def combos(*texts: str) -> list[dict[str, object]]:
    return [dict(one.fields) for one in parse_sweep(texts, ())]


def sweep(app: FakeOpenAI, prompt: str, texts: list[str], loads: list[Load]) -> list[SweepRun]:
    async def main(url: str) -> list[SweepRun]:
        async with connect(timeout_s=10) as client:
            target = Target(url, "fake", "chat", {"max_tokens": 9})
            return await run_sweep(
                client,
                target,
                parse_sweep(texts, ()),
                loads,
                lambda run: [prompt] * (loads[0].warmup + loads[0].num_requests),
                Slo(),
                lambda name, done: None,
            )

    with served(app) as url:
        return asyncio.run(main(url))


def made(rates: dict[tuple[str, int], float]) -> list[SweepRun]:
    """Runs with given tokens a second by mode and concurrency; zero is a run without answers."""
    empty = summarise(Run((), 1.0), Slo())
    target = Target("http://server", "model", "chat")
    return [
        SweepRun(
            Combination({"mode": mode}),
            Load(4, level),
            target,
            replace(empty, output_tokens_per_s=rate, num_completed=4 if rate else 0),
        )
        for (mode, level), rate in rates.items()
    ]


def shown(runs: list[SweepRun]) -> list[list[str]]:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(sweep_table(runs))
    return [line.split() for line in captured.get().splitlines()]


def test_fields_have_values_of_their_types() -> None:
    assert combos("mode=ar,diffusion") == [{"mode": "ar"}, {"mode": "diffusion"}]
    assert combos("block-length=4, auto") == [{"block_length": 4}, {"block_length": "auto"}]
    assert combos("threshold=0.9") == [{"threshold": 0.9}]
    assert combos("ignore_eos=true,false") == [{"ignore_eos": True}, {"ignore_eos": False}]


def test_several_fields_are_a_product_and_none_is_one_combination() -> None:
    assert combos("mode=ar,diffusion", "steps=2,4") == [
        {"mode": "ar", "steps": 2},
        {"mode": "ar", "steps": 4},
        {"mode": "diffusion", "steps": 2},
        {"mode": "diffusion", "steps": 4},
    ]
    assert combos() == [{}]
    assert combos("steps=2,2") == [{"steps": 2}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mode", "FIELD=a,b,c"),
        ("speed=1", "a field of max_tokens, temperature"),
        ("stop=a,b", "a field of max_tokens, temperature"),
        ("steps=4,many", "steps must be a number, got 'many'"),
        ("block_length=long", "block_length must be a number or auto, got 'long'"),
        ("ignore_eos=1", "ignore_eos must be true or false, got '1'"),
        ("mode=ar,best", "mode must be one of diffusion, ar, .*got 'best'"),
        ("steps=0", "steps must be at least 1"),
        ("steps=4,", "steps must be a number, got ''"),
    ],
)
def test_what_no_server_could_take_is_refused_before_anything_is_sent(
    text: str, message: str
) -> None:
    with pytest.raises((InvalidConfig, InvalidRequest), match=message):
        parse_sweep([text], ())


def test_a_field_is_given_once() -> None:
    with pytest.raises(InvalidConfig, match="steps is given twice, by --sweep steps=3"):
        parse_sweep(["steps=2", "steps=3"], ())
    with pytest.raises(InvalidConfig, match="steps is given twice"):
        parse_sweep(["steps=2"], {"steps": 4})


def test_concurrencies_are_a_list_of_numbers() -> None:
    assert parse_concurrencies("8") == (8,)
    assert parse_concurrencies("1, 4,16,4") == (1, 4, 16)
    for wrong in ("0", "1,", "two", "-1", "1.5", ""):
        with pytest.raises(InvalidConfig, match="--concurrency takes numbers from 1 on"):
            parse_concurrencies(wrong)


def test_every_combination_is_sent_at_every_concurrency_in_turn() -> None:
    app = FakeOpenAI()
    loads = [Load(2, level, warmup=1) for level in (1, 2)]
    runs = sweep(app, "hello", ["mode=ar,diffusion"], loads)
    assert [(str(run.combination), run.load.concurrency) for run in runs] == [
        ("mode=ar", 1),
        ("mode=diffusion", 1),
        ("mode=ar", 2),
        ("mode=diffusion", 2),
    ]
    assert [run.summary.num_completed for run in runs] == [2] * 4
    read, *measured = app.bodies  # the prompt is sent once before, for one token
    assert (read["max_tokens"], read["mode"]) == (1, "ar")
    assert [body["mode"] for body in measured] == (["ar"] * 3 + ["diffusion"] * 3) * 2
    assert {body["max_tokens"] for body in measured} == {9}
    assert runs[0].to_dict()["fields"] == {"max_tokens": 9, "mode": "ar"}
    assert runs[0].to_dict()["swept"] == {"mode": "ar"}


def test_a_run_that_is_refused_keeps_its_reason_and_the_others_their_numbers() -> None:
    runs = sweep(FakeOpenAI(), "refuse", ["steps=2"], [Load(3)])
    assert runs[0].summary.errors == {"http_429": 3}
    assert "too many" in runs[0].details[0]
    [_, row] = shown([*runs])
    assert row == ["2", "1", "-", "-", "-", "-", "-", "3", "http_429"]


RATES = {
    ("ar", 1): 50.0,
    ("diffusion", 1): 200.0,
    ("ar", 16): 900.0,
    ("diffusion", 16): 600.0,
    ("ar", 64): 0.0,
    ("diffusion", 64): 700.0,
}


def test_the_best_is_marked_where_several_answered() -> None:
    runs = made(RATES)
    assert [(str(run.combination), run.load.concurrency) for run in best_runs(runs)] == [
        ("mode=diffusion", 1),
        ("mode=ar", 16),
    ]
    marked = [line[:3] for line in shown(runs) if line[-1] == "best"]
    assert marked == [["diffusion", "1", "200.0"], ["ar", "16", "900.0"]]


def test_a_picture_has_a_line_a_combination_and_a_dot_a_run_with_answers() -> None:
    picture = ElementTree.fromstring(draw(made(RATES), "a <model>"))
    assert len(picture.findall(f"{SVG}polyline")) == 2
    dots = picture.findall(f"{SVG}circle")
    assert len(dots) == 5
    assert sum(dot.attrib["fill"] != "#ffffff" for dot in dots) == 2
    texts = [text.text or "" for text in picture.findall(f"{SVG}text")]
    assert {"mode=ar", "mode=diffusion", "1", "16", "64", "a <model>"} <= set(texts)


def test_higher_rates_are_higher_in_the_picture() -> None:
    picture = ElementTree.fromstring(draw(made(RATES), "model"))
    lines = picture.findall(f"{SVG}polyline")
    (low, high), (first, second, third) = (
        [float(point.split(",")[1]) for point in line.attrib["points"].split()] for line in lines
    )
    assert low > first > second > third > high


def test_a_legend_fits_into_the_picture() -> None:
    names = "a" * 20, "self_speculation" * 4
    runs = made({(name, level): 10.0 for name in names for level in (1, 2)})
    picture = ElementTree.fromstring(draw(runs, "model"))
    width = float(picture.attrib["width"])
    legends = [e for e in picture.findall(f"{SVG}text") if (e.text or "").startswith("mode=")]
    assert len(legends) == 2
    assert all(float(e.attrib["x"]) + 7 * len(e.text or "") < width for e in legends)


@pytest.mark.parametrize("rates", [{("ar", 4): 10.0}, {("ar", 4): 0.0}])
def test_one_concurrency_and_no_answers_have_a_picture_too(
    rates: dict[tuple[str, int], float],
) -> None:
    picture = ElementTree.fromstring(draw(made(rates), "model"))
    assert len(picture.findall(f"{SVG}circle")) == sum(map(bool, rates.values()))
