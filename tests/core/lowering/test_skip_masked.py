"""Products leave out edges that a mask leaves out."""

from __future__ import annotations

from typing import Any

import vertex_functions
from pass_checks import programs, simplified

import cavs
from cavs import ops
from cavs.core.compiler import Compiler
from cavs.core.ir import ancestors
from cavs.core.lowering.skip_masked import skip_masked
from cavs.core.lowering.zeros import RowIds
from cavs.core.passes import PASSES
from cavs.core.program import Program, Table, TableKind


def masked_products(*programs: Program) -> list[str]:
    kernels = [i.kernel for p in programs for s in p.segments for i in s.instructions]
    return [kernel for kernel in kernels if kernel.endswith("_masked")]


def test_products_leave_out_edges_that_a_mask_leaves_out() -> None:
    forward, backward = programs("Masked", PASSES)
    assert masked_products(forward) == ["matmul_masked"] * 2
    assert masked_products(backward) == ["matmul_masked"] * 2 + ["matmul_reduce_masked"] * 2
    # Read where the children have them, and not computed by all of these instead.
    (first, _) = [i for s in forward.segments for i in s.instructions if "masked" in i.kernel]
    assert first.tables[0] == Table(TableKind.CHILD)
    plain = programs("Masked", tuple(p for p in PASSES if p != "skip_masked"))
    assert masked_products(*plain) == []
    # What the mask's own gradient reads is computed for all edges.
    compiler = Compiler(vertex_functions.make_function("Masked"), PASSES)
    assert masked_products(compiler.training(["mask"])) == []
    assert masked_products(compiler.inference()) == ["matmul_masked"] * 2


def test_a_mask_leaves_out_nothing_that_is_read_beside_it() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        mask, h = v.pull_edge("mask"), v.gather(h=3).h
        y, z = ops.tanh(s.u(h)), s.w(h)
        v.scatter(h=(mask * y).sum() + y.max() + (mask * mask * z).sum())
        v.push(h=h)

    function = simplified(body)
    products = [n for n in ancestors(function.roots()) if n.op.name == "matmul"]
    assert [n.inputs[1].attrs["parameter"].shape for n in products] == [(3, 3)] * 2

    # Nor what a softmax over the children reads at one edge for another.
    def beside(s: Any, v: cavs.Vertex) -> None:
        h = v.gather(h=3).h
        v.scatter(h=(v.pull_edge("mask") * s.u(h).softmax()).sum())
        v.push(h=h)

    assert not skip_masked(simplified(beside).roots(), RowIds())
    left_out = skip_masked(function.roots(), RowIds())
    assert len(left_out) == 1
    (product,) = left_out
    assert product is products[1]
