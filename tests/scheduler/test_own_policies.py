"""Policies that are functions of the user's: what they are asked, and what they may answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_typed_schedule import (
    ReferenceTypedSchedule,
)
from typed_schedules import (
    LATTICE_LISTS,
    LATTICE_ORDER,
    LATTICE_TYPES,
    LATTICES,
    NAMES,
    POLICIES,
    Case,
    assert_equal,
    assert_same,
    cases,
    lattice,
    letters,
    made,
    order_of,
)

from cavs.errors import InputError
from cavs.scheduler import Policy, batch


@given(case=cases(), picks=st.lists(st.integers(0, len(NAMES) - 1), min_size=1))
def test_a_policy_is_asked_with_what_is_ready_and_followed(case: Case, picks: list[int]) -> None:
    graphs, order = case

    def recording(asked: list[tuple[dict[str, int], str]]) -> Policy:
        def policy(ready: Mapping[str, int]) -> str:
            pick = picks[len(asked) % len(picks)]
            chosen = sorted(ready)[pick % len(ready)]
            asked.append((dict(ready), chosen))
            return chosen

        return policy

    asked: list[tuple[dict[str, int], str]] = []
    expected: list[tuple[dict[str, int], str]] = []
    schedule = made(graphs, recording(asked), order)
    reference = ReferenceTypedSchedule(graphs, recording(expected), order)
    assert asked == expected
    assert all(0 not in ready.values() for ready, _ in asked)
    assert [order.names[number] for number, *_ in schedule.batches] == [name for _, name in asked]
    assert [end - begin for _, begin, end in schedule.batches] == [r[name] for r, name in asked]
    assert_equal(schedule, reference, len(order.lists))


@pytest.mark.parametrize("wrong", ["word", "verb", "", None, 0, ["char"]], ids=repr)
def test_a_policy_that_names_no_ready_type_is_refused(wrong: Any) -> None:
    text = r"^\[policy\] expected one of the types with ready vertices, \['char'\], got .*; name"
    with pytest.raises(InputError, match=text):
        made(LATTICES, lambda ready: wrong, LATTICE_ORDER)


@pytest.mark.parametrize("name", ["word", "verb"])
def test_a_policy_that_adds_to_what_is_ready_is_refused(name: str) -> None:
    def adds(ready: Any) -> str:
        ready[name] = 1
        return name

    with pytest.raises(InputError, match=r"^\[policy\] expected .*, got"):
        made(LATTICES, adds, LATTICE_ORDER)


def test_an_error_of_a_policy_comes_through() -> None:
    def fails(ready: Mapping[str, int]) -> str:
        raise LookupError("no rule")

    with pytest.raises(LookupError, match=r"^no rule$"):
        made(LATTICES, fails, LATTICE_ORDER)


def test_a_policy_that_failed_is_asked_again() -> None:
    answers = iter(["verb"])

    def policy(ready: Mapping[str, int]) -> str:
        return next(answers, min(ready))

    graphs = batch([lattice(2)])
    with pytest.raises(InputError, match="got 'verb'"):
        made(graphs, policy, LATTICE_ORDER)
    assert letters(made(graphs, policy, LATTICE_ORDER)) == "cc"


def test_a_policy_may_be_an_object_without_a_hash() -> None:
    @dataclass
    class Last:  # `==` of its own takes its hash away
        asked: int = 0

        def __call__(self, ready: Mapping[str, int]) -> str:
            self.asked += 1
            return max(ready)

    policy = Last()
    assert letters(made(batch([lattice(3, ((0, 2),))]), policy, LATTICE_ORDER)) == "cwcc"
    assert policy.asked == 4


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(InputError, match=r"^\[schedule\] expected policy depth, .*, got 'magic'"):
        made(LATTICES, "magic", LATTICE_ORDER)


def test_batching_is_depth_by_its_old_name() -> None:
    assert_same(
        made(LATTICES, "batching", LATTICE_ORDER), made(LATTICES, "depth", LATTICE_ORDER), 3
    )


@pytest.mark.parametrize("policy", [*POLICIES, min], ids=str)
def test_the_schedule_is_kept_by_policy_and_order(policy: Any) -> None:
    graphs = batch([lattice(2)])
    schedule = made(graphs, policy, LATTICE_ORDER)
    assert made(graphs, policy, order_of(*LATTICE_TYPES, lists=LATTICE_LISTS)) is schedule
    assert made(graphs, policy, order_of(*LATTICE_TYPES)) is not schedule
    assert made(graphs, max, LATTICE_ORDER) is not schedule
    assert graphs.schedule(policy) is not schedule
