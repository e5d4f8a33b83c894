"""What the levels need not do stands before or after them."""

from __future__ import annotations

from pass_checks import WITHOUT_LEAVES, instructions, programs

from cavs.core.passes import PASSES


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
