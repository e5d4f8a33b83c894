"""Batch, weight and spectral normalisation, against PyTorch: values, gradients, running averages,
both modes, and buffers that calls write."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.errors import InputError, NonFiniteError, ShapeError, TraceError

torch = pytest.importorskip("torch")

ROWS, SIZE = 12, 5
GRAPHS = cavs.batch([cavs.InputGraph([[], [0], [1, 0]])] * 4)


class Normed(cavs.VertexFunction):
    """A layer between a product and an output."""

    def __init__(self, layer: Any, shape: tuple[int, ...] = (SIZE,)) -> None:
        self.layer, self.shape = layer, shape

    def forward(self, v: cavs.Vertex) -> None:
        y = self.layer(v.pull("x", self.shape))
        v.push(y=y, loss=ops.sum(ops.tanh(y) * v.pull("weight", y.shape)))


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 2.0, size=shape)


def model_of(layer: Any, shape: tuple[int, ...] = (SIZE,), **options: Any) -> cavs.Model:
    return cavs.compile(Normed(layer, shape), dtype="float64", **options)


def as_torch(module: torch.nn.Module, layer: nn.Module) -> torch.nn.Module:
    """The module of PyTorch with the parameters of a layer."""
    module.double()
    state = module.state_dict()
    for name, values in layer.state_dict().items():
        if name in state:
            state[name] = torch.from_numpy(np.array(values))
    module.load_state_dict(state)
    return module


def compare(
    model: cavs.Model, theirs: torch.nn.Module, x: np.ndarray, shape: tuple[int, ...]
) -> None:
    """One call of each: outputs, gradients of the input and of the parameters."""
    given, weight = cavs.Tensor(x, requires_grad=True), numbers(len(x), *shape, seed=9)
    model.zero_grad()
    out = model(GRAPHS, x=given, weight=weight)
    out["loss"].sum().backward()
    t = torch.from_numpy(x).requires_grad_()
    theirs.zero_grad()
    y = theirs(t)
    (torch.tanh(y) * torch.from_numpy(weight)).sum().backward()
    np.testing.assert_allclose(out["y"].numpy(), y.detach().numpy(), 1e-10, 1e-10)
    assert t.grad is not None
    np.testing.assert_allclose(given.grad, t.grad.numpy(), 1e-9, 1e-9)
    of_torch = dict(theirs.named_parameters())
    for name, p in model.named_parameters():
        known = of_torch.get(name.removeprefix("layer."))
        if known is not None and known.grad is not None:
            np.testing.assert_allclose(p.grad, known.grad.numpy(), 1e-9, 1e-9, err_msg=name)


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("shape", [(SIZE,), (SIZE, 3), (SIZE, 2, 3)], ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_that_of_pytorch_in_both_modes(
    executor: str, shape: tuple[int, ...], affine: bool
) -> None:
    layer = nn.BatchNorm(SIZE, eps=1e-3, momentum=0.2, affine=affine)
    if affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    kind: Any = (torch.nn.BatchNorm1d, torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)[len(shape) - 1]
    theirs = as_torch(kind(SIZE, eps=1e-3, momentum=0.2, affine=affine), layer)
    model = model_of(layer, shape, executor=executor)
    for step in range(3):
        compare(model, theirs, numbers(ROWS, *shape, seed=step), shape)
        for name in ("running_mean", "running_var"):
            np.testing.assert_allclose(
                getattr(layer, name).numpy(), getattr(theirs, name).numpy(), 1e-10, err_msg=name
            )
    model.eval()
    theirs.eval()
    before = layer.running_mean.numpy().copy()
    compare(model, theirs, numbers(ROWS, *shape, seed=7), shape)
    np.testing.assert_array_equal(layer.running_mean.numpy(), before)


def test_running_averages_after_a_hundred_steps_are_those_of_pytorch() -> None:
    nn.init.manual_seed(4)
    layer = nn.BatchNorm(SIZE)
    model = cavs.compile(Normed(layer))  # float32
    theirs = torch.nn.BatchNorm1d(SIZE)
    optimizer = cavs.optim.SGD(model.parameters(), 0.05)
    of_torch = torch.optim.SGD(theirs.parameters(), 0.05)
    for step in range(100):
        x = (numbers(ROWS, SIZE, seed=step) * np.arange(1, SIZE + 1)).astype(np.float32)
        weight = numbers(ROWS, SIZE, seed=1000 + step).astype(np.float32)
        model.step(GRAPHS, optimizer, scale=1 / ROWS, x=x, weight=weight)
        of_torch.zero_grad()
        y = theirs(torch.from_numpy(x))
        ((torch.tanh(y) * torch.from_numpy(weight)).sum() / ROWS).backward()
        of_torch.step()
    for name in ("running_mean", "running_var", "weight", "bias"):
        ours, known = getattr(layer, name).numpy(), getattr(theirs, name).detach().numpy()
        np.testing.assert_allclose(ours, known, 1e-5, 1e-5, err_msg=name)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_steps_and_calls_write_buffers_alike(executor: str) -> None:
    found = []
    for stepwise in (True, False):
        nn.init.manual_seed(1)
        model = model_of(nn.BatchNorm(SIZE), executor=executor)
        optimizer = cavs.optim.Adam(model.parameters())
        for step in range(3):
            x, weight = numbers(ROWS, SIZE, seed=step), numbers(ROWS, SIZE, seed=50 + step)
            if stepwise:
                model.step(GRAPHS, optimizer, x=x, weight=weight)
            else:
                loss = model(GRAPHS, outputs=["loss"], x=x, weight=weight)["loss"].sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        found.append(model.state_dict())
    assert found[0].keys() == found[1].keys()
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name], err_msg=name)


def test_training_calls_alone_write_buffers_and_those_that_need_them() -> None:
    layer = nn.BatchNorm(SIZE)

    class Two(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layer = layer

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", SIZE)
            v.push(raw=2.0 * x, y=self.layer(x))

    model = cavs.compile(Two())
    x = numbers(ROWS, SIZE)

    def mean() -> list[float]:
        return layer.running_mean.numpy().tolist()

    zeros = mean()
    model(GRAPHS, outputs=["raw"], x=x)
    assert mean() == zeros
    model.eval()(GRAPHS, x=x)
    assert mean() == zeros
    model.train()
    with cavs.no_grad():
        model(GRAPHS, x=x)  # as PyTorch has it
    after = mean()
    assert after != zeros
    model(GRAPHS, outputs=["y"], x=x)
    assert mean() != after


def test_in_evaluation_a_vertex_is_the_same_alone_and_in_company() -> None:
    model = model_of(nn.BatchNorm(SIZE))
    x, weight = numbers(ROWS, SIZE), numbers(ROWS, SIZE, seed=2)
    model(GRAPHS, x=x, weight=weight)
    model.eval()
    together = model(GRAPHS, x=x, weight=weight)["y"].numpy()
    for number, graph in enumerate(cavs.unbatch(GRAPHS)):
        rows = slice(3 * number, 3 * number + 3)
        alone = model(graph, x=x[rows], weight=weight[rows])["y"].numpy()
        np.testing.assert_array_equal(alone, together[rows])


def test_buffers_written_between_a_call_and_its_backward_change_nothing() -> None:
    layer = nn.BatchNorm(SIZE)
    model = model_of(layer)
    x, weight = numbers(ROWS, SIZE), numbers(ROWS, SIZE, seed=2)
    grads = []
    for between in (False, True):
        layer.running_mean.copy_in(np.full(SIZE, 0.5))
        layer.running_var.copy_in(np.full(SIZE, 2.0))
        given = cavs.Tensor(x, requires_grad=True)
        loss = model.eval()(GRAPHS, x=given, weight=weight)["loss"].sum()
        if between:
            model.train()(GRAPHS, x=10 * x, weight=weight)
        loss.backward()
        grads.append(given.grad.copy())
        assert layer.weight is not None
        grads.append(layer.weight.grad.copy())
        model.zero_grad()
    np.testing.assert_array_equal(grads[0], grads[2])
    np.testing.assert_array_equal(grads[1], grads[3])


def test_a_step_whose_loss_is_not_finite_leaves_buffers() -> None:
    model = model_of(nn.BatchNorm(SIZE))
    weight = np.full((ROWS, SIZE), np.inf)
    before = model.state_dict()
    with pytest.raises(NonFiniteError):
        model.step(
            GRAPHS, cavs.optim.SGD(model.parameters(), 1.0), x=numbers(ROWS, SIZE), weight=weight
        )
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


def test_buffers_go_along(tmp_path: Path) -> None:
    model = model_of(nn.BatchNorm(SIZE))
    x, weight = numbers(ROWS, SIZE), numbers(ROWS, SIZE, seed=2)
    model(GRAPHS, x=x, weight=weight)
    state = model.state_dict()
    assert {"layer.running_mean", "layer.running_var"} < set(state)
    other = model_of(nn.BatchNorm(SIZE))
    other.load_state_dict(state)
    copies = [other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    expected = model.eval()(GRAPHS, x=x, weight=weight)["y"].numpy()
    for each in copies:
        got = each.eval()(GRAPHS, x=x, weight=weight)["y"].numpy()
        np.testing.assert_array_equal(got, expected)
    # A copy has buffers of its own.
    copies[1].train()(GRAPHS, x=x, weight=weight)
    np.testing.assert_array_equal(model.eval()(GRAPHS, x=x, weight=weight)["y"].numpy(), expected)


def test_weight_norm_is_that_of_pytorch() -> None:
    linear = nn.Linear(SIZE, 3, dtype="float64")
    theirs = torch.nn.utils.parametrizations.weight_norm(as_torch(torch.nn.Linear(SIZE, 3), linear))
    layer = nn.WeightNorm(linear)
    assert repr(layer) == "WeightNorm(5, 3, bias=True)"
    model = model_of(layer)
    compare(model, theirs, numbers(ROWS, SIZE), (3,))
    original = theirs.parametrizations["weight"]
    for name, known in (("weight_g", "original0"), ("weight_v", "original1")):
        grad: Any = dict(model.named_parameters())[f"layer.{name}"].grad
        expected: Any = getattr(original, known).grad
        np.testing.assert_allclose(grad, expected.numpy().reshape(grad.shape), 1e-9, 1e-9)


def test_spectral_norm_is_that_of_pytorch() -> None:
    nn.init.manual_seed(3)
    linear = nn.Linear(SIZE, 3, dtype="float64")
    theirs = as_torch(torch.nn.Linear(SIZE, 3), linear)
    layer = nn.SpectralNorm(linear)
    assert repr(layer) == "SpectralNorm(5, 3, bias=True)"
    # The older of PyTorch's two: the newer takes the steps of the iteration in another order.
    theirs = torch.nn.utils.spectral_norm(theirs)
    model = model_of(layer)
    known: Any = theirs
    with torch.no_grad():
        known.weight_u.copy_(torch.from_numpy(layer.left.numpy().copy()))
        known.weight_v.copy_(torch.from_numpy(layer.right.numpy().copy()))
    for step in range(3):
        compare(model, theirs, numbers(ROWS, SIZE, seed=step), (3,))
        grad = known.weight_orig.grad.numpy()
        np.testing.assert_allclose(layer.weight.grad, grad, 1e-9, 1e-9)
        with torch.no_grad():  # the power iteration goes on from another weight
            known.weight_orig += 0.1
        layer.weight.data += 0.1
    model.eval()
    theirs.eval()
    compare(model, theirs, numbers(ROWS, SIZE, seed=5), (3,))
    model.train()
    with cavs.no_grad():
        for _ in range(300):  # until the power iteration has found the singular vectors
            model(GRAPHS, x=numbers(ROWS, SIZE), weight=numbers(ROWS, 3))
    model.eval()
    greatest = np.linalg.svd(layer.weight.numpy())[1][0]
    one = model(cavs.InputGraph([[]]), x=np.eye(SIZE)[:1], weight=np.ones((1, 3)))["y"].numpy()
    assert layer.bias is not None
    expected = layer.weight.numpy()[:, 0] / greatest + layer.bias.numpy()
    np.testing.assert_allclose(one[0], expected, rtol=1e-8)


# A tree network, by hand


class Tree(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w, self.u = nn.Linear(SIZE, 4), nn.Linear(4, 4, bias=False)
        self.before, self.after = nn.BatchNorm(4), nn.BatchNorm(4)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.before(self.w(v.pull("x", SIZE)))
        h = ops.tanh(x + self.u(v.gather(h=4).h.sum()))
        v.scatter(h=h)
        v.push(y=self.after(h))


@pytest.mark.parametrize("training", [True, False])
def test_a_tree_network_with_batch_norm_is_pytorch_by_hand(training: bool) -> None:
    nn.init.manual_seed(2)
    model = cavs.compile(Tree(), dtype="float64")
    x = numbers(ROWS, SIZE)
    model.train()(GRAPHS, x=x)  # averages that are no zeros
    model.train(training)
    function: Any = model.function
    modules = {
        "w": torch.nn.Linear(SIZE, 4),
        "u": torch.nn.Linear(4, 4, bias=False),
        "before": torch.nn.BatchNorm1d(4),
        "after": torch.nn.BatchNorm1d(4),
    }
    for name, module in modules.items():
        as_torch(module, getattr(function, name)).train(training)
    weight = numbers(ROWS, 4, seed=3)
    (model(GRAPHS, x=x)["y"] * weight).sum().backward()
    t = modules["before"](modules["w"](torch.from_numpy(x)))
    h: list[torch.Tensor] = []
    for number, graph in enumerate(cavs.unbatch(GRAPHS)):
        start = len(h)
        for vertex, children in enumerate([[], [0], [1, 0]]):
            total = sum((h[start + c] for c in children), torch.zeros(4, dtype=torch.float64))
            row = t[3 * number + vertex]
            h.append(torch.tanh(row + modules["u"](total)))
        assert graph.num_vertices == 3
    y = modules["after"](torch.stack(h))
    (y * torch.from_numpy(weight)).sum().backward()
    for name, module in modules.items():
        for key, known in module.named_parameters():
            ours = getattr(getattr(function, name), key)
            np.testing.assert_allclose(ours.grad, known.grad.numpy(), 1e-10, 1e-10, err_msg=key)
        for key, buffer in module.named_buffers():
            if key != "num_batches_tracked":
                ours = getattr(getattr(function, name), key).numpy()
                np.testing.assert_allclose(ours, buffer.numpy(), 1e-10, 1e-10, err_msg=key)


def test_a_gradient_penalty_through_batch_norm_is_that_of_the_mode() -> None:
    class Critic(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layer, self.out = nn.BatchNorm(SIZE), nn.Linear(SIZE, 1)

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", SIZE)
            (dx,) = cavs.grad([ops.sum(ops.tanh(self.out(self.layer(x))))], [x])
            v.push(dx=dx)

    model = cavs.compile(Critic(), dtype="float64")
    function: Any = model.function
    x = numbers(ROWS, SIZE)
    for training in (True, False):
        theirs = as_torch(torch.nn.BatchNorm1d(SIZE), function.layer).train(training)
        out = as_torch(torch.nn.Linear(SIZE, 1), function.out)
        t = torch.from_numpy(x).requires_grad_()
        (dx,) = torch.autograd.grad(torch.tanh(out(theirs(t))).sum(), [t])
        got = model.train(training)(GRAPHS, x=x)["dx"].numpy()
        np.testing.assert_allclose(got, dx.numpy(), 1e-9, 1e-11)


# Bad use


def test_bad_use_is_one_clear_line() -> None:
    with pytest.raises(ShapeError, match=r"\[batch_norm\] expected a first axis of 4, got shape"):
        model_of(nn.BatchNorm(4))
    with pytest.raises(InputError, match=r"\[weight_norm\] expected a cavs\.nn\.Linear as layer"):
        nn.WeightNorm(nn.BatchNorm(4))  # type: ignore[arg-type]
    with pytest.raises(TraceError, match=r"outside of one; call it in the forward"):
        nn.BatchNorm(4)(cavs.Tensor(np.ones(4)))

    class Within(cavs.VertexFunction):
        def __init__(self) -> None:
            self.norm = nn.BatchNorm(4)

        def forward(self, v: cavs.Vertex) -> None:
            h = ops.tanh(self.norm(v.gather(h=4).h.sum() + v.pull("x", 4)))
            v.scatter(h=h)
            v.push(h=h)

    with pytest.raises(TraceError, match=r"to depend on no reduction over vertices"):
        cavs.compile(Within())

    class Twice(cavs.VertexFunction):
        def __init__(self) -> None:
            self.norm = nn.BatchNorm(4)

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=self.norm(self.norm(v.pull("x", 4))))

    with pytest.raises(TraceError, match=r"expected one update of a buffer, got two, at"):
        cavs.compile(Twice())


def function_of(forward: Any) -> cavs.VertexFunction:
    class Function(cavs.VertexFunction):
        def __init__(self) -> None:
            self.register_buffer("kept", np.zeros(4))
            self.weight = nn.Parameter(np.zeros(4))

        def forward(self, v: cavs.Vertex) -> None:
            forward(self, v)

    return Function()


@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        (
            lambda f, v: v.push(y=ops.running(v.pull("x", 4), f.weight, f.weight)),
            InputError,
            r"\[running\] expected a buffer, got .*register_buffer",
        ),
        (
            lambda f, v: v.push(y=ops.running(v.pull("x", 4), f.kept, v.pull("x", 4))),
            ShapeError,
            r"\[running\] expected an update without rows.*batch_mean",
        ),
        (
            lambda f, v: v.push(y=ops.running(v.pull("x", 3), f.kept, f.kept)),
            ShapeError,
            r"\[running\] expected a value of shape \(4,\), as the buffer, got \(3,\)",
        ),
        (
            lambda f, v: v.push_batch(y=v.pull("x", 4)),
            TraceError,
            r"\[push_batch\] expected a value without rows for 'y', got one per vertex",
        ),
        (
            lambda f, v: (v.push_batch(y=f.kept), v.push(y=v.pull("x", 4))),
            TraceError,
            r"\[push\] expected a new output, got 'y' a second time",
        ),
    ],
)
def test_bad_use_in_f_is_one_clear_line(forward: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cavs.compile(function_of(forward))
