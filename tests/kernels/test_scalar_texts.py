"""The formulas of scalar operations are one text for every device."""

import re
from pathlib import Path

import pytest

GROUP = Path(__file__).resolve().parents[2] / "csrc" / "group"
TEXTS = [
    *("one_lane.h", "scalar_math.h", "special_math.h", "special_double.h"),
    *("scalar_ops.h", "scalar_functions.h"),
]


@pytest.mark.parametrize("name", TEXTS)
def test_no_standard_library(name):
    """A GPU's run-time compiler takes these as they stand, and has no standard headers."""
    text = (GROUP / name).read_text(encoding="utf-8")
    code = re.sub(r"//.*", "", text)
    assert not re.findall(r"#include\s*<|std::|\bint\d+_t\b|\bsize_t\b", code)
    for header in re.findall(r'#include "group/(.*)"', code):
        assert header in TEXTS
    if name != "one_lane.h":
        assert "__builtin" not in code
