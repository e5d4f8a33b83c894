"""What the pages of docs/ show runs: the blocks of Python of a page are one program."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from cavs import ops
from cavs.core.ops._def import OpDef
from cavs.core.passes import PASSES
from cavs.core.passes.unique_pulls import reasons

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ["concepts.md", "explain.md", "gpu.md", "types.md"]


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


def test_the_table_of_passes_has_all_in_their_order() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("\n## Passes\n")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.M)) == PASSES


def test_the_page_on_ops_names_every_field_of_a_row() -> None:
    named = set(re.findall(r"`(\w+)`", (DOCS / "adding-an-op.md").read_text(encoding="utf-8")))
    given = {field.name for field in dataclasses.fields(OpDef) if field.init}
    assert given - named == {"name", "arity"}


def test_the_page_on_profiles_has_every_reason() -> None:
    """Why a product does not run once per id: the words of the reasons, without their names."""
    text = (DOCS / "explain.md").read_text(encoding="utf-8")
    source = inspect.getsource(inspect.getmodule(reasons) or reasons)
    found = re.findall(r'"(it [a-z ]+|the pass [a-z_ ]+)', source)
    assert len(found) > 4
    for words in found:
        assert words.strip() in text, words
