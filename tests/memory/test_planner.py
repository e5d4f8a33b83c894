"""Properties that every plan has, and how good it is on the shape that networks have."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.errors import InputError
from cavs.memory import Lifetime, Plan, plan


def aligned(nbytes: int) -> int:
    return -(-nbytes // 64) * 64


@st.composite
def lifetimes(draw: st.DrawFn) -> Lifetime:
    first = draw(st.integers(0, 12))
    return Lifetime(draw(st.integers(0, 5000)), first, first + draw(st.integers(-1, 6)))


def check_apart(values: list[Lifetime], result: Plan) -> None:
    placed = [
        (v, o)
        for v, o in zip(values, result.offsets, strict=True)
        if v.last >= v.first and v.nbytes
    ]
    for value, offset in placed:
        assert offset % 64 == 0
        assert offset + value.nbytes <= result.total
    for (a, at), (b, bt) in combinations(placed, 2):
        together = a.first <= b.last and b.first <= a.last
        assert not together or at + a.nbytes <= bt or bt + b.nbytes <= at


@given(st.lists(lifetimes(), max_size=40))
def test_values_alive_together_share_nothing(values: list[Lifetime]) -> None:
    result = plan(values)
    check_apart(values, result)
    alive = [v for v in values if v.last >= v.first]
    assert result.total <= sum(aligned(v.nbytes) for v in alive)
    for step in range(20):
        assert result.total >= sum(aligned(v.nbytes) for v in alive if v.first <= step <= v.last)


@given(st.lists(lifetimes(), max_size=20), st.lists(lifetimes(), max_size=20))
def test_placed_values_stay(before: list[Lifetime], after: list[Lifetime]) -> None:
    fixed = [
        Lifetime(v.nbytes, v.first, v.last, offset)
        for v, offset in zip(before, plan(before).offsets, strict=True)
    ]
    values = fixed + after
    result = plan(values)
    assert result.offsets[: len(fixed)] == tuple(v.offset for v in fixed)
    check_apart(values, result)


def test_chain_needs_two_buffers() -> None:
    values = [Lifetime(1000, step, step + 1) for step in range(50)]
    assert plan(values).total == 2 * aligned(1000)


def test_nothing() -> None:
    assert plan([]) == Plan((), 0)


def test_negative_size() -> None:
    with pytest.raises(InputError, match="got -1 for value 0"):
        plan([Lifetime(-1, 0, 0)])


def test_what_is_alive_when_most_is_chooses_first() -> None:
    # Taken by size, the value of the last two steps fills the hole of 6 at the start, which the two
    # of 3 need at step 2, when most is alive.
    unit = 1 << 20
    values = [
        Lifetime(6 * unit, 0, 1, 0),
        Lifetime(20 * unit, 0, 4, 6 * unit),
        Lifetime(4 * unit, 3, 4),
        Lifetime(3 * unit, 2, 3),
        Lifetime(3 * unit, 2, 3),
        Lifetime(7 * unit, 2, 2),
    ]
    result = plan(values)
    check_apart(values, result)
    assert result.total == 33 * unit
