"""Every model of `cavs.models` on a GPU: trainings, inference, dropout and samples as on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from model_trainings import DROPPING, MAKERS, Training, Values

import cavs
from cavs import optim

pytestmark = pytest.mark.gpu

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda params: optim.SGD(params, lr=0.1, momentum=0.9),
    "adagrad": lambda params: optim.Adagrad(params, lr=0.05),
    "adam": lambda params: optim.Adam(params, lr=0.01, weight_decay=0.01),
    "rmsprop": lambda params: optim.RMSprop(params, lr=0.01),
}
#: How far values may be from the CPU's after three steps, relative to 1 + the CPU's.
BOUNDS = {"float64": 1e-9, "float32": 2e-5}
STEPS, NORM = 3, 0.5
each_model = pytest.mark.parametrize("name", MAKERS)
each_dtype = pytest.mark.parametrize("dtype", BOUNDS)


def trained(training: Training, optimizer: str, *, native: bool) -> Values:
    """Losses and parameters after some steps, by `Model.step` or by the calls of a loop."""
    found = OPTIMIZERS[optimizer](list(training.module.parameters()))
    losses = []
    for _ in range(STEPS):
        if native:
            assert training.step is not None
            losses.append(training.step(found, NORM))
        else:
            loss = training.loss()
            found.zero_grad()
            loss.backward()
            found.step()
            losses.append(loss.detach())
    return {**training.parameters(), "losses": np.array([loss.item() for loss in losses])}


@cache
def on_cpu(name: str, dtype: str, optimizer: str, native: bool) -> Values:
    return trained(MAKERS[name](dtype, "cpu"), optimizer, native=native)


def assert_close(found: Values, expected: Values, dtype: str) -> None:
    assert set(found) == set(expected)
    for name, y in expected.items():
        bound = BOUNDS[dtype]
        np.testing.assert_allclose(found[name], y, bound, bound, err_msg=name)
        assert found[name].dtype == y.dtype


def assert_equal_bits(found: Values, expected: Values) -> None:
    assert set(found) == set(expected)
    for name, y in expected.items():
        assert found[name].tobytes() == y.tobytes(), name


@each_dtype
@each_model
def test_steps_equal_the_cpu(name: str, dtype: str) -> None:
    for optimizer in OPTIMIZERS:
        training = MAKERS[name](dtype, "cuda")
        ways = [False] if training.step is None else [False, True]
        for native in ways:
            found = trained(MAKERS[name](dtype, "cuda"), optimizer, native=native)
            assert_close(found, on_cpu(name, dtype, optimizer, native), dtype)


@each_dtype
@each_model
def test_inference_equals_the_cpu(name: str, dtype: str) -> None:
    assert_close(
        MAKERS[name](dtype, "cuda").evaluate(), MAKERS[name](dtype, "cpu").evaluate(), dtype
    )


@each_model
def test_two_runs_have_equal_bits(name: str) -> None:
    first, again = (
        trained(MAKERS[name]("float32", "cuda"), "adam", native=False) for _ in range(2)
    )
    assert_equal_bits(first, again)


@pytest.mark.parametrize("by", ["vertex", "id"])
@pytest.mark.parametrize("name", DROPPING)
def test_the_same_elements_are_dropped(name: str, by: str) -> None:
    rates = {"dropout": 0.4, "embedding_dropout": 0.3, "embedding_dropout_by": by}
    losses = {
        device: [MAKERS[name]("float64", device, **rates).loss() for _ in range(1)]
        for device in ("cpu", "cuda")
    }
    del losses
    found, expected = (
        trained(MAKERS[name]("float64", device, **rates), "sgd", native=False)
        for device in ("cuda", "cpu")
    )
    assert_close(found, expected, "float64")
    without = on_cpu(name, "float64", "sgd", False)
    assert not np.allclose(without["losses"], expected["losses"])


SAMPLING = ["sbn-nvil", "sentence-vae", "tree-vae", "parser"]


@each_dtype
@pytest.mark.parametrize("name", SAMPLING)
def test_samples_are_those_of_the_cpu(name: str, dtype: str) -> None:
    found, expected = (MAKERS[name](dtype, device).samples() for device in ("cuda", "cpu"))
    assert len(expected) > 0
    assert found == expected


class Numbers(cavs.VertexFunction):
    """Random numbers of every kind, and elementwise work on them."""

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 5)
        u = cavs.ops.uniform(5)
        v.push(uniform=u, kept=cavs.ops.dropout(x, 0.3), drawn=cavs.nn.bernoulli(x * 0.1))
        v.push(work=x * u + cavs.ops.sqrt(u) / (u + 1.0))


@each_dtype
def test_random_numbers_have_the_bits_of_the_cpu(dtype: str) -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])] * 7, keys=range(3, 10))
    x = np.random.default_rng(0).normal(size=(graphs.num_vertices, 5))
    found = {}
    for device in ("cpu", "cuda"):
        model = cavs.compile(Numbers(), dtype=dtype, device=device, seed=5)
        for step in range(2):
            out = model(graphs, x=x)
            found[device, step] = {name: np.array(y.numpy()) for name, y in out.items()}
    for step in range(2):
        assert_equal_bits(found["cuda", step], found["cpu", step])
    assert not np.array_equal(found["cuda", 0]["uniform"], found["cuda", 1]["uniform"])


@pytest.mark.parametrize("name", ["child-sum-tree-lstm", "lattice-lstm", "gru"])
def test_graphs_alone_equal_the_batch(name: str) -> None:
    import model_cases

    case = model_cases.CASES[name]
    cavs.nn.init.manual_seed(0)
    kind: Any = case.function
    model = cavs.compile(kind(*case.sizes, **case.options), dtype="float64", device="cuda", seed=3)
    samples = case.samples()
    graphs, inputs = model_cases.together(samples)
    together = {name: y.numpy() for name, y in model(graphs, **inputs).items()}
    begin = 0
    for graph, given in samples:
        alone = model(cavs.InputGraph(children=graph), **given)
        for output, y in alone.items():
            part = together[output][begin : begin + len(graph)]
            np.testing.assert_allclose(y.numpy(), part, 1e-12, 1e-14, err_msg=output)
        begin += len(graph)


def test_elementwise_work_has_equal_bits_alone_and_in_a_batch() -> None:
    model = cavs.compile(Numbers(), device="cuda", seed=5)
    graph = cavs.InputGraph([[], [], [0, 1]])
    x = np.random.default_rng(0).normal(size=(5, 3, 5)).astype(np.float32)
    start = model.random_state()
    together = model(cavs.batch([graph] * 5), x=x.reshape(15, 5))
    for key in range(5):
        model.set_random_state(start)
        alone = model(cavs.batch([graph], keys=[key]), x=x[key])
        for name, y in alone.items():
            part = together[name].numpy()[3 * key : 3 * key + 3]
            assert y.numpy().tobytes() == part.tobytes(), name
