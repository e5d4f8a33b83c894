"""The gallery shows vertex functions as they stand in the source."""

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)
SOURCES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "cavs/models").glob("*.py"))]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_stands_in_a_model(number: int) -> None:
    for depth in (0, 4, 8):
        block = textwrap.indent(BLOCKS[number], " " * depth)
        if any(block in source for source in SOURCES):
            return
    raise AssertionError(BLOCKS[number])
