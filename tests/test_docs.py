"""What the pages of docs/ show runs: the blocks of Python of a page are one program."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cavs import ops
from cavs.core.ops._def import OpDef
from cavs.core.passes import PASSES

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [
    "attention.md",
    "concepts.md",
    "convolution.md",
    "derivatives.md",
    "explain.md",
    "generative.md",
    "gpu.md",
    "growth.md",
    "rows.md",
    "types.md",
    "why.md",
]
MAKE_REASONS = ("_reasons", "_hindrance", "_why_apart", "_beside")


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


def said(tree: ast.AST) -> Iterator[str]:
    """The longest constant part of each reason that a module gives: texts given to `refuse`, kept
    as `reason`, or returned by a function that makes one."""
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found = [*node.args[2:3]] if node.func.attr == "refuse" else []
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found = [node.value] if node.targets[0].id == "reason" else []
        elif isinstance(node, ast.FunctionDef) and node.name in MAKE_REASONS:
            found = [x.value for x in ast.walk(node) if isinstance(x, ast.Return)]
        for text in found:
            for x in ast.walk(text) if text is not None else ():
                if isinstance(x, ast.JoinedStr):
                    parts = [p.value for p in x.values if isinstance(p, ast.Constant)]
                    yield max(map(str, parts), key=len)
                elif isinstance(x, ast.Constant) and x is text and isinstance(x.value, str):
                    yield x.value


def test_the_page_on_reports_has_every_reason() -> None:
    text = (DOCS / "why.md").read_text(encoding="utf-8")
    folders = ("cavs/core/passes", "cavs/core/lowering")
    files = [file for folder in folders for file in (DOCS.parent / folder).glob("*.py")]
    found = {x.strip(" :,") for file in files for x in said(ast.parse(file.read_text()))}
    assert len(found) > 25
    for words in found:
        for part in re.split(r"\{\w*\}", words):
            assert part.strip() in text, words
