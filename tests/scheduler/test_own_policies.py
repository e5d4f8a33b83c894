"""Policies that are functions of the user's: what they are asked, and what they may answer."""

import functools
import weakref
from collections.abc import Callable, Mapping
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
from cavs.scheduler import Policy, batch, check_policy


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


def no_argument() -> str:
    return "char"


def two_arguments(ready: Mapping[str, int], last: str) -> str:
    return last


def keyword_only(*, ready: Mapping[str, int]) -> str:
    return max(ready)


class Method:
    def choose(self, ready: Mapping[str, int], last: str) -> str:
        return last


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        (no_argument, r"\(\)"),
        (two_arguments, r"\(ready: .*, last: str\)"),
        (keyword_only, r"\(\*, ready: "),
        (Method().choose, r"\(ready: .*, last: str\)"),
        (Method, r"\(\)"),
        (lambda a, b, c=0: a, r"\(a, b, c=0\)"),
    ],
)
def test_a_policy_of_other_arguments_is_refused(wrong: Any, shown: str) -> None:
    text = (
        r"^\[policy\] expected a function of one argument, the number of ready vertices by type, "
        rf"got one of {shown}.*; give it one, as in def policy\(ready\)$"
    )
    with pytest.raises(InputError, match=text):
        made(batch([lattice(2)]), wrong, LATTICE_ORDER)
    with pytest.raises(InputError, match=text):
        check_policy(wrong, "compile")


def with_last(function: Callable[..., str]) -> Callable[..., str]:
    """A decorator that gives the second argument."""

    @functools.wraps(function)
    def policy(ready: Mapping[str, int]) -> str:
        return function(ready, max(ready))

    return policy


@pytest.mark.parametrize(
    "policy",
    [
        max,
        with_last(two_arguments),
        functools.partial(two_arguments, last="char"),
        lambda ready, *rest, other=3, **more: max(ready),
        lambda *given: max(given[0]),
    ],
)
def test_functions_that_take_one_argument_are_policies(policy: Any) -> None:
    assert letters(made(batch([lattice(2)]), policy, LATTICE_ORDER)) == "cc"


def test_a_type_error_of_a_policy_comes_through() -> None:
    def fails(ready: Mapping[str, int]) -> str:
        return no_argument(ready)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match=r"^no_argument\(\) takes 0 positional arguments but 1 was"):
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


def test_policies_that_are_gone_leave_nothing_with_the_batch() -> None:
    graphs = batch([lattice(2)])
    gone = []
    for _ in range(50):  # a new one each time, as a lambda in a call is
        policy = functools.partial(max)
        made(graphs, policy, LATTICE_ORDER)
        gone.append(weakref.ref(policy))
        del policy
    assert not any(each() for each in gone)
    assert len(graphs._own_schedules) == 1


class Held:
    """A policy to which no weak reference can be made."""

    __slots__ = ("count",)

    def __init__(self, count: list[int]) -> None:
        self.count = count
        count[0] += 1

    def __call__(self, ready: Mapping[str, int]) -> str:
        return max(ready)

    def __del__(self) -> None:
        self.count[0] -= 1


def test_of_policies_that_are_not_let_go_the_last_are_kept() -> None:
    graphs, count = batch([lattice(2)]), [0]
    for _ in range(50):
        last = Held(count)
        schedule = made(graphs, last, LATTICE_ORDER)
    assert count[0] == 16
    assert made(graphs, last, LATTICE_ORDER) is schedule
    alive = [functools.partial(max) for _ in range(50)]
    schedules = [made(graphs, each, LATTICE_ORDER) for each in alive]
    assert count[0] == 1
    assert made(graphs, alive[-1], LATTICE_ORDER) is schedules[-1]
    assert_same(made(graphs, alive[0], LATTICE_ORDER), schedules[0], 3)


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
