"""Copies by copy.deepcopy and pickle: apart, the same to the bit, linked as their originals."""

import copy
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.data import Dataset, Loader, Vocabulary
from cavs.errors import CavsRuntimeError
from cavs.models import GRU

Copy = Callable[[Any], Any]
COPIES: dict[str, Copy] = {
    "deepcopy": copy.deepcopy,
    **{
        f"pickle-{protocol}": lambda x, protocol=protocol: pickle.loads(pickle.dumps(x, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}
OPTIMIZERS: dict[str, Callable[[Any], cavs.optim.Optimizer]] = {
    "sgd": lambda p: cavs.optim.SGD(p, 0.1, momentum=0.9),
    "adagrad": lambda p: cavs.optim.Adagrad(p, 0.1),
    "adam": lambda p: cavs.optim.Adam(p, 0.01),
    "adamw": lambda p: cavs.optim.AdamW(p, 0.01),
    "rmsprop": lambda p: cavs.optim.RMSprop(p, 0.01, momentum=0.9, centered=True),
}
GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])
INPUTS = {"word": np.int32([1, 2, -1, 3, -1]), "label": np.int32([0, 1, 2, 0, 1])}


@pytest.fixture(params=COPIES)
def copied(request: pytest.FixtureRequest) -> Copy:
    return COPIES[request.param]


class Tree(cavs.VertexFunction):
    def __init__(self, embedding: nn.Embedding | None = None) -> None:
        self.embedding = embedding or nn.Embedding(5, 4)
        self.u = nn.Linear(4, 4)
        self.classifier = nn.Linear(4, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x = ops.dropout(self.embedding(v.pull("word", dtype="int32")), 0.5)
        h = ops.tanh(x + self.u(v.gather(h=4).h.sum()))
        self.last = h  # symbols that a trace leaves behind are no hindrance
        v.scatter(h=h)
        logits = self.classifier(h)
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(h=h, logits=logits, loss=loss)


def train(model: cavs.Model, optimizer: cavs.optim.Optimizer, steps: int = 3) -> list[bytes]:
    """The bits of the losses and, after them, of the parameters."""
    losses = [model.step(GRAPHS, optimizer, **INPUTS).data.tobytes() for _ in range(steps)]
    return losses + [array.tobytes() for array in model.state_dict().values()]


# --- Compiled models, with what trains them -------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_model_and_its_optimizer_go_on_alike_and_apart(copied: Copy, optimizer: str) -> None:
    model = cavs.compile(Tree(), seed=7)
    trainer = OPTIMIZERS[optimizer](model.named_parameters())
    schedule = cavs.optim.ExponentialLR(trainer, 0.5)
    train(model, trainer)
    schedule.step()
    model2, trainer2, schedule2 = copied((model, trainer, schedule))
    before = {name: array.copy() for name, array in model.state_dict().items()}
    schedule2.step()
    first = train(model2, trainer2)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert trainer.groups[0]["lr"] == 2 * trainer2.groups[0]["lr"]
    schedule.step()
    assert train(model, trainer) == first
    with cavs.detect_nonfinite():  # bounds of parameters are taken anew
        assert train(model, trainer) == train(model2, trainer2)
    state, state2 = trainer.state_dict(), trainer2.state_dict()
    assert state.keys() == state2.keys()
    assert all(np.array_equal(state[name], state2[name]) for name in state)


def test_the_order_of_model_and_optimizer_does_not_matter(copied: Copy) -> None:
    model = cavs.compile(Tree())
    trainer = OPTIMIZERS["adam"](model.parameters())
    trainer2, model2 = copied([trainer, model])
    assert {*trainer2.groups[0]["params"]} == {*model2.parameters()}
    assert train(model2, trainer2) == train(model, trainer)


def test_an_optimizer_alone_has_parameters_of_its_own(copied: Copy) -> None:
    model = cavs.compile(Tree())
    trainer = OPTIMIZERS["adam"](model.parameters())
    train(model, trainer)
    alone = copied(trainer)
    assert {*alone.groups[0]["params"]}.isdisjoint(model.parameters())
    alone.step()  # by the gradients that were there
    trainer.step()
    for p, q in zip(alone.groups[0]["params"], trainer.groups[0]["params"], strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "float64", "seed": 3},
        {"outputs": ["loss"], "passes": ["simplify", "fuse"]},
        {"policy": "serial"},
        {"executor": "reference"},
        {"extra_children": "ignore"},
    ],
    ids=lambda options: "-".join(options),
)
def test_a_model_keeps_options_mode_and_random_state(copied: Copy, options: Any) -> None:
    model = cavs.compile(Tree(), **options)
    model(GRAPHS, **INPUTS)
    model.note = ["of the user's"]
    for mode in (model.train, model.eval):
        other = copied(mode())
        assert other.training == model.training
        assert other.random_state() == model.random_state()
        assert other.dtype == model.dtype
        assert other.note == model.note
        assert str(other.program) == str(model.program)
        out, out2 = model(GRAPHS, **INPUTS), other(GRAPHS, **INPUTS)
        assert out.keys() == out2.keys()
        for name, y in out.items():
            np.testing.assert_array_equal(y.data, out2[name].data)


def test_gradients_and_frozen_parameters_come_along(copied: Copy) -> None:
    model = cavs.compile(Tree())
    model.function.u.weight.requires_grad = False
    model(GRAPHS, **INPUTS)["loss"].sum().backward()
    other = copied(model)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert p.requires_grad == q.requires_grad
        assert type(p.grad) is type(q.grad)
        if p.grad is not None:
            np.testing.assert_array_equal(np.asarray(p.grad), np.asarray(q.grad))
            assert p.grad is not q.grad


def test_a_copy_remembers_nothing_of_other_parameters(copied: Copy) -> None:
    model = cavs.compile(Tree()).eval()
    with cavs.no_grad():
        model(GRAPHS, **INPUTS)
        other = copied(model)
        other(GRAPHS, **INPUTS)
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.data[...] += 1
            q.data[...] += 1
        h, h2 = model(GRAPHS, **INPUTS)["h"], other(GRAPHS, **INPUTS)["h"]
        np.testing.assert_array_equal(h.data, h2.data)
        assert all(p.read()[1] >= 0 for p in other.parameters())  # results by id are kept


def test_models_that_share_a_layer_go_on_sharing_it(copied: Copy) -> None:
    embedding = nn.Embedding(5, 4)
    first, second = cavs.compile(Tree(embedding)), cavs.compile(Tree(embedding))
    first2, second2 = copied((first, second))
    assert first2.function.embedding is second2.function.embedding
    assert first2.function.embedding is not embedding


def test_a_program_and_its_models(copied: Copy) -> None:
    def made() -> cavs.Program:
        nn.init.manual_seed(0)
        functions = {"a": Tree(), "b": Tree()}
        return cavs.compile(cavs.VertexProgram(functions), seed=5)

    program = made()
    program["a"](GRAPHS, **INPUTS)
    program["b"].eval()
    for order in (1, -1):
        parts = copied((program, program["a"])[::order])[::order]
        assert parts[1] is parts[0]["a"]
    other = parts[0]
    assert other.random_state() == program.random_state()
    assert (other["a"].training, other["b"].training) == (True, False)
    for name in ("a", "b"):
        h, h2 = (p[name](GRAPHS, **INPUTS)["h"] for p in (program, other))
        np.testing.assert_array_equal(h.data, h2.data)
    trainer = cavs.optim.SGD(other.parameters(), 0.1)
    other["b"].function.u = nn.Linear(4, 4)
    for broken in (other.parameters, lambda: other["a"](GRAPHS, **INPUTS), trainer.step):
        with pytest.raises(CavsRuntimeError, match="as it was compiled"):
            broken()
    program.parameters()  # the original is as it was


def test_a_function_that_knows_its_model(copied: Copy) -> None:
    function = Tree()
    function.model = cavs.compile(function)
    other = copied(function.model)
    assert other.function.model is other


def test_a_model_whose_layer_was_replaced_is_not_copied(copied: Copy) -> None:
    model = cavs.compile(Tree())
    model.function.u = nn.Linear(4, 4)
    with pytest.raises(CavsRuntimeError, match="compile again"):
        copied(model)


def test_a_shallow_copy_is_another_model_of_the_same_function() -> None:
    model = cavs.compile(Tree())
    other = copy.copy(model)
    assert other.function is model.function
    assert other.eval().training != model.training


@pytest.mark.parametrize("whole", [lambda f: f, lambda f: cavs.VertexProgram({"f": f})])
def test_what_cannot_be_pickled_says_so_in_one_line(whole: Callable[[Any], Any]) -> None:
    class Local(Tree):
        pass

    inner = Tree()
    inner.hook = lambda: None
    for function in (Local(), inner):
        model = cavs.compile(whole(function))
        with pytest.raises(CavsRuntimeError, match="state_dict") as caught:
            pickle.dumps([model])
        assert "\n" not in str(caught.value)
        copy.deepcopy(model)  # which needs no name for the class


# --- Everything else ------------------------------------------------------------------------------


def test_tensors_and_parameters(copied: Copy) -> None:
    class_of = {type(x) for x in (nn.Parameter([1.0]), cavs.tensor([1.0]))}
    for x in (
        nn.Parameter(np.arange(6.0).reshape(2, 3)),
        nn.Parameter([1.0, 2.0], requires_grad=False),
        cavs.tensor([1, 2]),
        cavs.tensor(np.arange(6.0).reshape(2, 3).T, requires_grad=True),
    ):
        if x.requires_grad:
            (x * x).sum().backward()
        other = copied(x)
        assert type(other) in class_of
        assert type(other) is type(x)
        assert (other.dtype, other.requires_grad) == (x.dtype, x.requires_grad)
        np.testing.assert_array_equal(other.data, x.data)
        assert not np.may_share_memory(other.data, x.data)
        assert (other.grad is None) == (x.grad is None)
        if x.grad is not None:
            np.testing.assert_array_equal(other.grad, x.grad)
            (other * other).sum().backward()
            np.testing.assert_array_equal(other.grad, 2 * x.grad)


def test_a_tensor_with_a_graph_says_to_detach(copied: Copy) -> None:
    y = nn.Parameter([1.0, 2.0]) * 2.0
    with pytest.raises(CavsRuntimeError, match="detach"):
        copied({"y": y})
    np.testing.assert_array_equal(copied(y.detach()).data, y.data)


def test_a_shallow_copy_of_a_tensor_is_of_the_same_graph_and_memory() -> None:
    p = nn.Parameter([1.0, 2.0])
    y = p * 2.0
    copy.copy(y).sum().backward()
    np.testing.assert_array_equal(p.grad, [2, 2])
    q = copy.copy(p)
    assert np.shares_memory(p.data, q.data)
    assert q.read()[1] == -1  # somebody else may write to it


def test_versions_of_pickled_parameters_are_of_this_process() -> None:
    script = (
        "import pickle, sys, cavs\nsys.stdout.buffer.write(pickle.dumps(cavs.Parameter([1.0])))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    versions = [pickle.loads(done.stdout).version for _ in range(2)]
    versions.append(nn.Parameter([1.0]).version)
    assert len({*versions}) == 3
    assert versions == sorted(versions)


def test_what_has_no_parameters(copied: Copy) -> None:
    graph = cavs.InputGraph([[], [0], [0, 1]])
    generator = cavs.Generator(5)
    generator.normal(3)
    vocabulary = Vocabulary(["<unk>", "a"])
    data = Dataset([graph, graph], vertex={"word": np.arange(6, dtype=np.int32)})
    loader = Loader(data, 1, shuffle=True, seed=3)
    next(iter(loader))
    rows = cavs.RowSparse(np.int32([1]), np.ones((1, 2)), (3, 2))
    model = cavs.compile(Tree())
    profile = model.explain(GRAPHS, repeats=1, **INPUTS)
    for x in (graph, GRAPHS, vocabulary):
        assert copied(x) == x
    other = copied(generator)
    np.testing.assert_array_equal(other.normal(3).data, generator.normal(3).data)
    assert other.state() == generator.state()
    np.testing.assert_array_equal(copied(data).flat("word"), data.flat("word"))
    assert copied(loader).state_dict() == loader.state_dict()
    np.testing.assert_array_equal(copied(rows).to_dense(), rows.to_dense())
    assert not copied(rows).indices.flags.writeable
    assert str(copied(profile)) == str(profile)
    assert str(copied(nn.Linear(2, 3))) == "Linear(2, 3, bias=True)"
    assert copied(model.inputs) == model.inputs
    assert copied(cavs.Growth([[]], {"x": np.ones(1)})).inputs.keys() == {"x"}
    error = copied(cavs.InputError("[x] expected a, got b"))
    assert (type(error), str(error)) == (cavs.InputError, "[x] expected a, got b")


def test_a_spawned_process_gives_back_what_trains_alike() -> None:
    model = cavs.compile(GRU(5, 4, 4, 3))
    trainer = OPTIMIZERS["adam"](model.parameters())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        other, trainer2 = pool.apply(copy.deepcopy, ((model, trainer),))
    assert trainer2.groups[0]["params"] == other.parameters()
    graphs = cavs.batch([cavs.InputGraph([[], [0], [1]]), cavs.InputGraph([[], [0]])])
    losses = [m.step(graphs, t, **INPUTS).item() for m, t in ((model, trainer), (other, trainer2))]
    assert losses[0] == losses[1]
