"""What docs/data.md shows runs as written, from its first line to its last."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "data.md"
PACKAGES = ("conllu", "networkx", "nltk")


def test_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "page"}
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.S | re.M):
        line = text.count("\n", 0, block.start()) + 1
        code = "\n" * line + block[1]  # an error names the page's own line
        exec(compile(code, str(PAGE), "exec"), names)
    assert names["cavs"]
