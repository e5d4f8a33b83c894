"""Values written between a forward and its backward: an error where the gradient needs them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import compiled, draw_cotangents, draw_inputs
from strategies import batches

import cavs
from cavs import ops
from cavs.errors import CavsRuntimeError
from cavs.nn import init
from cavs.optim import SGD
from cavs.tensor import Parameter, Tensor, _watch, no_grad


class Square(cavs.VertexFunction):
    """y = w * w * x + b."""

    def __init__(self) -> None:
        self.w = Parameter(np.full(3, 2.0, np.float32))
        self.b = Parameter(np.zeros(3, np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.w * self.w * v.pull("x", 3) + self.b)


GRAPH = cavs.InputGraph([[]])
X = np.ones((1, 3), np.float32)
TEN = np.full(3, 10, np.float32)


def forward(model: cavs.Model) -> Tensor:
    total: Tensor = model(GRAPH, x=X)["y"].sum()
    return total


def step(model: cavs.Model) -> None:
    """By an optimizer, with gradients of another loss."""
    model.zero_grad()
    forward(model).backward()
    SGD(model.parameters(), lr=0.1).step()


def w(model: cavs.Model) -> Parameter:
    parameter: Parameter = model.function.w  # type: ignore[assignment]
    return parameter


def quietly(write: Callable[[cavs.Model], Any]) -> Callable[[cavs.Model], None]:
    def quiet(model: cavs.Model) -> None:
        with no_grad():
            write(model)

    return quiet


def rebind(model: cavs.Model) -> None:
    w(model).data = TEN.copy()


def assign(model: cavs.Model) -> None:
    w(model).data[...] = TEN


WRITES: dict[str, Callable[[cavs.Model], Any]] = {
    "optimizer": step,
    "load_state_dict": lambda m: m.load_state_dict({"w": TEN, "b": TEN}),
    "state_dict": lambda m: m.state_dict()["w"].fill(10),
    "init": lambda m: init.constant_(w(m), 10),
    "clip": lambda m: np.clip(w(m).data, -1, 1, out=w(m).data),
    "rebind": rebind,
    "assign": assign,
    "one element": lambda m: w(m).data.__setitem__(1, 10),
    "iadd": lambda m: w(m).data.__iadd__(1),
    "fill": lambda m: w(m).data.fill(10),
    "copyto": lambda m: np.copyto(w(m).data, TEN),
    "out": lambda m: np.add(w(m).data, 1, out=w(m).data),
    "at": lambda m: np.add.at(w(m).data, [0], 1),
    "view": lambda m: w(m).data[1:].view(np.int32).__setitem__(0, 7),
    "memoryview": lambda m: memoryview(w(m).data).__setitem__(0, 10.0),
    "numpy": lambda m: w(m).numpy().fill(10),
    "asarray": lambda m: np.asarray(w(m)).fill(10),
    "dlpack": lambda m: np.from_dlpack(w(m)).__array__().fill(10),
    "detach": lambda m: w(m).detach().data.fill(10),
    "reshape": lambda m: w(m).reshape(3, 1).data.fill(10),
    "slice": lambda m: w(m)[1:].data.fill(10),
    "identity": lambda m: ops.stop_gradient(w(m)).data.fill(10),
    "tensor": lambda m: cavs.tensor(w(m)).data.fill(10),
    "parameter": lambda m: Parameter(w(m)).data.fill(10),
    "astype": lambda m: cavs.compile(m.function, dtype="float64"),
    "in no_grad": quietly(assign),
}


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_parameter_written_before_backward(
    write: Callable[[cavs.Model], Any], executor: str
) -> None:
    model = cavs.compile(Square(), executor=executor)
    loss = forward(model)
    write(model)
    model.zero_grad()
    with pytest.raises(
        CavsRuntimeError, match=r"\[backward\] expected parameter 'w' .*call the model again"
    ):
        loss.backward()
    assert model.function.b.grad is None  # type: ignore[attr-defined]


def test_a_frozen_parameter_counts_as_well() -> None:
    model = cavs.compile(Square())
    w(model).requires_grad = False
    loss = forward(model)
    assign(model)
    with pytest.raises(CavsRuntimeError, match="'w'"):
        loss.backward()


READS: dict[str, Callable[[cavs.Model], Any]] = {
    "shape of what was given": lambda m: setattr(w(m).data, "shape", (3, 1)),
    "data": lambda m: w(m).data.sum(),
    "numpy": lambda m: w(m).numpy().copy(),
    "print": lambda m: repr(w(m)),
    "float": lambda m: float(w(m)[0]),
    "state_dict": lambda m: {k: v.copy() for k, v in m.state_dict().items()},
    "same bits": lambda m: w(m).data.__setitem__(..., w(m).data.copy()),
    "rebound to equal": lambda m: setattr(w(m), "data", w(m).data.copy()),
    "loaded again": lambda m: m.load_state_dict(m.state_dict()),
    "there and back": lambda m: (w(m).data.__iadd__(1), w(m).data.__isub__(1)),
    "a product": lambda m: (w(m) * w(m)).data,
    "frozen and thawed": lambda m: (
        setattr(w(m), "requires_grad", False),
        setattr(w(m), "requires_grad", True),
    ),
    "another forward": lambda m: forward(m),
    "inference": quietly(forward),
    "gradients": lambda m: setattr(w(m), "grad", np.ones(3, np.float32)),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_is_no_change(read: Callable[[cavs.Model], Any]) -> None:
    model = cavs.compile(Square())
    loss = forward(model)
    read(model)
    model.zero_grad()
    loss.backward()
    np.testing.assert_array_equal(w(model).grad, 4.0)
    assert type(w(model).data) is np.ndarray
    assert w(model).data.flags.writeable


def test_nan_and_signs_of_zeros_are_bits() -> None:
    model = cavs.compile(Square())
    w(model).data[:] = [np.nan, 0, 1]
    loss = forward(model)
    w(model).data[:] = [np.nan, 0, 1]
    loss.backward()
    loss = forward(model)
    w(model).data[1] = -0.0
    with pytest.raises(CavsRuntimeError, match="'w'"):
        loss.backward()


def test_several_runs_wait() -> None:
    """Two forwards and two backwards, with a read; the ones before a step fail, later ones do
    not."""
    model = cavs.compile(Square())
    losses = [forward(model), forward(model)]
    w(model).data.sum()
    losses[1].backward()
    losses[0].backward()
    np.testing.assert_array_equal(w(model).grad, 8.0)
    before = forward(model)
    w(model).data[...] = 3
    after = forward(model)
    w(model).data.sum()
    model.zero_grad()
    after.backward()
    np.testing.assert_array_equal(w(model).grad, 6.0)
    with pytest.raises(CavsRuntimeError, match="'w'"):
        before.backward()


def test_a_step_after_each_backward_is_as_ever() -> None:
    model = cavs.compile(Square())
    optimizer = SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        model.zero_grad()
        forward(model).backward()
        optimizer.step()
    np.testing.assert_allclose(w(model).data, 2 * 0.8**3, rtol=1e-6)


def test_nothing_is_left_of_runs_that_are_over() -> None:
    model = cavs.compile(Square())
    for _ in range(500):
        loss = forward(model)
        w(model).data.sum()
        loss.backward()
    for _ in range(500):
        forward(model)  # and no backward
    gc.collect()
    w(model).data.sum()
    assert len(_watch._pending) <= 64
    assert not _watch._registry.kept


@settings(max_examples=10)
@given(
    graphs=batches(),
    name=st.sampled_from(["ChildSumTreeLSTM", "NaryTreeLSTM", "Lattice", "EdgeInputs", "OnlyIds"]),
    options=st.sampled_from([{}, {"passes": ()}, {"policy": "serial"}, {"executor": "reference"}]),
)
def test_inputs_and_outputs_may_be_written(
    graphs: cavs.GraphBatch, name: str, options: dict[str, Any]
) -> None:
    """A call keeps what its backward needs of them, tensors and arrays, ids and labels."""
    model = compiled(name, **options)
    given_inputs = draw_inputs(model, graphs)

    def gradients(write: bool) -> list[np.ndarray]:
        inputs: dict[str, Any] = {k: x.copy() for k, x in given_inputs.items()}
        tensors = {k: cavs.tensor(x, requires_grad=x.dtype.kind == "f") for k, x in inputs.items()}
        half = {k: tensors[k] if n % 2 else x for n, (k, x) in enumerate(sorted(inputs.items()))}
        model.zero_grad()
        model.set_random_state({"seed": 1, "step": 5})
        out = model(graphs, **half)
        cotangents = draw_cotangents(out)
        loss = Tensor(np.zeros(()))
        for name, y in out.items():
            loss = loss + (y * cotangents[name]).sum()
        if write:
            for x in [*inputs.values(), *(y.data for y in out.values())]:
                x[...] = 1
        loss.backward()
        found = [p.grad for p in model.parameters()] + [x.grad for x in tensors.values()]
        return [np.zeros(1) if g is None else np.asarray(g) for g in found]

    for expected, got in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_inference_sees_writes_through_shared_memory() -> None:
    """A tensor that shared a parameter's memory and is gone leaves no result behind."""
    model = cavs.compile(Square()).eval()
    shared: list[Callable[[], Tensor]] = [
        lambda: w(model).detach(),
        lambda: w(model).reshape(3, 1),
        lambda: w(model)[0:3],
        lambda: ops.stop_gradient(w(model)),
    ]
    with no_grad():
        for number, share in enumerate(shared, 1):
            forward(model)
            other = share()
            forward(model)
            other.data[...] = number
            del other
            assert float(forward(model)) == 3 * number**2


def test_arrays_that_come_later_are_watched() -> None:
    a, b, c = np.ones(2), np.ones(3), np.ones(4)
    watch = _watch.Watch([a])
    watch.add([b])
    _watch.give_out(a, b)  # from here on copies are kept
    watch.add([c])
    assert watch.first_changed() == -1
    _watch.give_out(c)
    c[0] = 2.0
    assert watch.first_changed() == 2
    b[0] = 2.0
    assert watch.first_changed() == 1
