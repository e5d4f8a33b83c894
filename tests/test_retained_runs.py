"""Several backwards of one call: with ``retain_graph=True`` each gives the bits of a fresh call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import compiled, draw_cotangents, draw_inputs
from strategies import batches
from vertex_functions import FUNCTIONS

import cavs
from cavs import nn, ops
from cavs.errors import CavsRuntimeError, InputError, NonFiniteError
from cavs.models import ChildSumTreeLSTM

each_executor = pytest.mark.parametrize("executor", ["native", "reference"])
GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]]), cavs.InputGraph([[], [0]])])
WORD = np.array([3, 3, -1, 4, -1, 3, 1], np.int32)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)


class Root(NamedTuple):
    """A loss: outputs, numbered in alphabetical order, and the seed of their weights."""

    outputs: tuple[int, ...]
    seed: int


class Case:
    """A model and inputs, of which those of floats want gradients."""

    def __init__(self, model: cavs.Model, graphs: cavs.GraphBatch, inputs: dict[str, Any]) -> None:
        self.model, self.graphs = model, graphs
        self.inputs = {
            name: cavs.Tensor(x, model.dtype, requires_grad=True) if x.dtype.kind == "f" else x
            for name, x in inputs.items()
        }
        tensors = {k: x for k, x in self.inputs.items() if isinstance(x, cavs.Tensor)}
        self.leaves: dict[str, Any] = {**dict(model.named_parameters()), **tensors}

    def call(self) -> dict[str, cavs.Tensor]:
        """The same call each time, random numbers included."""
        self.model.set_random_state({"seed": 3, "step": 7})
        return self.model(self.graphs, **self.inputs)

    def loss(self, out: dict[str, cavs.Tensor], root: Root) -> Any:
        names = sorted(out)
        chosen = {names[number % len(names)] for number in root.outputs}
        total: Any = cavs.tensor(0.0, self.model.dtype)
        for name, weight in draw_cotangents(out, root.seed, sorted(chosen)).items():
            total = total + (out[name] * cavs.Tensor(weight, self.model.dtype)).sum()
        return total

    def forget(self) -> None:
        for leaf in self.leaves.values():
            leaf.zero_grad()

    def gradients(self) -> dict[str, list[np.ndarray]]:
        return {name: _copies(leaf.grad) for name, leaf in self.leaves.items()}


def _copies(grad: Any) -> list[np.ndarray]:
    if isinstance(grad, cavs.RowSparse):
        return [grad.indices.copy(), grad.values.copy()]
    return [] if grad is None else [grad.copy()]


def assert_bits(found: Any, expected: Any, what: object = "") -> None:
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        kinds = [(x.dtype, x.shape) for x in arrays]
        assert [(x.dtype, x.shape) for x in found[name]] == kinds, (what, name)
        for x, y in zip(found[name], arrays, strict=True):
            assert x.tobytes() == y.tobytes(), (what, name)


def check(case: Case, roots: list[Root], add_up: bool) -> None:
    """Backwards of one call from these roots give what those of a call each give."""
    if not case.loss(case.call(), roots[0]).requires_grad:
        return
    expected = []
    case.forget()
    for root in roots:
        if not add_up:
            case.forget()
        case.loss(case.call(), root).backward()
        expected.append(case.gradients())
    out = case.call()
    case.forget()
    for number, (root, gradients) in enumerate(zip(roots, expected, strict=True)):
        if not add_up:
            case.forget()
        case.loss(out, root).backward(retain_graph=number + 1 < len(roots))
        assert_bits(case.gradients(), gradients, (number, root))
    with pytest.raises(CavsRuntimeError, match=r"freed; .*retain_graph=True"):
        case.loss(out, roots[0]).backward(retain_graph=True)


ROOTS = st.builds(Root, st.lists(st.integers(0, 9), min_size=1).map(tuple), st.integers(0, 9))
ALL = tuple(range(30))


@each_executor
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_function(name: str, executor: str) -> None:
    model = compiled(name, executor=executor)
    case = Case(model, GRAPHS, draw_inputs(model, GRAPHS))
    check(case, [Root(ALL, 0), Root((0,), 1), Root(ALL, 0)], add_up=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=40)
@given(
    name=st.sampled_from(sorted(FUNCTIONS)),
    graphs=batches(),
    roots=st.lists(ROOTS, min_size=2, max_size=4),
    threads=st.integers(1, 3),
    plain=st.booleans(),
    add_up=st.booleans(),
)
def test_any_roots_of_one_call(
    dtype: str,
    name: str,
    graphs: cavs.GraphBatch,
    roots: list[Root],
    threads: int,
    plain: bool,
    add_up: bool,
) -> None:
    model = compiled(name, dtype, passes=()) if plain else compiled(name, dtype)
    cavs.set_num_threads(threads)
    check(Case(model, graphs, draw_inputs(model, graphs)), roots, add_up)


@settings(max_examples=15)
@given(
    name=st.sampled_from(sorted(FUNCTIONS)),
    graphs=batches(),
    roots=st.lists(ROOTS, min_size=2, max_size=3),
)
def test_any_roots_of_one_call_of_the_reference(
    name: str, graphs: cavs.GraphBatch, roots: list[Root]
) -> None:
    model = compiled(name, executor="reference")
    check(Case(model, graphs, draw_inputs(model, graphs)), roots, add_up=True)


def test_long_rows_that_are_given_on() -> None:
    """Rows of a size that backward takes over from values of forward."""
    nn.init.manual_seed(1)
    model = cavs.compile(ChildSumTreeLSTM(10, 40, 64, 3))
    graphs = cavs.batch(cavs.unbatch(GRAPHS) * 40)
    rng = np.random.default_rng(0)
    word, label = rng.integers(-1, 10, graphs.num_vertices), rng.integers(0, 3, graphs.num_vertices)
    case = Case(model, graphs, {"word": np.int32(word), "label": np.int32(label)})
    for threads in (1, 2):
        cavs.set_num_threads(threads)
        check(case, [Root(ALL, 0), Root((0,), 1), Root((1,), 2), Root(ALL, 0)], add_up=False)


@pytest.mark.parametrize("by", ["row", "id"])
@each_executor
def test_masks_of_dropout_are_those_of_the_call(executor: str, by: str) -> None:
    class Dropped(cavs.VertexFunction):
        def __init__(self) -> None:
            self.embedding = nn.Embedding(7, 20)
            self.u = nn.Linear(20, 20)

        def forward(self, v: cavs.Vertex) -> None:
            x = self.embedding(v.pull("word", dtype="int32"))
            x = ops.dropout(x, 0.5, by="id") if by == "id" else ops.dropout(x, 0.5)
            h = ops.tanh(x + ops.dropout(self.u(v.gather(h=20).h.sum()), 0.4))
            v.scatter(h=h)
            v.push(h=h, noise=h * v.normal(20))

    nn.init.manual_seed(2)
    model = cavs.compile(Dropped(), executor=executor)
    check(Case(model, GRAPHS, {"word": WORD}), [Root(ALL, 0), Root((1,), 0)], add_up=True)


class Up(cavs.VertexFunction):
    def __init__(self) -> None:
        self.embedding = nn.Embedding(7, 6)
        self.u = nn.Linear(6, 6)

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(self.embedding(v.pull("word", dtype="int32")) + self.u(v.gather(h=6).h.sum()))
        v.scatter(h=h)
        v.push(h=h)


class Down(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w = nn.Linear(6, 6)

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(self.w(v.pull("above", 6)) + v.gather(h=6).h.sum())
        v.scatter(h=h)
        v.push(h=h)


def program(executor: str = "native") -> cavs.Program:
    nn.init.manual_seed(4)
    functions = cavs.VertexProgram({"up": Up(), "down": Down()})
    return cavs.compile(functions, executor=executor, dtype="float64")


@each_executor
def test_a_program_and_what_its_losses_share(executor: str) -> None:
    made = program(executor)

    def losses() -> tuple[Any, Any]:
        up = made["up"](GRAPHS, word=WORD)["h"]
        down = made["down"](GRAPHS.reverse(), above=up)["h"]
        shared = ops.exp(down)
        return (shared * shared).sum(), cavs.readout(GRAPHS, shared, "max").sum() + up.sum()

    def gradients() -> dict[str, Any]:
        return {name: _copies(p.grad) for name, p in made.named_parameters()}

    expected = []
    for chosen in (0, 1):
        made.zero_grad()
        losses()[chosen].backward()
        expected.append(gradients())
    first, second = losses()
    for loss, wanted, retain in (
        (first, expected[0], True),
        (second, expected[1], True),
        (first, expected[0], True),
        (second, expected[1], False),
    ):
        made.zero_grad()
        loss.backward(retain_graph=retain)
        assert_bits(gradients(), wanted)
    with pytest.raises(CavsRuntimeError, match="retain_graph=True"):
        first.backward()


def test_gradients_of_the_first_do_not_change_what_the_second_reads() -> None:
    """Whoever has a gradient may write to it: no later backward reads it."""
    made = program()
    up = made["up"](GRAPHS, word=WORD)["h"]
    x = cavs.tensor(np.ones((7, 6)), requires_grad=True)
    loss = (made["down"](GRAPHS, above=up * x)["h"] * x).sum()
    loss.backward(retain_graph=True)
    leaves = dict(made.named_parameters()) | {"x": x}
    expected = {name: _copies(p.grad) for name, p in leaves.items()}
    for p in leaves.values():
        grad = p.grad
        (grad.values if isinstance(grad, cavs.RowSparse) else grad)[...] = 1e9
        p.zero_grad()
    loss.backward()
    assert_bits({name: _copies(p.grad) for name, p in leaves.items()}, expected)


@each_executor
def test_a_parameter_written_between_two_backwards_is_named(executor: str) -> None:
    made = program(executor)
    model = made["down"]
    above = np.random.default_rng(0).normal(size=(7, 6))
    loss = model(GRAPHS, above=above)["h"].sum()
    loss.backward(retain_graph=True)
    weight = dict(model.named_parameters())["w.weight"]
    before = _copies(weight.grad)
    cavs.optim.SGD(model.parameters(), 0.1).step()
    for retain in (True, False):
        with pytest.raises(CavsRuntimeError, match=r"parameter 'w\.weight' as it was in"):
            loss.backward(retain_graph=retain)
    assert_bits({"w": _copies(weight.grad)}, {"w": before})


def test_freezing_between_two_backwards_is_refused() -> None:
    model = cavs.compile(Down())
    loss = model(GRAPHS, above=np.ones((7, 6)))["h"].sum()
    loss.backward(retain_graph=True)
    model.function.w.bias.requires_grad = False
    with pytest.raises(CavsRuntimeError, match="requires_grad of the parameters as in the forward"):
        loss.backward()


def test_inputs_and_outputs_may_be_written_between_two_backwards() -> None:
    model = cavs.compile(Down(), dtype="float64")
    above = np.random.default_rng(0).normal(size=(7, 6))
    out = model(GRAPHS, above=above)
    loss = out["h"].sum()
    loss.backward(retain_graph=True)
    expected = {name: _copies(p.grad) for name, p in model.named_parameters()}
    above[...] = np.nan
    out["h"].data[...] = np.nan
    model.zero_grad()
    loss.backward()
    assert_bits({name: _copies(p.grad) for name, p in model.named_parameters()}, expected)


@each_executor
def test_nan_is_looked_for_in_each_backward(executor: str) -> None:
    class Square(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Parameter(np.ones(1))

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 1) * self.w
            v.push(fine=x, wrong=ops.sqrt(x))

    model = cavs.compile(Square(), dtype="float64", executor=executor)
    with cavs.detect_nonfinite():
        out = model(GRAPHS, x=np.zeros((7, 1)))
        out["fine"].sum().backward(retain_graph=True)
        for retain in (True, False):
            with pytest.raises(NonFiniteError, match=r"gradient of parameter 'w'.*comes from"):
                out["wrong"].sum().backward(retain_graph=retain)


@pytest.mark.parametrize("retain", [True, False])
def test_threads_that_share_a_call_take_turns(retain: bool) -> None:
    """With `retain` each adds the same; the last one, without, may come at any time."""
    model = cavs.compile(Down(), dtype="float64")
    many = cavs.batch(cavs.unbatch(GRAPHS) * 200)
    rows = many.num_vertices
    loss = model(many, above=np.random.default_rng(0).normal(size=(rows, 6)))["h"].sum()
    loss.backward(retain_graph=True)
    once = {name: p.grad.copy() for name, p in model.named_parameters()}
    model.zero_grad()
    done: list[bool] = []
    refused: list[str] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        try:
            loss.backward(retain_graph=retain or number > 0)
            done.append(True)
        except CavsRuntimeError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) + len(refused) == 4
    assert not (retain and refused)
    assert done
    assert all("freed" in line or "got a second one" in line for line in refused)
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.grad, len(done) * once[name], rtol=1e-12)


def test_a_step_of_the_model_keeps_nothing() -> None:
    made = program()
    up = made["up"]
    loss = up(GRAPHS, word=WORD)["h"].sum()
    loss.backward(retain_graph=True)
    with pytest.raises(InputError, match="expected True or False as retain_graph, got 1"):
        loss.backward(retain_graph=1)
    up.step(GRAPHS, cavs.optim.SGD(up.parameters(), 0.1), loss="h", word=WORD)
    with pytest.raises(CavsRuntimeError, match="written since"):
        loss.backward()
