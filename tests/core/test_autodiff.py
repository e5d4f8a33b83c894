"""The gradient as IR: what it gives for states, parameters and inputs, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.core.autodiff import Gradient, differentiate
from cavs.core.compiler import Compiler
from cavs.core.ir import FunctionIR, Node, ancestors
from cavs.core.ops import OPS
from cavs.core.ops._def import OpDef, apply
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.structure import PULL, PUSH_COTANGENT
from cavs.core.program import OutputKind
from cavs.core.trace import trace
from cavs.errors import TraceError

Forward = Callable[[Any, cavs.Vertex], None]


def function_of(forward: Forward) -> FunctionIR:
    class Function(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Linear(3, 3, bias=False)
            self.table = nn.Embedding(5, 3)

        def forward(self, v: cavs.Vertex) -> None:
            forward(self, v)

    return trace(Function()).function


def gradient_of(forward: Forward, pushes: str = "y", inputs: str = "") -> Gradient:
    rows = dict.fromkeys(inputs.split(), SpaceKind.VERTEX)
    return differentiate(function_of(forward), pushes.split(), rows)


def names(gradient: Gradient) -> list[str]:
    return [node.op.name for node in ancestors(gradient.roots())]


def recurrent(self: Any, v: cavs.Vertex) -> None:
    h = ops.tanh(self.w(v.gather(h=3).h).sum() + v.pull("x", 3))
    v.scatter(h=h)
    v.push(y=h, z=ops.sum(h))


def test_gathered_states_get_cotangents_on_edges_and_scattered_ones_their_sum() -> None:
    gradient = gradient_of(recurrent)
    assert set(gradient.edges) == {"h"}
    assert (gradient.edges["h"].space, gradient.edges["h"].shape) == (SpaceKind.EDGE, (3,))
    given = [n for n in ancestors(gradient.roots()) if n.op.name == "state_cotangent"]
    assert [(n.attrs["name"], n.space, n.shape) for n in given] == [("h", SpaceKind.VERTEX, (3,))]


def test_only_pushes_with_a_cotangent_are_read() -> None:
    for pushes in ("y", "z", "y z"):
        nodes = ancestors(gradient_of(recurrent, pushes).roots())
        read = {n.attrs["name"] for n in nodes if n.op.name == "push_cotangent"}
        assert read == set(pushes.split())


def test_slots_are_put_on_edges_by_position_with_zeros_between() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        a, b = v.gather(0, h=3).h, v.gather(2, h=3).h
        v.scatter(h=self.w(a) - b)
        v.push(y=v.gather(h=3).h.sum())

    edges = gradient_of(forward).edges["h"]
    assert edges.op.name == "add"  # of all children, and of those by position
    by_slot = next(n for n in ancestors([edges]) if n.op.name == "slots_to_edges")
    assert len(by_slot.inputs) == 3
    assert by_slot.inputs[1].op.name == "constant"
    assert by_slot.inputs[1].attrs["value"] == 0.0


def test_a_state_that_reaches_no_cotangent_has_none() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        h, g = v.gather(h=3, g=3)
        v.scatter(h=self.w(h.sum()), g=ops.greater(g.sum(), 0.0))
        v.push(y=ops.sum(h.sum()))

    gradient = gradient_of(forward)
    assert set(gradient.edges) == {"h"}
    assert all(n.attrs.get("name") != "g" for n in ancestors(gradient.roots()))


def test_gradients_of_a_parameter_used_twice_are_one_node() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        v.push(y=self.w(self.w(v.pull("x", 3))))

    ((parameter, dense, sparse),) = gradient_of(forward).params
    assert parameter.shape == (3, 3)
    assert dense is not None
    assert (dense.op.name, dense.space, dense.shape, sparse) == ("add", SpaceKind.NONE, (3, 3), [])


def test_embeddings_give_rows_and_dense_use_a_matrix() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        x = self.table(v.pull("word", dtype="int32"))
        v.push(y=ops.linear(x, self.table.weight))

    ((_, dense, sparse),) = gradient_of(forward).params
    assert dense is not None
    assert [n.op.name for n in (dense, *sparse)] == ["matmul_reduce", "embedding_grad"]


def test_a_frozen_parameter_and_unwanted_inputs_cost_nothing() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        self.w.weight.requires_grad = False
        v.push(y=self.w(v.pull("x", 3)) * ops.exp(v.pull("z", 3)))

    assert gradient_of(forward).roots() == []
    wanted = gradient_of(forward, inputs="x")
    assert (wanted.params, set(wanted.inputs)) == ([], {"x"})
    assert wanted.inputs["x"].shape == (3,)
    assert "matmul_reduce" not in names(wanted)


def test_slices_that_tile_a_value_are_put_side_by_side() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        a, b, c = ops.split(self.w(v.pull("x", 3)), 3)
        v.push(y=ops.concat([c * b, a]))

    found = names(gradient_of(forward))
    assert "slice_grad" not in found
    assert found.count("concat") == 1


def test_overlapping_slices_add_up() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        x = v.pull("x", 5)
        v.push(y=x[0:3] * x[1:4] + x[0:3])

    model = cavs.compile(Forwarded(forward), dtype="float64")
    x = cavs.Tensor(np.arange(1.0, 6.0)[None], requires_grad=True)
    model(cavs.InputGraph([[]]), x=x)["y"].sum().backward()
    np.testing.assert_array_equal(x.grad, [[3.0, 5.0, 7.0, 3.0, 0.0]])


class Forwarded(cavs.VertexFunction):
    def __init__(self, forward: Forward) -> None:
        self.body = forward

    def forward(self, v: cavs.Vertex) -> None:
        self.body(self, v)


def test_the_gradient_runs_over_shared_parameters_and_rows() -> None:
    """A value without rows gets the sum over the rows that used it."""

    def forward(self: Any, v: cavs.Vertex) -> None:
        v.push(y=v.pull("x", 3) * ops.sum(self.w.weight))

    gradient = gradient_of(forward)
    reduced = [n for n in ancestors(gradient.roots()) if n.op.name == "reduce_rows"]
    assert reduced
    assert all(n.space == SpaceKind.NONE for n in reduced)


def test_operations_without_a_gradient_are_named_with_their_line() -> None:
    halved = OpDef("halved", 1, lambda shape: shape, lambda np, x: x / 2)

    def forward(self: Any, v: cavs.Vertex) -> None:
        v.push(y=apply(halved, self.w(v.pull("x", 3))))

    with pytest.raises(TraceError, match=r"\[autodiff\].*halved, at .*test_auto"):
        gradient_of(forward)


def test_gradient_programs_are_made_once_and_per_set_of_outputs() -> None:
    compiler = Compiler(Forwarded(simple))
    one = compiler.backward({"y"}, {"x"})
    assert compiler.backward(["y"], ["x"]) is one
    assert compiler.backward({"y", "z"}, {"x"}) is not one
    assert [o.kind for o in one.outputs] == [OutputKind.INPUT]
    assert one.inputs == ("y",)


def simple(self: Any, v: cavs.Vertex) -> None:
    x = v.pull("x", 3)
    v.push(y=ops.tanh(x), z=ops.exp(x))


def test_saved_values_serve_any_gradient() -> None:
    """The forward program does not depend on which outputs get cotangents later."""
    compiler = Compiler(Forwarded(simple))
    forward = compiler.training({"x"})
    compiler.backward({"y"}, {"x"})
    compiler.backward({"z"}, {"x"})
    assert compiler.training({"x"}) is forward
    saved = {forward.values[n].name for n in forward.saved}
    assert saved == {"tanh", "exp"}


def sources(node: Node) -> set[str]:
    return {n.op.name for n in ancestors([node]) if not n.inputs}


def test_every_vjp_row_gives_a_cotangent_per_operand() -> None:
    for name, op in OPS.items():
        if op.vjp is None or op.arity < 1 or not op.elementwise:
            continue
        operands = [
            cavs.core.ir.source(PULL, (3,), SpaceKind.VERTEX, name=f"x{i}") for i in range(op.arity)
        ]
        y = apply(op, *operands)
        dy = cavs.core.ir.source(PUSH_COTANGENT, (3,), SpaceKind.VERTEX, name="y")
        cotangents = op.vjp(dy, y, *operands)
        assert len(cotangents) == op.arity, name
        for dx in cotangents:
            assert dx is None or (dx.shape == (3,) and "push_cotangent" in sources(dx)), name
