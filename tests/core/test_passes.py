"""What each pass does to the IR and to programs; that it changes no result stands in
tests/test_executor.py."""

from __future__ import annotations

import operator
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import vertex_functions

import cavs
from cavs import models, nn, ops
from cavs.core import ir
from cavs.core.compiler import Compiler
from cavs.core.ir import FunctionIR, Node, ancestors
from cavs.core.passes import (
    PASSES,
    Simplifier,
    commute_gather,
    skip_masked,
    specialize_leaves,
    unique_pulls,
)
from cavs.core.program import Program
from cavs.core.trace import trace
from cavs.errors import InputError

WITHOUT_LEAVES = tuple(p for p in PASSES if p != "specialize_leaves")


class Function(cavs.VertexFunction):
    def __init__(self, body: Callable[[Any, cavs.Vertex], None]) -> None:
        self.body = body
        self.table, self.w, self.u = nn.Embedding(5, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        self.body(self, v)


def simplified(body: Callable[[Any, cavs.Vertex], None]) -> FunctionIR:
    function = trace(Function(body)).function
    return function.map(Simplifier().run(function.roots()))


def operations(function: FunctionIR) -> list[str]:
    return [n.op.name for n in ancestors(function.roots()) if n.inputs]


def x3(v: cavs.Vertex) -> Any:
    return v.pull("x", 3)


def test_equal_computations_become_one() -> None:
    function = simplified(lambda s, v: v.push(a=ops.tanh(s.w(x3(v))), b=ops.tanh(s.w(x3(v))) * 2.0))
    assert operations(function).count("matmul") == 1
    assert operations(function).count("tanh") == 1


def test_dropouts_stay_apart() -> None:
    function = simplified(lambda s, v: v.push(a=ops.dropout(x3(v), 0.5), b=ops.dropout(x3(v), 0.5)))
    assert function.pushes["a"] is not function.pushes["b"]


@pytest.mark.parametrize(
    "neutral",
    [
        lambda x: x + 0.0,
        lambda x: 0.0 + x,
        lambda x: x - 0.0,
        lambda x: x * 1.0,
        lambda x: 1.0 * x,
        lambda x: x / 1.0,
        lambda x: operator.neg(operator.neg(x)),
        lambda x: ops.reshape(ops.reshape(x, (3, 1)), 3),
        lambda x: ops.concat([x]),
    ],
)
def test_neutral_operations_go(neutral: Callable[[Any], Any]) -> None:
    function = simplified(lambda s, v: v.push(y=neutral(x3(v))))
    assert operations(function) == []


def test_what_only_looks_neutral_stays() -> None:
    function = simplified(lambda s, v: v.push(a=0.0 - x3(v), b=v.pull("s") + 0.0 * x3(v)))
    assert function.pushes["a"].op.name == "sub"
    assert function.pushes["b"].shape == (3,)


def test_slices_move_onto_operands_where_nothing_else_reads_the_whole() -> None:
    function = simplified(
        lambda s, v: v.push(**dict(zip("abc", ops.split(s.w(x3(v)) + x3(v), 3), strict=True)))
    )
    assert all(function.pushes[k].op.name == "add" for k in "abc")
    assert all(function.pushes[k].shape == (1,) for k in "abc")

    def whole(self: Any, v: cavs.Vertex) -> None:
        y = ops.tanh(x3(v))
        v.push(y=y, part=y[1:3])

    assert simplified(whole).pushes["part"].op.name == "slice"


def test_slices_of_slices_and_of_concatenations() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        x = x3(v)
        v.push(a=x[1:3][1:2], b=ops.concat([x, ops.tanh(x)])[4:6])

    pushes = simplified(body).pushes
    assert pushes["a"].attrs == {"start": 2, "stop": 3}
    assert pushes["b"].attrs == {"start": 1, "stop": 3}
    assert pushes["b"].inputs[0].op.name == "tanh"  # of which the concatenation needs the whole


def test_reshapes_move_onto_operands_where_nothing_else_reads_the_whole() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        m = ops.reshape(x3(v), (1, 3))
        whole = ops.tanh(m)
        v.push(y=ops.reshape(ops.exp(m * m + 1.0), 3), z=ops.reshape(whole, 3), whole=whole)

    pushes = simplified(body).pushes
    assert operations(FunctionIR({}, {"y": pushes["y"]})) == ["mul", "add", "exp"]
    assert pushes["z"].op.name == "reshape"


def test_what_depends_on_ids_alone_moves_to_distinct_ids() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        projected = ops.tanh(self.w(self.table(v.pull("word", dtype="int32"))))
        h = v.gather(h=3).h.sum()
        v.scatter(h=projected + h)
        v.push(y=projected * x3(v))

    function = unique_pulls(trace(Function(body)).function)
    spaces = {n.op.name: n.space for n in ancestors(function.roots()) if n.inputs}
    assert spaces["embedding"] == spaces["matmul"] == spaces["tanh"] == "unique:word"
    assert spaces["expand"] == spaces["mul"] == "vertex"


def test_what_depends_on_more_than_one_pull_or_on_chance_stays() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        word, tag = (self.table(v.pull(k, dtype="int32")) for k in ("word", "tag"))
        v.push(y=self.w(word * tag), z=ops.dropout(self.u(word), 0.5))

    function = unique_pulls(trace(Function(body)).function)
    for node in ancestors(function.roots()):
        if node.op.name in ("mul", "dropout"):
            assert node.space == "vertex"
        if node.op.name == "embedding":
            assert node.space.startswith("unique:")


def programs(name: str, passes: tuple[str, ...]) -> tuple[Program, Program]:
    compiler = Compiler(vertex_functions.make_function(name), passes)
    return compiler.training(()), compiler.backward(compiler.function.pushes, ())


def instructions(program: Program, kind: str = "") -> list[str]:
    return [i.kernel for s in program.segments for i in s.instructions if kind in ("", s.kind)]


def test_phases_leave_to_the_levels_what_only_they_can_do() -> None:
    forward, backward = programs("ChildSumTreeLSTM", PASSES)
    assert instructions(forward, "levels").count("matmul") == 2  # u_iou, u_f
    assert "cross_entropy" not in instructions(forward, "levels")
    assert "matmul_reduce" not in instructions(backward, "levels")
    assert sum(s.kind == "levels" for s in (*forward.segments, *backward.segments)) == 2
    plain, _ = programs("ChildSumTreeLSTM", ())
    assert instructions(plain, "levels").count("matmul") == 5
    assert "cross_entropy" in instructions(plain, "levels")


def test_without_gather_there_are_no_levels() -> None:
    for name in ("NoGather", "OnlyIds"):
        forward, backward = programs(name, PASSES)
        assert not [s for s in (*forward.segments, *backward.segments) if s.kind == "levels"]
    hoisted, _ = programs("HoistedState", WITHOUT_LEAVES)
    assert instructions(hoisted, "rows").count("matmul") == 2


def test_leaves_multiply_no_zeros() -> None:
    forward, backward = programs("ChildSumTreeLSTM", PASSES)
    of_leaves = [
        i
        for s in (*forward.segments, *backward.segments)
        for i in s.instructions
        if i.space in ("leaf", "unique:word@leaf") and i.kernel == "matmul"
    ]
    # The projection of the word, the classifier and U_f for the parents, each forward and
    # backward; no U_iou.
    assert len(of_leaves) == 6
    assert all(i.space == "unique:word@leaf" for i in of_leaves)
    reduced = [i.space for s in backward.segments for i in s.instructions if "reduce" in i.kernel]
    assert not {"vertex", "leaf"} & set(reduced)


def test_the_whole_cell_of_a_leaf_runs_per_distinct_word() -> None:
    forward, _ = programs("ChildSumTreeLSTM", PASSES)
    (cell,) = [
        i
        for s in forward.segments
        for i in s.instructions
        if i.space == "unique:word@leaf" and any(op == "tanh" for op, _, _ in i.ops)
    ]
    assert [op for op, _, _ in cell.ops].count("sigmoid") == 2
    over_leaves = [i for s in forward.segments for i in s.instructions if i.space == "leaf"]
    assert {i.kernel for i in over_leaves} <= {"take", "load", "cross_entropy", "store", "fused"}


@pytest.mark.parametrize("name", ["NoGather", "GraphInputs"])
def test_leaves_are_not_told_apart_where_that_cannot_be(name: str) -> None:
    forward, _ = programs(name, PASSES)
    assert not any(i.space in ("leaf", "inner") for s in forward.segments for i in s.instructions)


def test_zeros_are_propagated() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        h = v.gather(h=3).h
        first = v.gather(0, h=3).h
        gate = ops.sigmoid(s.u(h.sum() + first * 2.0))  # of a leaf: a function of a parameter alone
        v.scatter(h=gate * x3(v) + ops.concat([h.max()[:1], first[1:]]))
        v.push(y=h.mean() * s.w(x3(v)))

    function = specialize_leaves(simplified(body))
    (h_leaf, _), (y_leaf, _) = function.scatters["h"].inputs, function.pushes["y"].inputs
    assert not any(n.op.name in ("matmul", "gather") for n in ancestors([h_leaf, y_leaf]))
    assert y_leaf.inputs[0].attrs["value"] == 0.0


def tables(program: Program) -> set[str]:
    return {t for s in program.segments for i in s.instructions for t in i.tables}


def test_cotangents_are_read_where_the_parents_have_them() -> None:
    def backward_of(function: cavs.VertexFunction, passes: tuple[str, ...]) -> Program:
        return Compiler(function, passes).backward(["loss"], ())

    functions = models.DAGRNN(3, 4, 2), models.TreeFC(5, 3, 4, 2), models.MVRNN(5, 3, 2)
    expected = "parent_rows", "parent_rows:2", "parent_rows:2"
    for function, table in zip(functions, expected, strict=True):
        backward = backward_of(function, PASSES)
        assert table in tables(backward)
        assert "parents" not in tables(backward)
        assert not any(i.space == "edge" for s in backward.segments for i in s.instructions)
        plain = backward_of(function, tuple(p for p in PASSES if p != "read_parents"))
        assert "parents" in tables(plain)
    _, backward = programs("ManySlots", PASSES)  # some of positions, some of all children
    assert "parents" in tables(backward)


def test_what_stands_together_already_is_no_concatenation() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        a, b, c = ops.split(x3(v), 3)
        v.push(whole=ops.concat([a, b, c]), part=ops.concat([a, b]), turned=ops.concat([b, c, a]))

    pushes = simplified(body).pushes
    assert pushes["whole"].op.name == "pull"
    assert pushes["part"].op.name == pushes["turned"].op.name == "concat"


def commuted(body: Callable[[Any, cavs.Vertex], None]) -> FunctionIR:
    return commute_gather(simplified(body))


def spaces_of_products(function: FunctionIR) -> list[str]:
    return [n.space for n in ancestors(function.roots()) if n.op.name == "matmul"]


def test_functions_of_a_childs_state_are_computed_by_the_child() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        h = v.gather(h=3).h
        hidden = ops.tanh(s.u(h))  # the last value of the child alone is what is gathered
        deep = s.w(hidden)
        v.scatter(h=ops.tanh(x3(v) + (deep * v.pull_edge("gate", 3)).sum()))
        v.push(e=hidden)

    function = commuted(body)
    assert set(function.scatters) == {"h@1", "h@2"}  # nobody gathers h any more
    assert spaces_of_products(function) == ["vertex", "vertex"]
    assert function.pushes["e"].op.name == "gather"


def test_new_states_have_names_of_their_own() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        children = v.gather(**{"h": 3, "h@1": 3})
        h, other = children
        v.scatter(**{"h": ops.tanh(s.w(h).sum() + other.sum() + x3(v)), "h@1": s.u(h).max()})
        v.push(y=h.sum())

    function = commuted(body)
    assert set(function.scatters) == {"h", "h@1", "h@2", "h@3"}


@pytest.mark.parametrize(
    "value",
    [
        lambda s, v: s.u(v.gather(0, h=3).h),  # by position: zeros where there is no child
        lambda s, v: s.u(v.gather(h=3).h * v.pull_edge("gate", 3)).sum(),
        lambda s, v: s.u(v.gather(h=3).h + x3(v)).sum(),
        lambda s, v: s.u(ops.dropout(v.gather(h=3).h, 0.5)).sum(),  # drawn for the edge
        lambda s, v: s.u(v.gather(h=3).h.softmax()).sum(),
        lambda s, v: ops.tanh(v.gather(h=3).h * s.u.bias).sum(),  # no product to save
        lambda s, v: (s.table(v.pull_edge("word", dtype="int32")) + v.gather(h=3).h).sum(),
    ],
)
def test_other_functions_stay_on_the_edges(value: Callable[[Any, cavs.Vertex], Any]) -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        v.scatter(h=ops.tanh(x3(v)))
        v.push(y=value(s, v))

    before = simplified(body)
    assert commute_gather(before) is before


def test_commuting_must_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products that make long rows of short ones stay: what they save is less than what gathering
    such rows costs."""

    class Wide(cavs.VertexFunction):
        def __init__(self, size: int) -> None:
            self.size, self.u = size, nn.Linear(size, 64)

        def forward(self, v: cavs.Vertex) -> None:
            h = v.gather(h=self.size).h
            v.scatter(h=v.pull("x", self.size) + h.sum())
            v.push(y=(ops.tanh(self.u(h)) * v.pull_edge("gate", 64)).sum())

    monkeypatch.setattr(import_module("cavs.core.passes.commute_gather"), "WORTH", 16)
    for size, paying in ((7, False), (8, True)):
        function = commute_gather(trace(Wide(size)).function)
        assert spaces_of_products(function) == (["vertex"] if paying else ["edge"])


def test_wide_values_are_gathered_before_they_are_made() -> None:
    """The outer product of U h with itself is made on the edge, of U h gathered."""

    def body(s: Any, v: cavs.Vertex) -> None:
        column, row = (ops.reshape(s.u(v.gather(h=3).h), shape) for shape in ((3, 1), (1, 3)))
        v.scatter(h=x3(v))
        v.push(y=(ops.matmul(column, row) * v.pull_edge("m", (3, 3))).sum())

    function = commuted(body)
    assert spaces_of_products(function) == ["vertex", "edge"]
    assert function.scatters["h@1"].size == 3


def flops(program: Program, rows: dict[str, int]) -> int:
    return sum(i.flops * rows[i.space] for s in program.segments for i in s.instructions)


def test_commuting_leaves_no_product_and_no_copy_on_the_edges() -> None:
    without = tuple(p for p in PASSES if p != "commute_gather")
    # A batch of binary trees with as many leaves as others, three leaves to a word.
    rows = {"vertex": 120, "edge": 118, "none": 1, "leaf": 60, "inner": 60}
    rows |= {"unique:word@leaf": 20, "unique:word@inner": 1}
    names = ("ChildSumTreeLSTM", "WideTreeLSTM")
    for name in names:
        total = 0
        for program, plain in zip(programs(name, PASSES), programs(name, without), strict=True):
            every = [i for s in program.segments for i in s.instructions]
            assert not [i for i in every if "matmul" in i.kernel and i.space == "edge"]
            assert not [i for i in every if any(op == "identity" for op, _, _ in i.ops)]
            total += flops(program, rows) - flops(plain, rows)
        assert total < -2 * 3 * 30 * vertex_functions.FUNCTIONS[name]().size ** 2


def test_gathered_products_are_read_through_an_index_and_not_kept() -> None:
    forward, backward = programs("Lattice", PASSES)
    takes = [i for s in forward.segments for i in s.instructions if i.kernel == "take"]
    assert not [i for i in takes if "child" in i.tables]
    product = next(
        i.outputs[0]
        for s in forward.segments
        for i in s.instructions
        if s.kind == "levels" and i.kernel == "matmul"
    )
    assert forward.values[product].role == "view"  # written among the rows of all vertices
    assert forward.values[product].base not in forward.saved
    assert not [i for s in backward.segments for i in s.instructions if product in i.inputs]


def products(program: Program) -> dict[str, list[bool]]:
    """Rows to whether each product over them leaves out the id -1."""
    found: dict[str, list[bool]] = {}
    for segment in program.segments:
        for i in segment.instructions:
            if "matmul" in i.kernel:
                ids = any(program.values[n].dtype == "int32" for n in i.inputs)
                found.setdefault(i.space, []).append(ids)
    return found


def test_products_leave_out_the_id_that_means_no_input() -> None:
    forward, backward = programs("ChildSumTreeLSTM", PASSES)
    # W_iou and W_f of a vertex without a word; of a leaf the classifier and U_f get h, not zeros.
    assert products(forward)["unique:word@inner"] == [True, True]
    assert products(forward)["unique:word@leaf"] == [True, False, False]
    # Back to the words, whose gradient has no row for -1, and to the weights.
    assert products(backward)["unique:word@inner"] == [True] * 4
    assert sorted(products(backward)["unique:word@leaf"]) == [False] * 4 + [True] * 2
    plain = programs("ChildSumTreeLSTM", tuple(p for p in PASSES if p != "skip_missing"))
    assert not any(any(found) for program in plain for found in products(program).values())


def masked_products(*programs: Program) -> list[str]:
    kernels = [i.kernel for p in programs for s in p.segments for i in s.instructions]
    return [kernel for kernel in kernels if kernel.endswith("_masked")]


def test_products_leave_out_edges_that_a_mask_leaves_out() -> None:
    forward, backward = programs("Masked", PASSES)
    assert masked_products(forward) == ["matmul_masked"] * 2
    assert masked_products(backward) == ["matmul_masked"] * 2 + ["matmul_reduce_masked"] * 2
    # Read where the children have them, and not computed by all of these instead.
    (first, _) = [i for s in forward.segments for i in s.instructions if "masked" in i.kernel]
    assert first.tables[0] == "child"
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
    left_out = skip_masked(function.roots())
    assert len(left_out) == 1
    (product,) = left_out
    assert product is products[1]


def test_what_no_input_gives_is_no_product() -> None:
    class Sum(Function):
        def __init__(self) -> None:
            super().__init__(lambda s, v: v.push(y=s.w(s.table(v.pull("word", dtype="int32")))))

    function = Sum()
    graphs = cavs.batch([cavs.InputGraph([[], []])])
    function.w.weight.data[...] = np.inf
    y = cavs.compile(function)(graphs, word=np.array([-1, -1], np.int32))["y"]
    np.testing.assert_array_equal(y.data, np.broadcast_to(function.w.bias.data, (2, 3)))


def test_sums_over_parts_of_the_rows_go_on_from_each_other() -> None:
    def additions(passes: tuple[str, ...]) -> int:
        _, backward = programs("ChildSumTreeLSTM", passes)
        return sum(i.space == "none" for s in backward.segments for i in s.instructions if i.ops)

    assert additions(PASSES) == 0
    assert additions(tuple(p for p in PASSES if p != "merge_matmuls")) > 0
    _, backward = programs("ChildSumTreeLSTM", PASSES)
    written = [n for s in backward.segments for i in s.instructions for n in i.outputs]
    several = {n for n in written if written.count(n) > 1}
    # Of leaves and of inner vertices: both of the classifier's and of W_iou's, and U_f.
    assert len(several) == 5
    assert all(backward.values[n].role == "output" for n in several)


def test_sums_that_something_else_reads_stay_apart() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        x, y = x3(v), v.pull("y", 3)
        v.push(a=s.w(x) + s.w(y), b=x * (s.u.bias + s.w.bias) + y * s.u.bias)

    backward = Compiler(Function(body)).backward(("a", "b"), ())
    # Both biases get what a sum over rows gives; the products for w's weight nobody else reads.
    assert [op for s in backward.segments for i in s.instructions for op, _, _ in i.ops] == [
        "mul",
        "mul",
        *["add"] * 3,
    ]
    calls = [i for s in backward.segments for i in s.instructions if "reduce" in i.kernel]
    several = [i.kernel for i in calls if i.outputs[0] in i.inputs]
    assert several == ["matmul_reduce"]


def test_fusing_makes_fewer_and_larger_groups() -> None:
    def groups(passes: tuple[str, ...]) -> list[int]:
        found = []
        for program in programs("ChildSumTreeLSTM", passes):
            found += [len(i.ops) for s in program.segments for i in s.instructions if i.ops]
        return found

    fused, single = groups(WITHOUT_LEAVES), groups(("simplify", "unique_pulls", "phases"))
    assert set(single) == {1}
    assert sum(fused) == sum(single)
    assert len(fused) < len(single) / 2


def test_groups_reuse_registers() -> None:
    forward, _ = programs("Elementwise", PASSES)
    largest = max((i for s in forward.segments for i in s.instructions), key=lambda i: len(i.ops))
    registers = 1 + max(d for _, d, _ in largest.ops)
    assert len(largest.ops) > 40
    assert registers < len(largest.ops)


def test_unknown_passes_are_refused() -> None:
    function = vertex_functions.make_function("NoGather")
    with pytest.raises(InputError, match=r"\[compile\] passes among .*simplify.*\['inline'\]"):
        cavs.compile(function, passes=["fuse", "inline"])


def test_the_simplifier_keeps_its_table_between_calls() -> None:
    simplifier = Simplifier()
    x = ir.source("pull", (3,), "vertex", name="x")

    def one() -> Node:
        return (x * 1.0) * x + 0.0

    first, second = one(), one()
    assert simplifier.run([first])[first] is simplifier.run([second])[second]
