"""Whole models on a GPU beside the same on the CPU: outputs, gradients, training, states."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import model_runs
import numpy as np
import pytest
import vertex_functions
from model_cases import CASES
from vertex_functions.rowless import ROWLESS

import cavs
from cavs.device import device_of, find_device

pytestmark = pytest.mark.gpu

NAMES = sorted(vertex_functions.FUNCTIONS)
GRAPHS = model_runs.some_graphs()
TOLERANCES = {"float64": (1e-9, 1e-11), "float32": (3e-5, 3e-6)}


# Each dtype has kernels of its own, which take long to compile: every other function has the other.
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, ("float32", "float64")[i % 2]) for i, name in enumerate(NAMES)]
)
def test_outputs_and_gradients_are_those_of_the_cpu(name: str, dtype: str) -> None:
    model = model_runs.compiled(name, dtype)
    inputs = model_runs.draw_inputs(model, GRAPHS)
    expected = model_runs.run(model, GRAPHS, inputs)
    found = model_runs.run(model_runs.compiled(name, dtype, device="cuda"), GRAPHS, inputs)
    model_runs.assert_same(found, expected, *TOLERANCES[dtype])


class Joined(cavs.VertexFunction):
    """A group writes into the middle of a row, and its input is free from then on."""

    def __init__(self, before: int, after: int) -> None:
        self.before, self.after = before, after

    def forward(self, v: cavs.Vertex) -> None:
        h = cavs.ops.tanh(-v.pull("x", 17))
        part = h[14:]
        v.push(y=cavs.ops.concat([part] * self.before + [h] + [part] * self.after))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("before", "after"), [(2, 0), (1, 1), (0, 2), (0, 0)])
def test_a_group_that_writes_a_part_of_a_row(before: int, after: int, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(9, 17))
    model = cavs.compile(Joined(before, after), dtype=dtype, device="cuda")
    h = np.tanh(-x)
    expected = np.concatenate([h[:, 14:]] * before + [h] + [h[:, 14:]] * after, axis=1)
    for learns in (False, True):
        given = cavs.Tensor(x, dtype, requires_grad=learns)
        y = model(CHAINS, x=given)["y"]
        np.testing.assert_allclose(y.numpy(), expected, *TOLERANCES[dtype])
    y.sum().backward()
    uses = np.r_[np.ones(14), np.full(3, 1 + before + after)]
    np.testing.assert_allclose(given.grad, -uses * (1 - h * h), *TOLERANCES[dtype])


def lstm(device: str, dtype: str = "float64") -> cavs.Model:
    cavs.nn.init.manual_seed(0)
    return cavs.compile(cavs.models.LSTM(7, 4, 5, 3), dtype=dtype, device=device, seed=1)


CHAINS = cavs.batch([cavs.InputGraph([[], *([i] for i in range(n - 1))]) for n in (5, 1, 3)])
INPUTS = {
    "word": np.array([0, 3, -1, 3, 6, 2, 0, 1, 5], np.int32),
    "label": np.array([0, 2, 1, -1, 0, 1, 2, 0, 1], np.int32),
}
OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda p: cavs.optim.SGD(p, 0.1),
    "momentum": lambda p: cavs.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda p: cavs.optim.Adagrad(p, 0.1, initial_accumulator_value=0.1),
    "adam": lambda p: cavs.optim.Adam(p, 0.1),
    "adamw": lambda p: cavs.optim.AdamW(p, 0.1),
    "rmsprop": lambda p: cavs.optim.RMSprop(p, 0.1, momentum=0.5, centered=True),
}


def train(model: cavs.Model, optimizer: Any, way: str, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        if way == "step":
            value = model.step(CHAINS, optimizer, scale=0.5, clip_norm=1.0, **INPUTS)
        else:
            value = model(CHAINS, **INPUTS)["loss"].sum() * 0.5
            optimizer.zero_grad()
            value.backward()
            cavs.optim.clip_grad_norm(model.parameters(), 1.0)
            optimizer.step()
        assert value.device == model.device
        losses.append(value.item())
    return losses


def assert_like(model: cavs.Model, other: cavs.Model, **tolerance: float) -> None:
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), err_msg=name, **tolerance)


@pytest.mark.parametrize("way", ["step", "calls"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_steps_are_those_of_the_cpu(name: str, way: str) -> None:
    results = []
    for device in ("cpu", "cuda"):
        model = lstm(device)
        optimizer = OPTIMIZERS[name](model.named_parameters())
        losses = train(model, optimizer, way, 4)
        results.append((model, optimizer, losses))
    (here, of_host, expected), (there, of_gpu, found) = results
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert_like(there, here, rtol=1e-8, atol=1e-10)
    assert there.device == "cuda:0"
    assert {p.device for p in there.parameters()} == {"cuda:0"}
    state = of_gpu.state_dict()
    for key, value in of_host.state_dict().items():
        assert type(state[key]) is np.ndarray
        np.testing.assert_allclose(state[key], value, rtol=1e-8, atol=1e-10, err_msg=key)


def test_two_runs_have_the_same_bits() -> None:
    first, second = lstm("cuda", "float32"), lstm("cuda", "float32")
    for model in (first, second):
        train(model, cavs.optim.Adam(model.named_parameters(), 0.1), "step", 3)
    assert_like(first, second, rtol=0)


def test_states_go_from_one_device_to_another() -> None:
    whole = lstm("cpu")
    train(whole, cavs.optim.Adam(whole.named_parameters(), 0.1), "step", 6)
    for first, second in (("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")):
        model = lstm(first)
        optimizer = cavs.optim.Adam(model.named_parameters(), 0.1)
        train(model, optimizer, "step", 3)
        states = model.state_dict(), optimizer.state_dict()
        assert all(type(x) is np.ndarray for state in states for x in state.values())
        other = lstm(second)
        resumed = cavs.optim.Adam(other.named_parameters(), 0.1)
        other.load_state_dict(states[0])
        resumed.load_state_dict(states[1])
        train(other, resumed, "step", 3)
        assert_like(other, whole, rtol=1e-8, atol=1e-10)


def test_a_training_that_goes_on_has_the_bits_of_one_that_never_stopped() -> None:
    whole = lstm("cuda", "float32")
    train(whole, cavs.optim.Adam(whole.named_parameters(), 0.1), "step", 6)
    begun = lstm("cuda", "float32")
    optimizer = cavs.optim.Adam(begun.named_parameters(), 0.1)
    train(begun, optimizer, "step", 3)
    model = lstm("cuda", "float32")
    model.load_state_dict(begun.state_dict())
    resumed = cavs.optim.Adam(model.named_parameters(), 0.1)
    resumed.load_state_dict(optimizer.state_dict())
    train(model, resumed, "step", 3)
    assert_like(model, whole, rtol=0)


def test_a_model_is_moved() -> None:
    model = lstm("cpu")
    expected = model(CHAINS, **INPUTS)["logits"].numpy()
    assert model.to("cuda") is model
    assert model.device == "cuda:0"
    found = model(CHAINS, **INPUTS)["logits"]
    assert device_of(found.data) is find_device("cuda")
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    model.to("cpu", dtype="float32")
    assert (model.device, model.dtype) == ("cpu", np.float32)
    np.testing.assert_allclose(model(CHAINS, **INPUTS)["logits"].data, expected, rtol=1e-5)
    model.to(device="cuda", dtype="float64").to("float32")
    assert (model.device, model.dtype) == ("cuda:0", np.float32)
    assert "device=cuda:0" in repr(model)
    with pytest.raises(cavs.InputError, match="reference executor"):
        cavs.compile(model.function, executor="reference", device="cuda")


def test_copies_of_models() -> None:
    model = lstm("cuda")
    expected = model(CHAINS, **INPUTS)["logits"].numpy()
    optimizer = cavs.optim.Adam(model.named_parameters(), 0.1)
    train(model, optimizer, "step", 1)
    for again in (
        copy.deepcopy((model, optimizer)),
        pickle.loads(pickle.dumps((model, optimizer))),
    ):
        assert again[0].device == "cuda:0"
        assert_like(again[0], model, rtol=0)
        train(*again, "step", 1)
    assert (model(CHAINS, **INPUTS)["logits"].numpy() != expected).any()


def test_inference_keeps_results_by_id() -> None:
    here, there = lstm("cpu"), lstm("cuda")
    optimizers = [cavs.optim.SGD(m.named_parameters(), 0.1) for m in (here, there)]
    for _ in range(3):
        outputs = []
        for model, optimizer in zip((here, there), optimizers, strict=True):
            with cavs.no_grad():
                for word in (INPUTS["word"], INPUTS["word"][::-1].copy()):
                    out = model(CHAINS, outputs="logits", word=word)
                    outputs.append(out["logits"].numpy())
            train(model, optimizer, "step", 1)
        np.testing.assert_allclose(outputs[2:], outputs[:2], rtol=1e-9)


def test_inputs_of_host_and_device() -> None:
    case = CASES["dag-rnn"]
    cavs.nn.init.manual_seed(0)
    function = case.function(*case.sizes)  # type: ignore[call-arg]
    model = cavs.compile(function, dtype="float64", device="cuda")
    graphs = cavs.batch([cavs.InputGraph(g) for g in case.graphs])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(graphs.num_vertices, 3))
    label = rng.integers(0, 3, graphs.num_vertices)
    expected = model(graphs, x=x, label=label)["loss"].numpy()
    gpu = find_device("cuda")
    there, ids = gpu.asarray(x), gpu.asarray(label)
    for given in (
        {"x": there, "label": ids},
        {"x": there.T.copy().T, "label": ids.astype("int32")},
        {"x": cavs.Tensor(there), "label": cavs.Tensor(ids)},
        {"x": x.astype(np.float32).astype(np.float64).tolist(), "label": label.tolist()},
    ):
        found = model(graphs, **given)["loss"].numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    learning = cavs.Tensor(x, requires_grad=True)
    model(graphs, x=learning, label=label)["loss"].sum().backward()
    assert type(learning.grad) is np.ndarray
    with pytest.raises(cavs.InputError, match=r"expected ids in -1\.\.2"):
        model(graphs, x=there, label=ids + 7)
    with pytest.raises(cavs.ShapeError):
        model(graphs, x=there[1:], label=ids)
    model.to("cpu")
    with pytest.raises(cavs.InputError, match=r"expected an array on cpu for 'x'"):
        model(graphs, x=cavs.Tensor(there), label=label)


def test_what_is_not_finite_is_found() -> None:
    model = lstm("cuda")
    with model.function.classifier.weight.writing() as array:
        array[0, 0] = np.nan
    with cavs.detect_nonfinite(), pytest.raises(cavs.NonFiniteError, match="classifier") as error:
        model(CHAINS, **INPUTS)
    assert any("classifier" in line.text for line in error.value.values())
    values = model.values(CHAINS, vertex=(0, 1), **INPUTS)
    assert all(isinstance(line.value, (np.ndarray, np.generic)) for line in values)
    assert not any(hasattr(line.value, "__cuda_array_interface__") for line in values)


def test_readouts() -> None:
    for kind in ("sum", "mean", "max", "root"):
        results = []
        for device in ("cpu", "cuda"):
            x = cavs.Tensor(np.random.default_rng(0).normal(size=(9, 2)), requires_grad=True)
            y = cavs.readout(CHAINS, x.to(device), kind)
            assert y.device == find_device(device).name
            (y * y).sum().backward()
            results.append((y.numpy(), x.grad))
        for found, expected in zip(*results, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_memory_and_times() -> None:
    model = lstm("cuda")
    assert int(model.memory(CHAINS, **INPUTS)) > 0
    said = str(model.explain(CHAINS, repeats=1, **INPUTS))
    assert "LSTM" in said
    assert ", cuda:0" in said
    assert "training mode, cuda:0" in model.summary()


@pytest.mark.parametrize(("first", "second"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_function_is_of_the_device_that_it_was_compiled_for_last(first: str, second: str) -> None:
    function = cavs.models.LSTM(7, 4, 5, 3)
    model = cavs.compile(function, device=first)
    optimizer = cavs.optim.SGD(model.parameters(), 0.1)
    graph = cavs.InputGraph([[], [0]])
    inputs = {"word": [1, 2], "label": [0, 1]}
    cavs.compile(function, device=second)
    there, here = (find_device(name).name for name in (second, first))
    message = rf"^\[device\] expected parameter '.*' on {here}, .*, got it on {there}"
    calls = (
        lambda: model(graph, **inputs),
        lambda: model.step(graph, optimizer, **inputs),
        lambda: model.eval()(graph, outputs=["logits"], **inputs),
        lambda: model.explain(graph, **inputs),
    )
    for call in calls:
        with pytest.raises(cavs.CavsRuntimeError, match=message):
            call()
    model.train().to(first)
    assert model.step(graph, optimizer, **inputs).device == here


@pytest.mark.parametrize(
    ("name", "dtype"), [(n, ("float32", "float64")[i % 2]) for i, n in enumerate(ROWLESS)]
)
def test_values_without_rows_are_those_of_the_cpu(name: str, dtype: str) -> None:
    found = []
    for device in ("cuda", "cpu"):
        cavs.nn.init.manual_seed(3)
        model = cavs.compile(ROWLESS[name](), dtype=dtype, seed=3, device=device)
        found.append(model_runs.run(model, GRAPHS, model_runs.draw_inputs(model, GRAPHS)))
    model_runs.assert_same(*found, *TOLERANCES[dtype])
