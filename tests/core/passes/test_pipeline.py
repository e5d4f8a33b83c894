"""The passes in order: their switches, and that each is verified after."""

from __future__ import annotations

import pytest
import vertex_functions

from cavs.core.compiler import Compiler
from cavs.core.ir import FunctionIR, Node
from cavs.core.ops._def import OPS
from cavs.core.passes import OF_FUNCTIONS, OF_GRADIENTS, PASSES, Context, run
from cavs.core.trace import trace


def test_names_stand_in_the_order_of_the_work() -> None:
    for passes in (OF_FUNCTIONS[:-1], OF_GRADIENTS[:-1]):
        places = [PASSES.index(p.__name__) for p in passes if p.__name__ in PASSES]
        assert places == sorted(places)
    for again in (OF_FUNCTIONS, OF_GRADIENTS):
        assert again[-1].__name__ == PASSES[0] == "simplify"
    of_lowering = ("skip_missing", "skip_masked", "merge_matmuls")
    assert PASSES[-len(PASSES) + PASSES.index("skip_missing") :][:3] == of_lowering
    assert PASSES[-2:] == ("fuse", "stream")


def test_a_pass_runs_where_its_switch_is_on_and_is_verified() -> None:
    ran = []

    def simplify(function: FunctionIR, context: Context) -> FunctionIR:
        ran.append("simplify")
        return function

    def fuse(function: FunctionIR, context: Context) -> FunctionIR:
        (name, node), *_ = function.pushes.items()
        wrong = Node(OPS["tanh"], (node,), {}, (*node.shape, 7), node.space)
        return FunctionIR(function.scatters, {name: wrong})

    function = trace(vertex_functions.make_function("Elementwise")).function
    assert run((simplify, fuse), function, Context(["simplify"])) is function
    assert run((simplify,), function, Context()) is function
    assert ran == ["simplify"]
    with pytest.raises(AssertionError, match="after fuse"):
        run((simplify, fuse), function, Context(["fuse"]))


def test_a_gradient_is_made_once_as_long_as_the_same_parameters_learn() -> None:
    function = vertex_functions.make_function("ChildSumTreeLSTM")
    compiler = Compiler(function)
    first = compiler.gradient(["loss"], ())
    assert compiler.gradient(iter(["loss"]), []) is first
    parameter = function.parameters()[0]
    parameter.requires_grad = False
    frozen = compiler.gradient(["loss"], ())
    assert frozen is not first
    assert len(frozen.params) == len(first.params) - 1
    parameter.requires_grad = True
    assert compiler.gradient(["loss"], ()) is first
