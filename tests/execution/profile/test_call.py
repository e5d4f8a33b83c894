"""What calls allocate: predicted, and as the system sees it in a process of its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs.models
from cavs import nn, ops
from cavs.core.passes import PASSES
from cavs.errors import CavsRuntimeError, DTypeError, InputError

SIZES = Path(__file__).parent / "call_sizes.py"
GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]]), cavs.InputGraph([[], [0]])])


def growth(*arguments: str) -> tuple[int, int]:
    """Predicted and taken by a process that does nothing else."""
    found = subprocess.run(
        [sys.executable, str(SIZES), *arguments], capture_output=True, text=True, check=True
    )
    predicted, taken = map(int, found.stdout.split())
    return predicted, taken


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux says what is there")
@pytest.mark.parametrize("mode", ["training", "retained", "inference"])
@pytest.mark.parametrize(
    ("model", "threads", "dtype"),
    [
        pytest.param("tree_lstm", "1", "float32"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("tree_lstm", "2", "float32"),
                ("tree_lstm", "1", "float64"),
                ("nary_tree_lstm", "2", "float32"),
                ("large_vocabulary", "1", "float32"),
                ("language_model", "2", "float32"),
                ("language_model_loss", "1", "float32"),
                ("vae", "2", "float32"),
                ("lattice", "2", "float32"),
                ("program", "1", "float32"),
            )
        ),
    ],
)
def test_the_process_grows_by_what_is_predicted(
    model: str, threads: str, dtype: str, mode: str
) -> None:
    predicted, taken = growth(model, threads, dtype, mode)
    assert predicted > 150e6
    assert 0.9 < taken / predicted < 1.1, (predicted, taken)


class Cell(cavs.VertexFunction):
    """Reads words and numbers; what it pushes has all shapes, and a part without a gradient."""

    def __init__(self, words: int = 50) -> None:
        self.embedding = nn.Embedding(words, 8)
        self.w = nn.Linear(8, 16)
        self.u = nn.Linear(16, 16, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        h = ops.tanh(self.w(x) + self.u(v.gather(h=16).h.sum()) + v.pull("x", 16))
        v.scatter(h=h)
        v.push(h=h, loss=ops.sum(ops.square(h)), draw=v.uniform())


def whole(**options: Any) -> cavs.Model:
    """Without parts of its own for leaves, whose rows are counted apart."""
    passes = [name for name in PASSES if name != "specialize_leaves"]
    return cavs.compile(Cell(**options), passes=passes)


def memory(model: cavs.Model, gradients: Any = True, **inputs: Any) -> Any:
    return model._memory(GRAPHS, gradients, inputs)


def test_outputs_cotangents_and_gradients_are_counted() -> None:
    model = whole()
    word = np.array([3, 3, -1, 4, -1, 3, 9], np.int32)
    found = memory(model, word=word)
    assert found.outputs == 4 * 7 * (16 + 1 + 1)
    assert found.cotangents == 4 * 7  # of the loss: nothing learns by what is drawn
    weights = 16 * 8 + 16 + 16 * 16
    assert found.gradients == 4 * (weights + 4 * 8 + 4)  # the rows of 3, 4, 9 and "none", and ids
    assert model.memory(GRAPHS, word=word) == found.total
    rest = found.arena + found.packed
    assert found.total == rest + found.outputs + found.cotangents + found.gradients
    one = cavs.batch([cavs.InputGraph([[]])])
    assert model._memory(one, True, {}).packed == 0  # for one row weights are read as they are
    assert found.packed > 0
    many = cavs.batch(cavs.unbatch(GRAPHS) * 20)
    assert model._memory(many, True, {}).packed > 0
    unknown = memory(model)
    assert unknown.gradients == 4 * (weights + 7 * 8 + 7)


def test_the_loss_can_be_made_of_other_outputs() -> None:
    model = cavs.compile(Cell(), dtype="float64")
    assert memory(model, "h").cotangents == 8 * 7 * 16
    assert memory(model, ["h", "loss"]).cotangents == 8 * 7 * 17
    assert memory(model, True).cotangents == 8 * 7
    for wrong in ("y", ["h", "y"], ()):
        with pytest.raises(InputError, match=r"expected outputs among \['draw', 'h', 'loss'\]"):
            model.memory(GRAPHS, gradients=wrong)
    only = cavs.compile(Cell(), outputs=["h", "draw"])
    assert memory(only).cotangents == 4 * 7 * 16


def test_inputs_with_gradients_are_counted() -> None:
    model = cavs.compile(Cell())
    x = np.zeros((7, 16), np.float32)
    plain, wanted = memory(model, x=x), memory(model, x=cavs.tensor(x, requires_grad=True))
    assert wanted.gradients - plain.gradients == 4 * 7 * 16


class OnEdges(cavs.VertexFunction):
    """One embedding of what vertices and edges pull."""

    def __init__(self) -> None:
        self.embedding = cavs.nn.Embedding(40, 6)
        self.cell = cavs.nn.Linear(6, 6)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        y = self.embedding(v.pull_edge("relation", dtype="int32"))
        h = cavs.ops.tanh(self.cell(x) + (y * v.gather(h=6).h).sum())
        v.scatter(h=h)
        v.push(loss=h.sum())


def test_gradients_by_rows_from_several_pulls_are_added_up() -> None:
    model = cavs.compile(OnEdges())
    whole = sum(p.size for n, p in model.named_parameters() if n != "embedding.weight")
    rows = [4, 3, GRAPHS.num_edges]  # leaves, inner vertices and edges
    sums = sum(rows) + max(rows)
    assert memory(model).gradients == 4 * (whole + sum(rows) * (6 + 1) + sums * 6)


def test_inference_counts_what_it_keeps() -> None:
    model = whole(words=100_000).eval()
    found = memory(model, False, word=np.array([5, 5, -1, 99_999, -1, 5, 50_000], np.int32))
    assert found.kept == 3 * 4096  # pages of 5, of 50,000, and of 99,999 with "none" beside it
    assert found.cotangents == found.gradients == 0
    assert found.total == found.arena + found.packed + found.kept + found.outputs
    frozen = cavs.compile(Cell())
    for parameter in frozen.parameters():
        parameter.requires_grad = False
    assert memory(frozen, True) == memory(frozen, False)


class Reader(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w = nn.Linear(16, 16)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(loss=ops.sum(ops.square(self.w(v.pull("below", 16)))))


def program() -> cavs.Program:
    return cavs.compile(cavs.VertexProgram({"up": Cell(), "down": Reader()}))


def test_a_kept_graph_takes_what_backward_would_write_over() -> None:
    model = cavs.compile(cavs.models.ChildSumTreeLSTM(50, 40, 64, 3))
    many = cavs.batch(cavs.unbatch(GRAPHS) * 100)
    plain, kept = model._memory(many, True, {}), model._memory(many, True, {}, retain=True)
    assert model.memory(many, retain=True) == kept.total > plain.total == model.memory(many)
    assert replace(kept, arena=plain.arena) == plain
    assert kept.arena < 2 * plain.arena
    assert model.memory(many, gradients=False, retain=True) == model.memory(many, gradients=False)
    made = program()
    calls: dict[str, Any] = {"up": (many, {}), "down": (many, {})}
    assert made.memory(calls, retain=True) > made.memory(calls)
    with pytest.raises(InputError, match="expected True or False as retain, got 1"):
        model.memory(many, retain=1)


def test_a_program_holds_all_calls_until_backward() -> None:
    made = program()
    word = np.zeros(7, np.int32)
    x, below = np.zeros((7, 16), np.float32), np.zeros((7, 16), np.float32)
    up = made["up"]._memory(GRAPHS, ["h", "loss"], {"word": word})
    down = made["down"]._memory(GRAPHS, True, {"below": cavs.tensor(below, requires_grad=True)})
    calls: dict[str, Any] = {"up": (GRAPHS, {"word": word}), "down": (GRAPHS, {})}
    assert made.memory(calls) == up.total + down.total
    # Given inputs come from no call before, so that nobody reads the outputs of one.
    calls["down"] = (GRAPHS, {"below": below})
    alone = made["up"].memory(GRAPHS, word=word) + made["down"].memory(GRAPHS, below=below)
    assert made.memory(calls) == alone
    calls["down"] = (GRAPHS, {})
    named = {"up": "h"}
    only = made["up"]._memory(GRAPHS, "h", {"word": word}).total + down.total
    assert made.memory(calls, gradients=named) == only
    first, second = (
        made[name]._memory(GRAPHS, False, inputs) for name, (_, inputs) in calls.items()
    )
    total = first.total + second.total - min(first.arena, second.arena)
    assert made.memory(calls, gradients=False) == total
    with pytest.raises(InputError, match=r"\[program\] expected one of \['up', 'down'\]"):
        made.memory({"left": (GRAPHS, {})})
    with pytest.raises(DTypeError, match="'word'"):
        made.memory({"up": (GRAPHS, {"word": x[:, 0]})})
    reference = cavs.compile(made.function, executor="reference")
    with pytest.raises(CavsRuntimeError, match=r"\[memory\]"):
        reference.memory(calls)


def test_a_program_explains_its_functions() -> None:
    made = program()
    text = made.explain()
    for name, model in made.models.items():
        assert f"=== {name}\n{model.explain()}" in text
    x = np.zeros((7, 16), np.float32)
    calls: dict[str, Any] = {
        "up": (GRAPHS, {"word": np.zeros(7, np.int32), "x": x}),
        "down": (GRAPHS, {"below": x}),
    }
    found = made.explain(calls, repeats=1)
    assert list(found) == ["up", "down"]
    for profile in found.values():
        assert set(profile.memory) == {"inference", "training"}
    with pytest.raises(InputError, match=r"\[program\] expected one of"):
        made.explain({"left": (GRAPHS, {})})


def test_memory_says_what_it_is_made_of() -> None:
    model = whole(words=100_000)
    ids = {"word": np.array([5, 5, -1, 99_999, -1, 5, 50_000], np.int32)}
    training, inference = model.memory(GRAPHS, **ids), model.memory(GRAPHS, gradients=False, **ids)
    for found, planned in (
        (training, memory(model, **ids)),
        (inference, memory(model, False, **ids)),
    ):
        assert isinstance(found, int)
        assert found.parts == {name: getattr(planned, name) for name in found.parts}
        assert found == sum(found.parts.values()) == planned.total
        assert repr(found) == str(int(found))
        again = pickle.loads(pickle.dumps(found))
        assert (again, again.parts) == (found, found.parts)
    assert training.parts["gradients"] > 0 == training.parts["kept"]
    assert inference.parts["kept"] > 0 == inference.parts["gradients"]


def test_memory_of_a_program_says_what_all_calls_are_made_of() -> None:
    made = program()
    calls: dict[str, Any] = {"up": (GRAPHS, {}), "down": (GRAPHS, {})}
    found = made.memory(calls)
    assert found == sum(found.parts.values())
    alone = [made[name].memory(GRAPHS).parts for name in calls]
    for name in ("arena", "packed", "outputs"):
        assert found.parts[name] == sum(parts[name] for parts in alone)
