"""What rows of the ops table say of operations, against their references."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from ops_cases import CASES, OpCase

from cavs.core.ops import OPS
from cavs.core.ops._def import Between, OpDef, Operand, apply
from cavs.core.ops._spaces import SpaceKind, Unique, join_spaces, rows_of_parents
from cavs.tensor import Tensor

ROWS = 3
WORD = Unique(("word",), SpaceKind.VERTEX)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def cases_of(name: str) -> Any:
    """Cases of the operations of which this fact is said at all."""
    chosen = [case for case in CASES if getattr(OPS[case.op], name) not in (None, ())]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.id)


def value(case: OpCase, arrays: list[np.ndarray]) -> np.ndarray:
    op = OPS[case.op]
    assert op.reference is not None
    with np.errstate(all="ignore"):
        return np.asarray(op.reference(np, *arrays, **case.attrs))


@each_case
def test_operands_are_what_the_row_says(case: OpCase) -> None:
    op = OPS[case.op]
    for position, x in enumerate(case.operands):
        kind = op.operand(position)
        assert kind is not Operand.EITHER or op.moves
        assert (kind is Operand.IDS) == (x.ids is not None)
    ids = [position for position, x in enumerate(case.operands) if x.ids is not None]
    assert op.ids == (ids[0] if ids else None)
    if op.ids_within is not None:
        assert op.ids is not None
        count = op.count_of_ids(case.operands[0].shape, case.attrs)
        assert count == case.operands[op.ids].ids
    if op.ranks is not None:
        assert len(op.ranks) == op.arity
        for rank, x in zip(op.ranks, case.operands, strict=True):
            assert rank == len(x.shape) or (x.shared and rank is None)  # a table has no rows


@cases_of("zero_with")
def test_zero_with_an_operand(case: OpCase) -> None:
    op = OPS[case.op]
    for position in op.zero_with:
        arrays = case.arrays(np.float64, ROWS)
        finite = [
            x if x.dtype == np.int32 else np.nan_to_num(x, posinf=3, neginf=-3) for x in arrays
        ]
        finite[position] = np.zeros_like(finite[position])
        assert not value(case, finite).any(), position


@cases_of("zero_without")
def test_zero_without_ids(case: OpCase) -> None:
    position = OPS[case.op].zero_without
    assert position is not None
    arrays = case.arrays(np.float64, ROWS)
    arrays[position] = np.full_like(arrays[position], -1)
    assert not value(case, arrays).any()


@each_case
def test_operands_without_a_gradient(case: OpCase) -> None:
    """A result wants a gradient exactly where its operation hands one to an operand that does."""
    op = OPS[case.op]
    if op.vjp is None:
        return
    arrays = case.arrays(np.float64)
    xs = [Tensor(array) for array in arrays]
    found = op.vjp(Tensor(value(case, arrays)), Tensor(value(case, arrays)), *xs, **case.attrs)
    floats = {i for i, x in enumerate(case.operands) if x.ids is None}
    assert floats & {i for i, dx in enumerate(found) if dx is None} == set(op.constant_in)
    for i in floats:
        xs = [Tensor(array, requires_grad=i == k) for k, array in enumerate(arrays)]
        assert apply(op, *xs, **case.attrs).requires_grad == (i not in op.constant_in)


NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0)


@each_case
def test_what_an_operation_of_constants_is(case: OpCase) -> None:
    """Of a number throughout each operand the result is the one that the row says, or not known."""
    op = OPS[case.op]
    if any(x.ids is not None for x in case.operands) or len(case.operands) > 3:
        return
    shapes = [x.shape for x in case.operands]
    out = op.infer(*shapes, **case.attrs)
    for numbers in product(NUMBERS, repeat=len(shapes)):
        known = op.constant(numbers, shapes, out)
        y = value(case, [np.full(s, n) for s, n in zip(shapes, numbers, strict=True)])
        if known is not None:
            np.testing.assert_allclose(y, np.full(out, known), rtol=1e-12)
        elif op.moves:
            assert len(np.unique(y)) > 1  # of several numbers
        else:
            assert not op.elementwise


@pytest.mark.parametrize(
    "op", [op for op in OPS.values() if op.elementwise], ids=lambda op: op.name
)
def test_an_operand_that_the_result_equals(op: OpDef) -> None:
    assert op.reference is not None
    rng = np.random.default_rng(0)
    for known in product((*NUMBERS, None), repeat=op.arity):
        same = op.equals(known)
        arrays = [rng.normal(size=7) if n is None else np.full(7, n) for n in known]
        if same is not None:
            np.testing.assert_array_equal(op.reference(np, *arrays), arrays[same])
    if op.name in ("add", "sub", "mul", "div"):
        neutral = 0.0 if op.name in ("add", "sub") else 1.0
        assert op.equals([None, neutral]) == 0
        assert op.equals([neutral, None]) == (1 if op.name in ("add", "mul") else None)


@each_case
def test_what_moves_only_moves(case: OpCase) -> None:
    op = OPS[case.op]
    if op.moves:
        arrays = case.arrays(np.float64)
        given = np.concatenate([x.ravel() for x in arrays])
        assert np.isin(value(case, arrays), given).all()
        assert (
            op.count_flops(
                [x.shape for x in case.operands],
                op.infer(*[x.shape for x in case.operands], **case.attrs),
                case.attrs,
            )
            == 0
        )


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_facts_fit_each_other(op: OpDef) -> None:
    assert not (op.elementwise and (op.moves or op.is_index_load or op.reduces or op.repeats))
    assert not (op.is_sum and op.reduces is None)
    assert not (op.drops and 0 not in op.zero_with)
    assert op.arity != 0 or op.is_source
    assert all(0 <= i < max(op.arity, 1) for i in op.zero_with)
    assert (op.space is rows_of_parents) <= (op.without_children is not None)
    if op.operand_space is SpaceKind.EDGE:
        assert op.reduces is Between.CHILDREN or op.mixes_edges
    if op.repeats is not None and op.is_index_load:
        assert op.operands == (Operand.EITHER,)
    if op.reduces is Between.ALL:
        assert op.space([SpaceKind.EDGE], {}, SpaceKind.INNER) == SpaceKind.NONE


@pytest.mark.parametrize("parents", [SpaceKind.VERTEX, SpaceKind.INNER])
def test_rows_of_results(parents: SpaceKind) -> None:
    attrs = {"rows": WORD, "base": SpaceKind.LEAF}
    for name in ("segment_sum", "segment_max", "segment_logsumexp", "num_children"):
        assert OPS[name].space([SpaceKind.EDGE], {}, parents) == parents
    assert OPS["expand"].space([WORD], attrs, parents) == SpaceKind.LEAF
    assert OPS["unique_sum"].space([SpaceKind.LEAF], attrs, parents) == WORD
    to = {"to": SpaceKind.EDGE}
    assert OPS["spread"].space([parents], to, parents) == SpaceKind.EDGE
    assert OPS["graph_sum"].space([SpaceKind.VERTEX], {}, parents) == SpaceKind.GRAPH
    spaces = [SpaceKind.NONE, SpaceKind.GRAPH, SpaceKind.VERTEX, SpaceKind.EDGE]
    for k, finest in enumerate(spaces):
        for other in spaces[: k + 1]:
            assert OPS["add"].space([other, finest], {}, parents) == finest
            assert join_spaces([finest, other, SpaceKind.NONE]) == finest
    assert join_spaces([SpaceKind.LEAF, SpaceKind.VERTEX]) == SpaceKind.LEAF
