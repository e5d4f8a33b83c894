"""What a thread traces: its own, one trace within another, and as before after errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import cavs
from cavs.core.ir import Node
from cavs.core.trace import trace
from cavs.core.tracing import (
    SourceLine,
    apart_from_traces,
    here,
    leaves_apart,
    located_at,
    new_random_key,
    tracing,
)
from cavs.core.vertex import Module


def state() -> dict[str, Any]:
    return dict(vars(here))


def key_of(x: Node) -> int:
    (drawn,) = (n for n in [x, *x.inputs] if "key" in n.attrs)
    key: int = drawn.attrs["key"]
    return key


class Drawing(cavs.VertexFunction):
    """Draws, does something else in the middle, and draws again."""

    def __init__(self, between: Callable[[], object]) -> None:
        self.between, self.size = between, 3
        self.keys: list[int] = []

    def forward(self, v: cavs.Vertex) -> None:
        first = v.uniform(self.size)
        self.between()
        second = v.uniform(self.size)
        self.keys = [key_of(first), key_of(second)]
        v.push(y=first + second)


def nothing() -> None:
    pass


def test_source_lines_as_text() -> None:
    assert str(SourceLine("f.py", 3, "x = 1")) == "f.py:3 (x = 1)"
    assert str(SourceLine("f.py", 3)) == "f.py:3"


def test_a_trace_within_another_is_its_own() -> None:
    inner = Drawing(nothing)
    seen: list[Any] = []

    def between() -> None:
        before = state()
        assert tracing()
        reads = trace(inner).reads
        assert state() == before
        seen.append((reads, before["reads"]))

    outer = Drawing(between)
    before = state()
    traced = trace(outer)
    assert state() == before
    assert not tracing()
    assert inner.keys == outer.keys == [0, 1]
    ((of_inner, of_outer),) = seen
    assert of_outer is traced.reads
    assert set(of_inner.names(inner)) == {"forward", "size", "between"}
    assert not of_outer.names(inner)
    lines = {n.where.line for n in traced.function.roots() if n.where}
    assert lines == {Drawing.forward.__code__.co_firstlineno + 5}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, cavs.CavsError, GeneratorExit])
def test_after_an_error_all_is_as_before(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("in the middle")

    before = state()
    with pytest.raises(error):
        trace(Drawing(fail))
    assert state() == before
    assert "__getattribute__" not in vars(Module)

    def inner_fails() -> None:
        within = state()
        with pytest.raises(error):
            trace(Drawing(fail))
        assert state() == within
        assert tracing()

    outer = Drawing(inner_fails)
    trace(outer)
    assert outer.keys == [0, 1]
    assert state() == before


def test_threads_trace_apart() -> None:
    """Each is in the middle of its own when all others are in the middle of theirs."""
    meeting = threading.Barrier(4, timeout=60)
    drawing = [Drawing(meeting.wait) for _ in range(4)]
    threads = [threading.Thread(target=trace, args=(function,)) for function in drawing]
    for thread in threads:
        thread.start()
    assert not tracing()
    for thread in threads:
        thread.join()
    assert [function.keys for function in drawing] == [[0, 1]] * 4
    assert "__getattribute__" not in vars(Module)


@pytest.mark.parametrize(
    "manager",
    [
        apart_from_traces,
        lambda: located_at(SourceLine("f.py", 1)),
        lambda: leaves_apart([""]),
    ],
    ids=["apart", "located", "parents"],
)
def test_what_is_set_for_a_while_goes_with_an_error(manager: Callable[[], Any]) -> None:
    def between() -> None:
        before = state()

        def fail_inside() -> None:
            with manager():
                assert state() != before
                raise ValueError("inside")

        with pytest.raises(ValueError, match="inside"):
            fail_inside()
        assert state() == before

    trace(Drawing(between))


def test_apart_from_traces_numbers_go_on() -> None:
    """What a pass draws within a trace of another function takes no number twice."""

    def between() -> None:
        with apart_from_traces():
            assert not tracing()
            assert new_random_key() == 1

    outer = Drawing(between)
    trace(outer)
    assert outer.keys == [0, 2]
