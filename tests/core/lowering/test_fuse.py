"""Elementwise operations in groups."""

from __future__ import annotations

from pass_checks import WITHOUT_LEAVES, calls, programs

from cavs.core.attributes import Group
from cavs.core.passes import PASSES
from cavs.kernels.native_form import _registers


def test_fusing_makes_fewer_and_larger_groups() -> None:
    def groups(passes: tuple[str, ...]) -> list[int]:
        found = []
        for program in programs("ChildSumTreeLSTM", passes):
            found += [n for i in program.instructions() if (n := len(calls(i)))]
        return found

    fused, single = groups(WITHOUT_LEAVES), groups(("simplify", "unique_pulls", "hoist", "defer"))
    assert set(single) == {1}
    assert sum(fused) == sum(single)
    assert len(fused) < len(single) / 2


def test_groups_reuse_registers() -> None:
    forward, _ = programs("Elementwise", PASSES)
    group = max(forward.instructions(), key=lambda i: len(calls(i))).attributes
    assert isinstance(group, Group)
    _, registers = _registers(group)
    assert len(group.calls) > 40
    assert registers < len(group.calls)
