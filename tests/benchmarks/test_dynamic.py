"""The baseline of dynamic declaration: operations, policies, and the workloads against cavs.

Its native module is built first where CMake, Ninja and pybind11 are installed.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_cases import CASES, CLASSES, EMBEDDING, together

import cavs
from cavs import models
from cavs.bench.recipes import RECIPES
from cavs.bench.workloads import find

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
POLICIES = ["none", "depth", "agenda"]
# The class of each workload's model, what it is made with, and the case that has graphs for it.
WORKLOADS: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "tree-lstm": (models.ChildSumTreeLSTM, (6, 5, 20, CLASSES), "child-sum-tree-lstm"),
    "tree-gru": (models.ChildSumTreeGRU, (6, 5, 20, CLASSES), "tree-gru"),
    "tree-fc": (models.TreeFC, (6, 5, 20, CLASSES), "tree-fc"),
    "fixed-lstm": (models.LSTM, (6, 5, 20, CLASSES), "lstm"),
    "var-lstm": (models.LSTM, (6, 5, 20, CLASSES), "lstm"),
    "lattice-lstm": (models.LatticeLSTM, (6, 5, 5, 20, CLASSES), "lattice-lstm"),
    "bilstm-tagger": (models.BiLSTMTagger, (6, 5, 20, CLASSES), "lstm"),
    "mv-rnn": (models.MVRNN, (6, 7, CLASSES), "mv-rnn"),
    "dag-rnn": (models.DAGRNN, (EMBEDDING, 20, CLASSES), "dag-rnn"),
}
RECIPE = replace(RECIPES["plain"], lr=0.05, embedding_lr=0.05)

pytestmark = pytest.mark.slow  # the first run compiles
every_policy = pytest.mark.parametrize("policy", POLICIES)


@pytest.fixture(scope="module", autouse=True)
def _on_path() -> Iterator[None]:
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def peer() -> Any:
    """peers/dynamic.py, its native module built if it can be."""
    import build_dynamic
    from peers import dynamic as peer

    missing = build_dynamic.missing()
    if not missing:
        build_dynamic.build()
    reason = peer.available(1)
    if reason is not None:
        pytest.skip(f"{reason}; the build misses {missing}")
    return peer


@pytest.fixture
def native(peer: Any) -> Any:
    import dynamic

    return dynamic


# Workloads


class Ours:
    """A workload's model in cavs over all of its graphs several times, labels and words anew."""

    def __init__(self, workload: str) -> None:
        from peers.protocol import PeerBatch

        kind, sizes, name = WORKLOADS[workload]
        case = CASES[name]
        cavs.nn.init.manual_seed(3)
        self.function = kind(*sizes)
        self.program = find(workload).subject(self.function, None)
        self.optimizer = cavs.optim.Adagrad(self.function.parameters(), lr=RECIPE.lr)
        samples = [(graph, case.inputs(graph, 10 * k)) for k in range(4) for graph in case.graphs]
        self.graphs, inputs = together(samples)
        self.inputs = {
            name: x.astype(np.float32) if x.dtype.kind == "f" else x for name, x in inputs.items()
        }
        arrays = (self.graphs.ptr, self.graphs.child_ptr, self.graphs.children)
        types: Any = self.graphs.types
        self.plain = PeerBatch(*(x.astype(np.int64) for x in arrays), self.inputs, types)

    def loss(self) -> cavs.Tensor:
        return self.program.loss(self.program.schedule(self.graphs), self.inputs)

    def gradients(self) -> dict[str, np.ndarray]:
        self.loss().backward()
        found = {}
        for name, parameter in self.function.named_parameters():
            grad = parameter.grad
            found[name] = np.array(grad.values if isinstance(grad, cavs.RowSparse) else grad)
        self.optimizer.zero_grad()
        return found

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.loss().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


@every_policy
@pytest.mark.parametrize("workload", WORKLOADS)
def test_losses_and_gradients_are_those_of_cavs(peer: Any, workload: str, policy: str) -> None:
    ours = Ours(workload)
    theirs = peer.make(workload, policy, ours.function.state_dict(), [ours.plain], RECIPE, 1)
    assert theirs.loss(0) == pytest.approx(ours.loss().item(), rel=1e-5)
    gradients = theirs.gradients(0)
    expected = ours.gradients()
    assert set(gradients) == set(expected)
    for name, grad in expected.items():
        assert gradients[name].shape == grad.shape
        scale = float(np.abs(grad).max())
        np.testing.assert_allclose(gradients[name], grad, 0, 2e-5 * scale, err_msg=name)


@every_policy
@pytest.mark.parametrize("workload", WORKLOADS)
def test_training_takes_the_same_steps(peer: Any, workload: str, policy: str) -> None:
    ours = Ours(workload)
    theirs = peer.make(workload, policy, ours.function.state_dict(), [ours.plain], RECIPE, 1)
    before = ours.loss().item()
    ours.train(4)
    for _ in range(4):
        assert theirs.train_step(0) == ours.plain.num_graphs
    after = ours.loss().item()
    assert after < 0.9 * before
    assert theirs.loss(0) == pytest.approx(after, rel=1e-4)


def test_threads_of_blas_change_nothing_but_speed(peer: Any) -> None:
    ours = Ours("tree-lstm")
    state = ours.function.state_dict()
    losses = [
        peer.make("tree-lstm", "agenda", state, [ours.plain], RECIPE, threads).loss(0)
        for threads in (1, 2)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_parts_of_a_step_are_accounted_for(peer: Any) -> None:
    ours = Ours("tree-lstm")
    counts = {}
    for policy in POLICIES:
        theirs = peer.make("tree-lstm", policy, ours.function.state_dict(), [ours.plain], RECIPE, 1)
        theirs.train_step(0)
        counts[policy] = theirs.counts()
        shares = theirs.shares()
        assert set(shares) == {"construction", "batching", "memory", "computation", "update"}
        assert sum(shares.values()) == pytest.approx(1.0)
        assert (shares["memory"] == 0) == (policy == "none")
        assert theirs.counts()["nodes"] == 0
    one_by_one = counts["none"]
    assert one_by_one["nodes"] < one_by_one["batches"] <= 2 * one_by_one["nodes"]
    assert one_by_one["copies"] == one_by_one["bytes"] == 0
    for policy in ("depth", "agenda"):
        assert counts[policy]["nodes"] == one_by_one["nodes"]
        assert counts[policy]["bytes"] > counts[policy]["copies"] > 0
        assert 5 * counts[policy]["launches"] < one_by_one["launches"]
    assert counts["agenda"]["batches"] <= counts["depth"]["batches"]


# Operations

SIZE, COUNT = 5, 3
# (graph, a weight of (3, SIZE), vectors x and y, a matrix of SIZE x SIZE) to an expression.
Operation = Callable[[Any, int, int, int, int], int]
OPERATIONS: dict[str, Operation] = {
    "affine": lambda g, w, x, y, m: g.affine(-1, w, x),
    "affine of two": lambda g, w, x, y, m: g.affine(-1, w, x, w, y),
    "affine of a matrix": lambda g, w, x, y, m: g.matvec(g.affine(-1, w, m), y),
    "tanh": lambda g, w, x, y, m: g.tanh(x),
    "logistic": lambda g, w, x, y, m: g.logistic(y),
    "exp": lambda g, w, x, y, m: g.exp(x),
    "one_minus": lambda g, w, x, y, m: g.one_minus(y),
    "add": lambda g, w, x, y, m: g.add(x, y),
    "add to itself": lambda g, w, x, y, m: g.add(x, x),
    "sub": lambda g, w, x, y, m: g.sub(x, y),
    "sub from itself": lambda g, w, x, y, m: g.sub(g.tanh(x), g.tanh(y)),
    "cmult": lambda g, w, x, y, m: g.cmult(x, y),
    "cmult by itself": lambda g, w, x, y, m: g.cmult(x, x),
    "cdiv": lambda g, w, x, y, m: g.cdiv(x, g.exp(y)),
    "sum of one": lambda g, w, x, y, m: g.sum([x]),
    "sum of few": lambda g, w, x, y, m: g.sum([x, y, g.tanh(x)]),
    "sum of many": lambda g, w, x, y, m: g.sum([x, y, y] * 4),
    "concat": lambda g, w, x, y, m: g.concat([x, g.tanh(y), x]),
    "concat of matrices": lambda g, w, x, y, m: g.matvec(g.concat([m, m]), g.tanh(x)),
    "pick_range": lambda g, w, x, y, m: g.concat([g.pick_range(x, 1, 3), g.pick_range(y, 0, 4)]),
    "matvec": lambda g, w, x, y, m: g.add(g.matvec(m, x), g.matvec(m, y)),
    "pick_neg_log_softmax": lambda g, w, x, y, m: g.pick_neg_log_softmax(x, 2),
    "what is used twice": lambda g, w, x, y, m: g.cmult(g.tanh(x), g.add(g.tanh(x), g.exp(x))),
}
Arrays = dict[str, np.ndarray]


class Evaluation:
    """An operation on COUNT samples, weighted and summed up.

    With `apart` all x are declared before all y, so that each are one piece; else in turns.
    """

    def __init__(
        self, native: Any, policy: str, operation: Operation, arrays: Arrays, apart: bool
    ) -> None:
        self.parameters = native.Parameters()
        self.numbers = {
            name: self.parameters.add(name, array, is_lookup=name in ("vectors", "matrices"))
            for name, array in arrays.items()
        }
        vectors, matrices = self.numbers["vectors"], self.numbers["matrices"]
        self.graph = g = native.Graph(self.parameters, policy)
        if apart:
            xs = [g.lookup(vectors, k) for k in range(COUNT)]
            ys = [g.lookup(vectors, k + 1) for k in range(COUNT)]
            pairs = list(zip(xs, ys, strict=True))
        else:
            pairs = [(g.lookup(vectors, k), g.lookup(vectors, k + 1)) for k in range(COUNT)]
        found = []
        for k, (x, y) in enumerate(pairs):
            found.append(operation(g, self.numbers["w"], x, y, g.lookup(matrices, k, SIZE)))
        if "readout" in arrays:
            found = [g.affine(-1, self.numbers["readout"], value) for value in found]
        self.loss = g.sum(found)
        self.value = g.forward(self.loss)

    def gradients(self) -> Arrays:
        self.graph.backward(self.loss)
        found = {}
        for name, number in self.numbers.items():
            gradient = self.parameters.gradient(number)
            if isinstance(gradient, tuple):
                ids, rows = gradient
                gradient = np.zeros(self.parameters.value(number).shape, np.float32)
                gradient[ids] = rows
            found[name] = gradient
        return found


@every_policy
@pytest.mark.parametrize("apart", [True, False], ids=["apart", "in turns"])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_gradients_are_differences(
    native: Any, operation: Operation, apart: bool, policy: str
) -> None:
    rng = np.random.default_rng(0)
    shapes = {"vectors": (COUNT + 1, SIZE), "matrices": (COUNT, SIZE * SIZE), "w": (3, SIZE)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    size = Evaluation(native, policy, operation, arrays, apart).value.size
    arrays["readout"] = rng.normal(size=(1, size)).astype(np.float32)

    def value() -> float:
        return float(Evaluation(native, policy, operation, arrays, apart).value[0, 0])

    step = np.float32(2.0**-6)
    for name, gradient in Evaluation(native, policy, operation, arrays, apart).gradients().items():
        array = arrays[name]
        expected = np.zeros_like(array)
        for place in np.ndindex(*array.shape):
            start = array[place]
            array[place] = start + step
            high = value()
            array[place] = start - step
            expected[place] = (high - value()) / (2 * step)
            array[place] = start
        np.testing.assert_allclose(gradient, expected, 2e-3, 5e-3, err_msg=name)


@every_policy
def test_nothing_is_computed_before_it_is_asked_for(native: Any, policy: str) -> None:
    parameters = native.Parameters()
    table = parameters.add("table", np.ones((2, 3), np.float32), is_lookup=True)
    bias = parameters.add("bias", np.array([1.0, 2.0, 4.0], np.float32))
    g = native.Graph(parameters, policy)
    x = g.add(g.add(g.lookup(table, 1), g.input([1.0, 2.0, 3.0])), g.parameter(bias))
    with pytest.raises(cavs.errors.CavsRuntimeError, match="forward"):
        g.value(x)
    with pytest.raises(cavs.errors.CavsRuntimeError, match="forward"):
        g.backward(x)
    assert g.forward(x).tolist() == [[3.0, 5.0, 8.0]]
    g.renew()
    assert len(g) == 0
    with pytest.raises(cavs.errors.CavsRuntimeError, match="forward"):
        g.value(x)


WRONG: dict[str, Callable[[Any], object]] = {
    "an expression of no graph": lambda g: g.tanh(7),
    "a negative expression": lambda g: g.add(0, -1),
    "no argument": lambda g: g.sum([]),
    "sizes that differ": lambda g: g.add(0, 1),
    "terms that differ": lambda g: g.sum([0, 1]),
    "columns that differ": lambda g: g.concat([0, 2]),
    "a weight of other columns": lambda g: g.affine(-1, 1, 1),
    "a bias of other rows": lambda g: g.affine(2, 1, 0),
    "a second weight of other columns": lambda g: g.affine(-1, 1, 0, 1, 1),
    "a parameter that is none": lambda g: g.affine(-1, 9, 0),
    "a table as a weight": lambda g: g.affine(-1, 0, 0),
    "a matrix as a vector": lambda g: g.parameter(1),
    "an id out of range": lambda g: g.lookup(0, 3),
    "a weight as a table": lambda g: g.lookup(1, 0),
    "columns that do not divide": lambda g: g.lookup(0, 0, 3),
    "columns that do not divide an input": lambda g: g.input([1.0, 2.0, 3.0], 2),
    "a range out of range": lambda g: g.pick_range(0, 2, 5),
    "an empty range": lambda g: g.pick_range(0, 2, 2),
    "a label out of range": lambda g: g.pick_neg_log_softmax(0, 4),
    "a vector of other size": lambda g: g.matvec(2, 0),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments_are_refused_and_leave_the_graph(
    native: Any, call: Callable[[Any], object]
) -> None:
    parameters = native.Parameters()
    parameters.add("table", np.ones((3, 4), np.float32), is_lookup=True)
    parameters.add("weight", np.ones((2, 4), np.float32))
    parameters.add("bias", np.ones(3, np.float32))
    g = native.Graph(parameters, "agenda")
    four, three = g.lookup(0, 0), g.input([1.0, 2.0, 3.0])
    matrix = g.lookup(0, 1, 2)
    assert (four, three, matrix) == (0, 1, 2)
    with pytest.raises((cavs.errors.ShapeError, cavs.errors.InputError), match=r"\[dynamic\]"):
        call(g)
    assert len(g) == 3
    assert g.forward(g.sum([four, four])).tolist() == [[2.0] * 4]


@every_policy
def test_denormals_are_taken_for_zero(native: Any, policy: str) -> None:
    parameters = native.Parameters()
    weight = parameters.add("weight", np.full((2, 3), 1e-30, np.float32))
    g = native.Graph(parameters, policy)
    product = g.affine(-1, weight, g.input([1e-9, 1e-9, 1e-9]))
    small = g.cmult(g.input([2e-38]), g.input([0.1]))
    assert not g.forward(g.sum([product, g.concat([small, small])])).any()
    # A gradient of 1e-39 has no effect, however small the square root of its square.
    g.renew()
    loss = g.pick_range(g.affine(-1, weight, g.input([1e-39, 0.0, 0.0])), 0, 1)
    g.forward(loss)
    g.backward(loss)
    assert not parameters.gradient(weight).any()
    assert np.float32(2e-38) * np.float32(0.1) > 0  # the caller's own mode is as it was


def test_a_policy_has_a_name(native: Any) -> None:
    with pytest.raises(cavs.errors.InputError, match="none, depth or agenda"):
        native.Graph(native.Parameters(), "eager")
