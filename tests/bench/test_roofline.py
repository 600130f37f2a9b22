"""Roofline picture of a GPU's result."""

from typing import Any
from xml.etree import ElementTree

from benchmarks.device.roofline import draw

CEILINGS = {"bytes_per_s": 3e12, "flops_per_s": 7e14, "fp8_flops_per_s": 1.2e15}


def _engine(index: int) -> dict[str, Any]:
    return {
        "part": f"model {index}",
        "flops": 1e12 * (index + 1),
        "bytes": 1e9,
        "step_ms": 10.0,
        "share_of_floor": 0.5,
    }


def test_every_point_is_listed_inside_of_the_picture() -> None:
    picture = ElementTree.fromstring(
        draw({"ceilings": CEILINGS, "engine": [_engine(i) for i in range(80)]})
    )
    height = float(picture.attrib["height"])
    texts = [e for e in picture.iter() if (e.text or "").endswith("50%")]
    assert len(texts) == 80
    assert all(float(text.attrib["y"]) < height for text in texts)


def test_products_of_8_bits_have_a_ceiling_of_their_own() -> None:
    text = draw({"ceilings": CEILINGS, "engine": [_engine(0)]})
    assert "700 TFLOP/s" in text
    assert "1200 TFLOP/s" in text
    assert "1200" not in draw({"ceilings": CEILINGS | {"fp8_flops_per_s": None}})
