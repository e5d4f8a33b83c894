"""What the pages of docs/ show runs: the blocks of Python of a page are one program."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from cavs import ops

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ["concepts.md", "explain.md", "gpu.md"]


def blocks(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.S)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found, names = blocks(page), {"__name__": "docs"}
    assert found
    for code in found:
        exec(compile(code, page, "exec"), names)


def test_the_table_of_operations_has_all_of_them() -> None:
    text = (DOCS / "concepts.md").read_text(encoding="utf-8")
    section = text.partition("\n## Operations\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    shown = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    functions = {name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))}
    assert sorted(shown) == sorted(functions)
