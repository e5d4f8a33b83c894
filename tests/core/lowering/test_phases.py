"""What the levels need not do stands before or after them."""

from __future__ import annotations

import pytest
import vertex_functions
from pass_checks import WITHOUT_LEAVES, instructions, programs

from cavs.core.passes import PASSES
from cavs.core.program import Instruction, Program, SegmentKind

LEVELS = SegmentKind.LEVELS


def test_phases_leave_to_the_levels_what_only_they_can_do() -> None:
    forward, backward = programs("ChildSumTreeLSTM", PASSES)
    assert instructions(forward, LEVELS).count("matmul") == 2  # u_iou, u_f
    assert "cross_entropy" not in instructions(forward, LEVELS)
    assert "matmul_reduce" not in instructions(backward, LEVELS)
    assert sum(s.kind is LEVELS for s in (*forward.segments, *backward.segments)) == 2
    plain, _ = programs("ChildSumTreeLSTM", ())
    assert instructions(plain, LEVELS).count("matmul") == 5
    assert "cross_entropy" in instructions(plain, LEVELS)


def without(*names: str) -> tuple[str, ...]:
    return tuple(p for p in WITHOUT_LEAVES if p not in ("unique_pulls", *names))


def test_each_switch_takes_its_own_part_out_of_the_levels() -> None:
    """Of a tree-LSTM, products on the words (2) are hoisted, and that for the classes deferred;
    those on the children (2) stay."""
    both, hoist, defer, none = (
        programs("ChildSumTreeLSTM", passes)
        for passes in (without(), without("defer"), without("hoist"), without("hoist", "defer"))
    )
    for (forward, _), in_levels in ((both, 2), (hoist, 3), (defer, 4), (none, 5)):
        assert sum("matmul" in k for k in instructions(forward, LEVELS)) == in_levels
    for (forward, _), by_level in ((both, False), (hoist, True), (defer, False), (none, True)):
        assert ("cross_entropy" in instructions(forward, LEVELS)) == by_level
    for (forward, _), by_level in ((both, False), (hoist, False), (defer, True), (none, True)):
        assert ("embedding" in instructions(forward, LEVELS)) == by_level
    # A program has what a pass moves once, wherever it stands.
    kernels = [sorted(instructions(forward)) for forward, _ in (both, hoist, defer, none)]
    assert len({tuple(k for k in found if k != "fused") for found in kernels}) == 1


@pytest.mark.parametrize("name", sorted(vertex_functions.FUNCTIONS))
def test_more_switches_leave_no_more_to_the_levels(name: str) -> None:
    def in_levels(passes: tuple[str, ...]) -> int:
        return sum(i.flops for p in programs(name, passes) for i in of_levels(p))

    def of_levels(program: Program) -> list[Instruction]:
        return [i for s in program.segments if s.kind is LEVELS for i in s.instructions]

    # Attention within levels, which computes scores again in backward, needs both.
    off = "fuse_attention"
    alone = [in_levels(without(name, off)) for name in ("hoist", "defer")]
    assert in_levels(without(off)) <= min(alone)
    assert max(alone) <= in_levels(without("hoist", "defer", off))


def test_gradients_of_parameters_are_summed_level_by_level_without_defer() -> None:
    """The baseline of lazy batching: one product for each level instead of one for all rows."""
    for passes in (without("defer"), without("hoist", "defer"), ()):
        _, backward = programs("ChildSumTreeLSTM", passes)
        place = next(n for n, s in enumerate(backward.segments) if s.kind is SegmentKind.SUMS)
        levels, sums = backward.segments[place - 1], backward.segments[place]
        assert (levels.kind, levels.space) == (LEVELS, sums.space)
        written = {n for i in levels.instructions for n in i.outputs}
        assert {i.kernel for i in sums.instructions} <= {
            "matmul_reduce",
            "matmul_reduce_masked",
            "reduce_rows",
        }
        before = {
            n for s in backward.segments[: place - 1] for i in s.instructions for n in i.outputs
        }
        for i in sums.instructions:
            assert i.outputs[0] in i.inputs  # goes on from what stands there
            assert i.outputs[0] in before  # which begins with something
        roots = {backward.root(n) for n in written}
        assert any(backward.root(n) in roots for i in sums.instructions for n in i.inputs)
    _, deferred = programs("ChildSumTreeLSTM", without("hoist"))
    assert SegmentKind.SUMS not in [s.kind for s in deferred.segments]


def test_without_gather_there_are_no_levels() -> None:
    for name in ("NoGather", "OnlyIds"):
        forward, backward = programs(name, PASSES)
        assert not [s for s in (*forward.segments, *backward.segments) if s.kind is LEVELS]
    hoisted, _ = programs("HoistedState", WITHOUT_LEAVES)
    assert instructions(hoisted, SegmentKind.ROWS).count("matmul") == 2
