"""Optimizers against their formulae in NumPy, and against PyTorch where it is installed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from cavs import optim
from cavs.errors import CheckpointError, InputError
from cavs.tensor import Parameter, RowSparse

Make = Callable[..., optim.Optimizer]
SHAPES = {"weight": (17, 5), "bias": (17,), "scale": (), "large": (150, 300)}

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.05, "eps": 1e-3}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.05}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.05}),
    ("RMSprop", {"lr": 0.1, "eps": 1e-3, "momentum": 0.9, "weight_decay": 0.05}),
    ("RMSprop", {"lr": 0.1, "eps": 1e-2, "centered": True}),
    ("RMSprop", {"lr": 0.1, "eps": 1e-2, "centered": True, "momentum": 0.5, "alpha": 0.8}),
]
ids = [f"{name}-{'-'.join(map(str, options.values()))}" for name, options in SETTINGS]
each_setting = pytest.mark.parametrize(("name", "options"), SETTINGS, ids=ids)


def make_parameters(dtype: Any = np.float64) -> dict[str, Parameter]:
    rng = np.random.default_rng(0)
    return {name: Parameter(rng.normal(size=s).astype(dtype)) for name, s in SHAPES.items()}


def gradients(steps: int, dtype: Any = np.float64) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    for _ in range(steps):
        yield {name: np.asarray(rng.normal(size=s), dtype) for name, s in SHAPES.items()}


def formula(name: str, options: dict[str, Any]) -> Callable[..., np.ndarray]:
    """One step in plain NumPy: (p, g, state, t) -> p."""
    lr, decay = options["lr"], options.get("weight_decay", 0.0)

    def sgd(p: Any, g: Any, s: dict[str, Any], t: int) -> Any:
        mu = options.get("momentum", 0.0)
        g = g + decay * p
        s["b"] = mu * s.get("b", 0) + g
        return p - lr * (g + mu * s["b"] if options.get("nesterov") else s["b"])

    def adagrad(p: Any, g: Any, s: dict[str, Any], t: int) -> Any:
        g = g + decay * p
        s["sum"] = s.get("sum", options.get("initial_accumulator_value", 0.0)) + g * g
        return p - lr * g / (np.sqrt(s["sum"]) + options.get("eps", 1e-10))

    def adam(p: Any, g: Any, s: dict[str, Any], t: int) -> Any:
        b1, b2 = options.get("betas", (0.9, 0.999))
        if name == "AdamW":
            p = p * (1 - lr * decay)
        else:
            g = g + decay * p
        s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
        s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
        v = np.sqrt(s["v"] / (1 - b2**t))
        return p - lr / (1 - b1**t) * s["m"] / (v + options.get("eps", 1e-8))

    def rmsprop(p: Any, g: Any, s: dict[str, Any], t: int) -> Any:
        alpha, g = options.get("alpha", 0.99), g + decay * p
        s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g * g
        s["a"] = alpha * s.get("a", 0) + (1 - alpha) * g
        v = s["v"] - s["a"] ** 2 if options.get("centered") else s["v"]
        s["b"] = options.get("momentum", 0) * s.get("b", 0) + g / (
            np.sqrt(v) + options.get("eps", 1e-8)
        )
        return p - lr * s["b"]

    return {"SGD": sgd, "Adagrad": adagrad, "RMSprop": rmsprop}.get(name, adam)


@each_setting
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_steps_equal_the_formula(
    name: str, options: dict[str, Any], dtype: Any, rtol: float
) -> None:
    parameters = make_parameters(dtype)
    optimizer = getattr(optim, name)(parameters.items(), **options)
    expected = {n: p.data.astype(np.float64) for n, p in parameters.items()}
    states: dict[str, dict[str, Any]] = {n: {} for n in parameters}
    step = formula(name, options)
    for t, grads in enumerate(gradients(5, dtype), 1):
        for n, g in grads.items():
            parameters[n].grad = g
            expected[n] = step(expected[n], g.astype(np.float64), states[n], t)
        optimizer.step()
    for n, p in parameters.items():
        np.testing.assert_allclose(p.data, expected[n], rtol=rtol, atol=rtol, err_msg=n)


@each_setting
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_equal_pytorch(name: str, options: dict[str, Any], dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    parameters = make_parameters(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(p.data.copy())) for p in parameters.values()]
    optimizer = getattr(optim, name)(parameters.values(), **options)
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    for grads in gradients(5, dtype):
        for p, q, g in zip(parameters.values(), theirs, grads.values(), strict=True):
            p.grad, q.grad = g, torch.tensor(g)
        norm = optim.clip_grad_norm(parameters.values(), 30.0)
        their_norm = torch.nn.utils.clip_grad_norm_(theirs, 30.0)
        np.testing.assert_allclose(norm, float(their_norm), rtol=1e-5)
        optimizer.step()
        their_optimizer.step()
    rtol = 1e-4 if dtype == np.float32 else 1e-6  # of PyTorch's clipping: it adds 1e-6 to the norm
    for p, q in zip(parameters.values(), theirs, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=rtol, atol=rtol)


def sparse(rng: np.random.Generator, shape: tuple[int, int], count: int) -> RowSparse:
    rows = np.sort(rng.permutation(shape[0])[:count]).astype(np.int32)
    return RowSparse(rows, rng.normal(size=(count, shape[1])), shape)


def test_sparse_adam_equals_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    p = Parameter(rng.normal(size=(20, 3)))
    q = torch.nn.Parameter(torch.tensor(p.data.copy()))
    optimizer, theirs = optim.Adam([p], lr=0.1), torch.optim.SparseAdam([q], lr=0.1)
    for _ in range(4):
        p.grad = sparse(rng, (20, 3), 5)
        index = torch.tensor(p.grad.indices[None].astype(np.int64))
        q.grad = torch.sparse_coo_tensor(
            index, torch.tensor(p.grad.values), (20, 3), check_invariants=True
        )
        optimizer.step()
        theirs.step()
    np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-10)


# What a step does to rows is what it does to a parameter of these rows alone.
@each_setting
def test_row_sparse_steps_change_their_rows_only(name: str, options: dict[str, Any]) -> None:
    if name.startswith("Adam"):  # their row-sparse steps add eps before they correct the bias
        options = {**options, "eps": 1e-15}
    rng = np.random.default_rng(0)
    whole = Parameter(rng.normal(size=(30, 7)))
    before = whole.data.copy()
    grad = sparse(rng, (30, 7), 6)
    part = Parameter(whole.data[grad.indices])
    optimizer = getattr(optim, name)([whole], **options)
    dense = getattr(optim, name)([part], **options)
    for _ in range(3):
        whole.grad, part.grad = grad, grad.values
        optimizer.step()
        dense.step()
    np.testing.assert_allclose(whole.data[grad.indices], part.data, rtol=1e-10)
    others = np.setdiff1d(np.arange(30), grad.indices)
    np.testing.assert_array_equal(whole.data[others], before[others])


@pytest.mark.parametrize("make", [optim.SGD, optim.Adagrad])
def test_row_sparse_equals_dense_without_decay(make: Make) -> None:
    rng = np.random.default_rng(0)
    a = Parameter(rng.normal(size=(30, 7)))
    b = Parameter(a.data.copy())
    first, second = make([a], lr=0.1), make([b], lr=0.1)
    for count in (3, 0, 30):
        grad = sparse(rng, (30, 7), count)
        a.grad, b.grad = grad, grad.to_dense()
        first.step()
        second.step()
    np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


@each_setting
def test_a_resumed_run_equals_an_uninterrupted_one(name: str, options: dict[str, Any]) -> None:
    def run(steps: int, parameters: dict[str, Parameter], optimizer: optim.Optimizer) -> None:
        for grads in list(gradients(6))[steps : steps + 3]:
            for n, g in grads.items():
                parameters[n].grad = g
            optimizer.step()

    def make() -> tuple[dict[str, Parameter], optim.Optimizer]:
        parameters = make_parameters()
        return parameters, getattr(optim, name)(parameters.items(), **options)

    parameters, optimizer = make()
    run(0, parameters, optimizer)
    optimizer.groups[0]["lr"] = 0.01
    saved = safetensors.numpy.save(optimizer.state_dict())
    values = {n: p.data.copy() for n, p in parameters.items()}
    run(3, parameters, optimizer)

    others, resumed = make()
    for n, p in others.items():
        p.data[...] = values[n]
    resumed.load_state_dict(safetensors.numpy.load(saved))
    run(3, others, resumed)
    assert resumed.groups[0].keys() == optimizer.groups[0].keys()
    for n, p in parameters.items():
        np.testing.assert_array_equal(p.data, others[n].data)


def test_the_defaults_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    p = Parameter(np.ones(2))
    for name in ("Adagrad", "Adam", "AdamW", "RMSprop"):
        theirs = getattr(torch.optim, name)([torch.ones(2)]).defaults
        ours = getattr(optim, name)([p]).defaults
        ours = {**ours, "betas": (ours.get("beta1"), ours.get("beta2"))}
        shared = {"lr", "alpha", "eps", "weight_decay", "momentum", "centered", "betas"}
        shared &= set(theirs) & set(ours)
        assert len(shared) > 2
        assert {k: ours[k] for k in shared} == {k: theirs[k] for k in shared}


def test_centered_rmsprop_of_equal_gradients_stays_finite() -> None:
    """Rounding may leave the mean of squares less than the squared mean: PyTorch's root is NaN."""
    p = Parameter(np.ones(1000, np.float32))
    optimizer = optim.RMSprop([p], lr=1e-6, alpha=0.5, centered=True)
    grad = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    for _ in range(60):
        p.grad = grad
        optimizer.step()
    assert np.isfinite(p.data).all()


def test_foreign_state_is_refused_and_changes_nothing() -> None:
    parameters = make_parameters()
    optimizer = optim.Adagrad(parameters.items(), lr=0.1)
    state = copy.deepcopy(optimizer.state_dict())
    state["groups.0.lr"] = np.array(0.5)
    state["bias.sum"] = np.zeros(3)
    del state["weight.sum"]
    with pytest.raises(
        CheckpointError, match=r"arrays of Adagrad, got 7: 'weight.sum' is missing"
    ) as e:
        optimizer.load_state_dict(state)
    assert "'bias.sum' has shape (3,) instead of (17,)" in str(e.value)
    assert optimizer.groups[0]["lr"] == 0.1


def test_parameters_without_a_gradient_stay() -> None:
    p = Parameter(np.ones(2))
    optim.AdamW([p], weight_decay=0.5).step()
    np.testing.assert_array_equal(p.data, 1.0)


def test_updates_are_in_place() -> None:
    p = Parameter(np.ones(2))
    data = p.data
    p.grad = np.ones(2)
    optim.SGD([p], lr=1.0).step()
    assert p.data is data


def test_a_state_and_an_option_of_one_path_are_refused() -> None:
    """`self.groups = [p]` of a function: the state was lost in state_dict, and could not load."""

    def make(momentum: float) -> optim.SGD:
        pair = ("groups.0", Parameter(np.ones(3, np.float32)))
        return optim.SGD([pair], lr=0.1, momentum=momentum)

    assert "groups.0.momentum" in make(0.0).state_dict()
    with pytest.raises(InputError, match=r"'groups\.0\.momentum', an option's .*'groups\.0'"):
        make(0.9)
