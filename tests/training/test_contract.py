"""What tasks ask of models: as docs/training.md says it."""

import re
from pathlib import Path

import pytest

from cavs.core.ops._spaces import SpaceKind
from cavs.core.traced_vertex import InputSpec
from cavs.training.contract import ID, Pull
from cavs.training.tasks import MODELS, TASKS, Predicts, Samples

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def row_of(model: str) -> str:
    """The row of the table of contracts that a built-in model stands in."""
    task = MODELS[model]
    name = task.task_name if model == task.models[0].name else model
    rows = [line for line in DOCS.splitlines() if line.startswith("|") and line.count("|") == 5]
    (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
    return row


@pytest.mark.parametrize("model", [m for m in MODELS if m not in ("tree-gru", "tree-fc")])
def test_docs_name_what_is_pulled_and_pushed(model: str) -> None:
    row = row_of(model)
    if "the same" in row:
        row = row_of(MODELS[model].models[0].name)
    _, _, _, pulls, pushes, _ = row.split("|")
    contract = MODELS[model].model_of(model).contract
    pulled = {name for function in contract.functions.values() for name in function.pulls}
    pushed = {
        name
        for function in contract.functions.values()
        for name in (*function.pushes, *function.may_push)
    }
    functions = {name for name in contract.functions if name}
    assert set(re.findall(r"`(\w+)`", pulls)) == pulled | functions
    assert set(re.findall(r"`(\w+)`", pushes)) == pushed | functions
    for attribute in (*contract.attributes, *contract.to_sample):
        assert f"`{attribute}`" in DOCS


def test_docs_name_all_tasks_and_models() -> None:
    table = [line for line in DOCS.splitlines() if line.count("|") == 6]
    rows = {line.split("|")[1].strip(): line for line in table}
    for task in TASKS:
        row = rows[f"`{task.task_name}`"].split("|")
        assert re.findall(r"`([\w-]+)`", row[2]) == [model.name for model in task.models]
        assert bool(row[4].strip()) == issubclass(task, Predicts)
        assert bool(row[5].strip()) == issubclass(task, Samples)


@pytest.mark.parametrize(
    ("pull", "written", "good", "bad"),
    [
        (ID, "v.pull('x', dtype='int32')", ((), "int32", "vertex"), ((), "float", "vertex")),
        (
            Pull("graph", "float", ("size", 2)),
            "v.pull_graph('x', 3, 2)",
            ((3, 2), "float", "graph"),
            ((3,), "float", "graph"),
        ),
        (
            Pull("graph", "float", (None,)),
            "v.pull_graph('x', SIZE)",
            ((7,), "float", "graph"),
            ((7,), "float", "vertex"),
        ),
    ],
)
def test_pulls(pull: Pull, written: str, good: tuple, bad: tuple) -> None:  # type: ignore[type-arg]
    assert pull.written("x", {"size": 3}) == written
    assert pull.fits(InputSpec("x", *good, None, SpaceKind.VERTEX), {"size": 3})
    assert not pull.fits(InputSpec("x", *bad, None, SpaceKind.VERTEX), {"size": 3})
