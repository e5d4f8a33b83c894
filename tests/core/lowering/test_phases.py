"""What the levels need not do stands before or after them."""

from __future__ import annotations

from pass_checks import WITHOUT_LEAVES, instructions, programs

from cavs.core.passes import PASSES
from cavs.core.program import SegmentKind

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


def test_without_gather_there_are_no_levels() -> None:
    for name in ("NoGather", "OnlyIds"):
        forward, backward = programs(name, PASSES)
        assert not [s for s in (*forward.segments, *backward.segments) if s.kind is LEVELS]
    hoisted, _ = programs("HoistedState", WITHOUT_LEAVES)
    assert instructions(hoisted, SegmentKind.ROWS).count("matmul") == 2
