"""Elementwise operations in groups."""

from __future__ import annotations

from pass_checks import WITHOUT_LEAVES, programs

from cavs.core.passes import PASSES


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
