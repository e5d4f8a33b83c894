"""Products leave out the id -1."""

from __future__ import annotations

import numpy as np
from pass_checks import Function, programs

import cavs
from cavs.core.passes import PASSES
from cavs.core.program import Program


def products(program: Program) -> dict[str, list[bool]]:
    """Rows to whether each product over them leaves out the id -1."""
    found: dict[str, list[bool]] = {}
    for segment in program.segments:
        for i in segment.instructions:
            if "matmul" in i.kernel:
                ids = any(program.values[n].dtype == "int32" for n in i.inputs)
                found.setdefault(str(i.space), []).append(ids)
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


def test_what_no_input_gives_is_no_product() -> None:
    class Sum(Function):
        def __init__(self) -> None:
            super().__init__(lambda s, v: v.push(y=s.w(s.table(v.pull("word", dtype="int32")))))

    function = Sum()
    graphs = cavs.batch([cavs.InputGraph([[], []])])
    function.w.weight.data[...] = np.inf
    y = cavs.compile(function)(graphs, word=np.array([-1, -1], np.int32))["y"]
    np.testing.assert_array_equal(y.data, np.broadcast_to(function.w.bias.data, (2, 3)))
