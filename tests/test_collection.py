"""Tests are collected without the packages that only some of them need."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
OPTIONAL = {"conllu", "cupy", "dgl", "graphviz", "jax", "matplotlib", "networkx", "nltk", "torch"}


def imported(tree: ast.Module) -> set[str]:
    """Top-level packages that the module imports as it is loaded, before any `importorskip`."""
    found: set[str] = set()
    for statement in tree.body:
        if "importorskip" in ast.dump(statement):
            break
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            found.add(statement.module)
            found |= {f"{statement.module}.{alias.name}" for alias in statement.names}
    return {"torch" if name.startswith("cavs.torch") else name.split(".")[0] for name in found}


@pytest.mark.parametrize(
    "path", [path.relative_to(TESTS).as_posix() for path in sorted(TESTS.rglob("test_*.py"))]
)
def test_a_file_of_tests_imports_no_optional_package(path: str) -> None:
    assert not imported(ast.parse((TESTS / path).read_text("utf-8"))) & OPTIONAL
