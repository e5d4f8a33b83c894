"""Tensors on a GPU: the same values and gradients as on the CPU, and one clear error where devices
meet."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.device import device_of, find_device
from cavs.nn import distributions, estimators

pytestmark = pytest.mark.gpu

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3))
Y = RNG.uniform(0.5, 2, size=(4, 3))
ROWS = np.array([0, 2, 2, -1], np.int32)
Function = Callable[[cavs.Tensor, cavs.Tensor], Any]

FUNCTIONS: dict[str, Function] = {
    "arithmetic": lambda x, y: (x + y) * (x - 2.0) / y - 1.5 * x,
    "a constant": lambda x, y: x * Y + y / [[1.0, 2.0, 3.0]],
    "broadcast": lambda x, y: x * y[0] + x[:, :1] + y.sum(0, keepdims=True),
    "functions": lambda x, y: ops.exp(x) + ops.log(y) + ops.tanh(x) + ops.sigmoid(x) + ops.sqrt(y),
    "more": lambda x, y: ops.relu(x) + ops.softplus(x) + ops.abs(x) + ops.maximum(x, y) + y**x,
    "erfinv": lambda x, y: ops.erfinv(ops.tanh(x)),
    "special": lambda x, y: (
        ops.sin(x) * ops.cos(y) + ops.erf(x) + ops.gelu(x) * ops.silu(y) + ops.lgamma(y)
    ),
    "more special": lambda x, y: (
        ops.elu(x) + ops.leaky_relu(x, y) + ops.log1p(y) * ops.expm1(x) + ops.digamma(y)
    ),
    "matmul": lambda x, y: x.T @ y,
    "reductions": lambda x, y: x.sum(0) + y.mean(0) + x.max(0) - y.min(0) + x.logsumexp(0),
    "totals": lambda x, y: x.sum() * y.mean() + x.max() + x.sum(keepdims=True).reshape(()),
    "softmax": lambda x, y: x.softmax() * x.log_softmax(),
    "losses": lambda x, y: (
        ops.cross_entropy(x, np.array([0, 2, -1, 1]))
        + ops.binary_cross_entropy_with_logits(x, y > 1.0).sum(-1)
        + ops.squared_error(x, y).sum(-1)
    ),
    "where": lambda x, y: ops.where(x > 0.0, x, y) * (x <= y),
    "views": lambda x, y: x.reshape(3, 4).T + x.permute(0, 1) * y.reshape(-1).reshape(4, 3),
    "rows": lambda x, y: x[1] + x[[0, 0, 3]].sum(0) + y[ROWS].sum(0) + y[y > 1.0].sum(),
    "slices": lambda x, y: x[1:3, ::2].sum() * y[..., None].sum(),
    "each row": lambda x, y: sum((row * row).sum() for row in x),
    "joined": lambda x, y: cavs.concat([x, y, np.ones((1, 3))]) * cavs.stack([x, y]).sum(),
    "embedding": lambda x, y: ops.embedding(x, ROWS) * y,
    "astype": lambda x, y: x.astype("float32").astype("float64") * y,
}


def results(function: Function, device: str) -> list[np.ndarray]:
    x = cavs.Tensor(X, requires_grad=True)
    y = cavs.Tensor(Y, requires_grad=True)
    z = function(x.to(device), y.to(device))
    assert z.device == find_device(device).name
    (z * z).sum().backward()
    return [z.numpy(), *(np.zeros((4, 3)) if p.grad is None else p.grad for p in (x, y))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_those_of_the_cpu(name: str) -> None:
    for found, expected in zip(
        results(FUNCTIONS[name], "cuda"), results(FUNCTIONS[name], "cpu"), strict=True
    ):
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_leaves_on_a_gpu_get_gradients_there() -> None:
    x = cavs.Tensor(cavs.Tensor(X).to("cuda"), requires_grad=True)
    (x * x).sum().backward()
    (x * 3.0).sum().backward()
    assert device_of(x.grad) is find_device("cuda")
    np.testing.assert_allclose(x.grad.get(), 2 * X + 3)
    x.zero_grad()
    x.backward(np.ones((4, 3)))  # a cotangent of the host
    np.testing.assert_allclose(x.grad.get(), np.ones((4, 3)))
    with pytest.raises(cavs.InputError, match=r"^\[grad\] expected a gradient on cuda:0"):
        x.accumulate_grad(np.ones((4, 3)))


def test_a_gradient_of_another_device_is_refused_when_it_is_set() -> None:
    for place, other in (("cpu", "cuda"), ("cuda", "cpu")):
        there = find_device(place).name
        for x in (cavs.Tensor(X).to(place), cavs.Parameter(cavs.Tensor(X).to(place))):
            right, wrong = (cavs.Tensor(X).to(name).data for name in (place, other))
            rows = cavs.Tensor(X[:1]).to(other).data
            x.grad = right
            for grad in (wrong, cavs.RowSparse(np.zeros(1, np.int32), rows, X.shape)):
                with pytest.raises(
                    cavs.InputError, match=rf"expected a gradient on {there}, where"
                ):
                    x.grad = grad
            assert x.grad is right


def test_moving() -> None:
    x = cavs.Tensor(X, requires_grad=True)
    assert x.device == "cpu"
    assert x.to("cpu") is x
    there = x.to("cuda")
    assert there.device == "cuda:0"
    assert there.to("cuda:0") is there
    assert there.data.shape == (4, 3)
    back = there.to("cpu")
    (back * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad, np.full((4, 3), 2.0))
    assert cavs.Tensor([1, 2]).to("cuda").dtype == np.int32
    for wrong in ("gpu", "cuda:", None, 3):
        with pytest.raises(cavs.InputError, match=r"^\[to\] expected device"):
            x.to(wrong)
    with pytest.raises(cavs.DeviceError, match=r"expected a GPU in 0\.\.\d+, got 77"):
        x.to("cuda:77")


def test_numpy_copies_and_arrays_are_shared() -> None:
    x = cavs.Tensor(X).to("cuda")
    copied = x.numpy()
    copied[0, 0] = 99
    assert x[0, 0].item() != 99
    np.testing.assert_array_equal(np.asarray(x), X)
    with pytest.raises(cavs.InputError, match="allow a copy"):
        np.array(x, copy=False)
    assert cavs.Tensor(x.data).data is x.data
    assert x.__cuda_array_interface__["shape"] == (4, 3)
    assert not hasattr(cavs.Tensor(X), "__cuda_array_interface__")
    assert "cuda:0" in repr(x)
    x.data[0, 0] = 5.0
    assert x[0, 0].item() == 5
    assert bool(x[0, 0])
    assert float(x[0, 0]) == 5


def test_two_devices_are_one_error() -> None:
    x, y = cavs.Tensor(X), cavs.Tensor(Y).to("cuda")
    for compute in (lambda: x + y, lambda: y * x, lambda: cavs.concat([x, y]), lambda: y @ x.T):
        with pytest.raises(cavs.InputError, match="tensors on one device, got some on cpu"):
            compute()
    scale = cavs.Tensor(2.0, "float64")
    np.testing.assert_allclose((y * scale).numpy(), 2 * Y)
    learning = cavs.Tensor(2.0, "float64", requires_grad=True)
    with pytest.raises(cavs.InputError, match="one device"):
        y * learning


def test_comparisons_and_indices() -> None:
    x = cavs.Tensor(X).to("cuda")
    for compare in (lambda a, b: a > b, lambda a, b: a == b, lambda a, b: a != b):
        np.testing.assert_array_equal(compare(x, Y).numpy(), compare(cavs.Tensor(X), Y).data)
    assert (x == X).all()
    assert not (x != x).any()
    assert X[0, 0] in x
    ids = cavs.Tensor(ROWS).to("cuda")
    assert (ids == 2).sum().item() == 2
    for index in ([0, 9], np.array([4]), (slice(None), [3]), 4):
        with pytest.raises(cavs.ShapeError, match=r"^\[index\]"):
            x[index]
    np.testing.assert_array_equal(x[cavs.Tensor([1, 0]).to("cuda")].numpy(), X[[1, 0]])
    with pytest.raises(cavs.InputError, match=r"expected ids in -1\.\.3"):
        ops.embedding(x, cavs.Tensor([4]).to("cuda"))


def test_what_was_written_since_is_an_error() -> None:
    x = cavs.Tensor(cavs.Tensor(X).to("cuda"), requires_grad=True)
    y = x * x
    x.data[0, 0] += 1.0
    with pytest.raises(cavs.CavsRuntimeError, match="written since"):
        y.sum().backward()
    z = x * x
    x.data  # noqa: B018
    z.sum().backward()


def test_row_sparse_gradients() -> None:
    table = cavs.Parameter(cavs.Tensor(X).to("cuda"))
    host = cavs.Parameter(X.copy())
    for parameter in (table, host):
        weights = cavs.Tensor(Y).to(parameter.device)
        for _ in range(2):
            (ops.embedding(parameter, ROWS) * weights).sum().backward()
    assert isinstance(table.grad, cavs.RowSparse)
    assert isinstance(host.grad, cavs.RowSparse)
    assert device_of(table.grad.values) is find_device("cuda")
    np.testing.assert_array_equal(table.grad.indices.get(), host.grad.indices)
    np.testing.assert_array_equal(table.grad.values.get(), host.grad.values)
    np.testing.assert_array_equal(np.asarray(table.grad), host.grad.to_dense())
    np.testing.assert_allclose(table.grad.sum_of_squares(), host.grad.sum_of_squares())
    table.grad.scale(0.5)
    (table * 2.0).sum().backward()
    np.testing.assert_allclose(table.grad.get(), host.grad.to_dense() / 2 + 2)


def test_copies_and_pickles_stay_on_their_device() -> None:
    x = cavs.Tensor(cavs.Tensor(X).to("cuda"), requires_grad=True)
    p = cavs.Parameter(cavs.Tensor(Y).to("cuda"))
    (x * p).sum().backward()
    for again in (copy.deepcopy((x, p)), pickle.loads(pickle.dumps((x, p)))):
        for new, old in zip(again, (x, p), strict=True):
            assert new.device == "cuda:0"
            assert new.data is not old.data
            np.testing.assert_array_equal(new.numpy(), old.numpy())
            np.testing.assert_array_equal(new.grad.get(), old.grad.get())


def test_versions_of_parameters() -> None:
    p = cavs.Parameter(X.copy())
    p.move(find_device("cuda"))
    first = p.version
    assert p.read()[1] == first
    held = p.data
    assert p.read()[1] == -1
    view = held[1:]
    del held
    assert p.read()[1] == -1
    del view
    assert p.read()[1] > first
    before = p.version
    with p.writing() as array:
        array += 1.0
    assert p.version != before
    p.data = X  # of the host: the parameter stays where it is
    assert p.device == "cuda:0"
    p.data += 1.0
    np.testing.assert_array_equal(p.numpy(), X + 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_numbers_have_the_bits_of_the_cpu(dtype: str) -> None:
    for draw in ("uniform", "normal"):
        here, there = cavs.Generator(7), cavs.Generator(7)
        expected = getattr(here, draw)((5, 3), dtype)
        found = getattr(there, draw)((5, 3), dtype, device="cuda")
        assert found.device == "cuda:0"
        np.testing.assert_allclose(
            found.numpy(), expected.data, rtol=1e-6 if draw == "normal" else 0
        )


def test_distributions_and_estimators() -> None:
    def computed(device: str) -> list[np.ndarray]:
        x = cavs.Tensor(X, requires_grad=True)
        y = cavs.Tensor(Y, requires_grad=True)
        a, b = x.to(device), y.to(device)
        normal = distributions.Normal(a, b)
        sample = normal.sample(cavs.Generator(1))
        bernoulli = distributions.Bernoulli(a)
        drawn = bernoulli.sample(cavs.Generator(2))
        categorical = distributions.Categorical(a)
        hot = categorical.sample(cavs.Generator(3))
        log_q = bernoulli.log_prob(drawn)
        log_p = normal.log_prob(sample)
        vimco = estimators.vimco(log_p, log_q)
        nvil = estimators.nvil(log_p, log_q, a.mean().detach())
        values = [sample, drawn, hot, vimco.bound, nvil.bound]
        total = vimco.surrogate.sum() + nvil.surrogate.sum() + sample.sum()
        total.backward()
        assert all(v.device == find_device(device).name for v in values)
        return [*(v.numpy() for v in values), x.grad, y.grad]

    for found, expected in zip(computed("cuda"), computed("cpu"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_nan_is_found() -> None:
    x = cavs.Tensor(cavs.Tensor(-X).to("cuda"), requires_grad=True)
    with cavs.detect_nonfinite(), pytest.raises(cavs.NonFiniteError, match="comes from 'log'"):
        ops.log(x).sum().backward()


class Head(cavs.Module):
    def __init__(self) -> None:
        self.layers = [cavs.nn.Linear(3, 5), cavs.nn.Linear(5, 2)]
        self.scale = cavs.Parameter(np.float32([2.0]))

    def forward(self, x: cavs.Tensor) -> cavs.Tensor:
        return self.layers[1](self.layers[0](x).tanh()) * self.scale


def test_layers_on_tensors_move_with_their_gradients() -> None:
    found = {}
    for device in ("cpu", "cuda"):
        cavs.manual_seed(0)
        head = Head()
        head(cavs.Tensor(X, "float32")).sum().backward()
        assert head.to(device) is head
        optimizer = cavs.optim.Adam(head.parameters(), lr=0.1)
        for _ in range(2):
            loss = (head(cavs.Tensor(X, "float32").to(device)) ** 2).sum()
            assert loss.device == find_device(device).name
            loss.backward()  # the first adds to the gradient that was there before
            optimizer.step()
            optimizer.zero_grad()
        assert {p.device for p in head.parameters()} == {loss.device}
        found[device] = [p.numpy() for p in head.to("cpu").parameters()]
    for ours, theirs in zip(found["cuda"], found["cpu"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_layers_are_moved_to_devices_alone() -> None:
    head = Head()
    with pytest.raises(cavs.InputError, match=r"^\[to\] expected device 'cpu', 'cuda' or 'cuda:1'"):
        head.to("gpu")
    with pytest.raises(cavs.DeviceError, match="got 99"):
        head.to("cuda:99")
    assert {p.device for p in head.parameters()} == {"cpu"}


def test_devices_of_pytorch_name_gpus() -> None:
    torch = pytest.importorskip("torch")
    x = cavs.Tensor(X).to(torch.device("cuda", 0))
    assert x.device == "cuda:0"
    assert x.to(torch.device("cpu")).device == "cpu"
