"""The tape of the outer program: records of computations, walked in reverse by backward."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ContextDecorator, contextmanager
from typing import TYPE_CHECKING, Any

from cavs._arrays import Array
from cavs._locks import new_lock
from cavs.core.owners import name_of
from cavs.device import device_of
from cavs.errors import CavsRuntimeError
from cavs.tensor._nonfinite import (
    REMEDY,
    describe,
    detecting,
    has_nan,
    is_finite,
    nonfinite,
    not_finite,
)
from cavs.tensor._order import Place, freed, in_order, leading_to, place_of
from cavs.tensor._row_sparse import RowSparse

if TYPE_CHECKING:
    from cavs.tensor._tensor import Tensor

Cotangent = Array | RowSparse
Backward = Callable[[Sequence[Array | None]], Sequence[Cotangent | None]]
Find = Callable[[int, Array], str]


class _State(threading.local):
    enabled = True
    retain = False  # whether this backward keeps the graph
    wrong: str | None = None  # the first record of this backward to give a value that is not finite
    captured: dict[Place, Cotangent | None] | None = None  # the gradients that `grad` is for


_state = _State()
_lock = new_lock()  # held while a thread takes a record to run


def is_grad_enabled() -> bool:
    """Whether operations on tensors are recorded in this thread."""
    return _state.enabled


class no_grad(ContextDecorator):  # noqa: N801
    """``with no_grad():``: operations on tensors inside are not recorded, in this thread."""

    def __init__(self) -> None:
        # By thread: several may be inside of one block, and each may enter it again meanwhile.
        self._before: dict[int, list[bool]] = {}

    def __enter__(self) -> None:
        self._before.setdefault(threading.get_ident(), []).append(_state.enabled)
        _state.enabled = False

    def __exit__(self, *error: object) -> None:
        _state.enabled = self._before[threading.get_ident()].pop()

    def _recreate_cm(self) -> no_grad:
        return no_grad()  # a new one for each call of a decorated function


class Record:
    """One call on the tape: its operands, its results, and the function from the results'
    cotangents to the operands' cotangents.

    Attributes:
        inputs: the operands; the walk leaves out operands that need no gradient.
        backward: None once it ran without keeping the graph.
        outputs: how many outputs there are.
        fresh: whether `backward` returns arrays that nobody else holds, so that a leaf can keep
            them as its gradient without a copy.
        find: says in words where a value of an output that is not finite comes from, given the
            output's number and values; None: from this call.
        derives: None if the gradient has no derivative. Else `backward` may also be called with
            cotangents that are tensors, and with the record: then it gives tensors, for `inputs`
            and for the leaves that stand here, which it otherwise gives gradients by itself.
    """

    __slots__ = ("backward", "derives", "find", "fresh", "inputs", "name", "outputs")

    def __init__(
        self,
        name: str,
        inputs: Sequence[Tensor],
        backward: Backward,
        outputs: int,
        fresh: bool,
        find: Find | None = None,
        derives: Sequence[Tensor] | None = None,
    ) -> None:
        self.name = name
        self.derives = derives
        self.find = find
        self.inputs: Sequence[Tensor] = inputs
        self.backward: Backward | None = backward
        self.outputs = outputs
        self.fresh = fresh


class _Kept:
    """The function of a record that is kept for another backward: one thread at a time calls it."""

    __slots__ = ("_backward", "_turn")

    def __init__(self, backward: Backward) -> None:
        self._backward = backward
        self._turn = threading.RLock()

    def __call__(self, *given: Any) -> Sequence[Cotangent | None]:
        with self._turn:
            return self._backward(*given)


@contextmanager
def capturing(tensors: Iterable[Tensor]) -> Iterator[dict[Place, Cotangent | None]]:
    """A backward of this thread inside gives the gradients of these tensors, by their places, and
    adds none to any leaf."""
    before, _state.captured = _state.captured, dict.fromkeys(map(place_of, tensors))
    try:
        yield _state.captured
    finally:
        _state.captured = before


def captures(x: Tensor, dx: Cotangent) -> bool:
    """Whether gradients are captured; takes that of `x` if it is asked for."""
    captured = _state.captured
    if captured is None:
        return False
    place = place_of(x)
    if place in captured:
        held = captured[place]
        if held is None:
            captured[place] = dx
        elif isinstance(held, RowSparse) and isinstance(dx, RowSparse):
            captured[place] = held.add(dx)
        else:
            a, b = (y.to_dense() if isinstance(y, RowSparse) else y for y in (held, dx))
            captured[place] = a + b
    return True


@contextmanager
def recording() -> Iterator[None]:
    """Inside, what this thread computes is recorded, and no cotangent that is not finite is known
    yet."""
    before, _state.enabled = _state.enabled, True
    _state.wrong = None
    try:
        yield
    finally:
        _state.enabled = before


def retaining() -> bool:
    """Whether this thread's backward keeps the graph, so that another may follow."""
    return _state.retain


def run_backward(root: Tensor, cotangent: Array, retain: bool = False) -> None:
    """Adds the gradients of ``sum(root * cotangent)`` to all leaves that `root` depends on.

    Each record runs once, after the cotangents of all its outputs are complete, and is freed, but
    with `retain`.

    Raises:
        CavsRuntimeError: a part of the graph was freed by a backward before. NonFiniteError: see
            :class:`detect_nonfinite`.
    """
    if detecting():
        check_start(root, cotangent)
    first = root._record
    if first is None:
        if not captures(root, cotangent):
            root.accumulate_grad(cotangent)
        return
    if _state.captured is None:
        waiting = _consumers(first)
    else:
        waiting = _uses_within(leading_to(_state.captured, in_order([root])))
        if first not in waiting:
            return
    cotangents: dict[Record, list[Array | None]] = {}
    _add(cotangents, root, cotangent)
    ready = [first]
    enabled, _state.enabled = _state.enabled, False
    outer, _state.retain = _state.retain, retain
    _state.wrong = None
    try:
        with device_of(cotangent).here():
            while ready:
                record = ready.pop()
                for x in _step(record, cotangents, retain):
                    before = x._record
                    left = waiting.get(before)
                    if before is not None and left is not None:
                        waiting[before] = left - 1
                        if left == 1:
                            ready.append(before)
                if not retain:
                    record.inputs, record.find = (), None
    finally:
        _state.enabled, _state.retain = enabled, outer


def check_start(root: Tensor, cotangent: Array) -> None:
    """Raises where backward would begin with values, or a cotangent, that are not finite."""
    values = root._any_values()
    if not is_finite(values):
        origin = _origin_of(root)
        raise nonfinite(
            f"expected backward from a finite value, got {describe(values)}; {origin}; {REMEDY}",
            origin,
        )
    if not is_finite(cotangent):
        raise nonfinite(
            f"expected backward from a finite cotangent, got {describe(cotangent)}; give finite "
            "numbers"
        )


def _origin_of(x: Tensor) -> str:
    """In words, where a value in `x` that is not finite comes from: back along the tape."""
    bad = has_nan if has_nan(x._any_values()) else not_finite
    while x._record is not None:
        before = next((i for i in x._record.inputs if bad(i._any_values())), None)
        if before is None:
            if x._record.find is not None:
                return x._record.find(x._index, x._any_values())
            return f"the first comes from {x._record.name!r}, an operation on tensors"
        x = before
    return f"{name_of(x)}, which no operation computed, has it already"


def wrong_cotangent() -> str | None:
    """In words, where the first cotangent of this thread's backward that is not finite comes from;
    None while all are finite."""
    return _state.wrong


def note_wrong(
    record: Record, inputs: Sequence[Tensor], results: Sequence[Cotangent | None]
) -> None:
    """Keeps the record that first gave a result that is not finite, and raises if a leaf would get
    one as its gradient."""
    for x, dx in zip(inputs, results, strict=True):
        values = dx.values if isinstance(dx, RowSparse) else dx
        if values is None or not x.requires_grad or is_finite(values):
            continue
        if _state.wrong is None:
            _state.wrong = f"the first comes from the derivative of {record.name!r}"
        if x._record is None:
            raise nonfinite(
                f"expected a finite gradient of {name_of(x)}, got {describe(values)}; "
                f"{_state.wrong}; {REMEDY}"
            )


def _uses_within(records: set[Record]) -> dict[Record | None, int]:
    """How often the outputs of each of the records are used by the others."""
    uses: dict[Record | None, int] = dict.fromkeys(records, 0)
    for record in records:
        for x in record.inputs:
            if x._record in uses:
                uses[x._record] += 1
    return uses


def _consumers(first: Record) -> dict[Record | None, int]:
    """How often each record's outputs are used by the records from `first` backwards."""
    uses: dict[Record | None, int] = {first: 0}
    stack = [first]
    while stack:
        record = stack.pop()
        if record.backward is None:
            raise freed(record)
        for x in record.inputs:
            before = x._record
            if before is not None:
                if before not in uses:
                    uses[before] = 0
                    stack.append(before)
                uses[before] += 1
    return uses


def take(record: Record, retain: bool) -> tuple[Backward, Sequence[Tensor]]:
    """The function of a record and its operands, for one thread alone unless `retain`."""
    with _lock:
        backward, inputs = record.backward, record.inputs
        if backward is None:
            raise freed(record)  # another thread has run it since `_consumers` looked
        if not retain:
            record.backward = None
        elif not isinstance(backward, _Kept):
            backward = record.backward = _Kept(backward)
    return backward, inputs


def _step(
    record: Record, cotangents: dict[Record, list[Array | None]], retain: bool
) -> Sequence[Tensor]:
    """Runs a record; gives its operands."""
    backward, inputs = take(record, retain)
    given = cotangents.pop(record, None)
    if given is None:
        return inputs  # reached only through operands without a gradient, such as a mask
    results = backward([None if g is None else _contiguous(g) for g in given])
    if len(results) != len(inputs):
        raise CavsRuntimeError(
            f"[backward] expected {len(inputs)} cotangents from {record.name!r}, got "
            f"{len(results)}; return one for each input"
        )
    if detecting():
        note_wrong(record, inputs, results)
    fresh = record.fresh and not retain  # a record that is kept may give the same array again
    shared: set[int] | None = None
    for x, dx in zip(inputs, results, strict=True):
        if dx is None or not x.requires_grad:
            continue
        if dx.shape != x.shape or dx.dtype != x.dtype:
            raise CavsRuntimeError(
                f"[backward] expected a cotangent {x.dtype} of shape {x.shape} from "
                f"{record.name!r}, got {dx.dtype} of shape {dx.shape}; return one like the input"
            )
        captured = captures(x, dx)
        if x._record is None:
            if captured:
                continue
            if shared is None:
                shared = _shared(results, given)
            x.accumulate_grad(dx, adopt=fresh and id(dx) not in shared and _is_own(dx))
        else:
            _add(cotangents, x, dx.to_dense() if isinstance(dx, RowSparse) else dx)
    return inputs


def sole_cotangent(cotangents: Sequence[Any]) -> Any:
    """The cotangent of a function's only output."""
    (dy,) = cotangents
    assert dy is not None
    return dy


def _shared(results: Sequence[Cotangent | None], given: Sequence[Array | None]) -> set[int]:
    """Identities of the arrays that came in as cotangents, or are given for several inputs."""
    shared = {id(g) for g in given}
    seen: set[int] = set()
    for dx in results:
        (shared if id(dx) in seen else seen).add(id(dx))
    return shared


def _is_own(dx: Cotangent) -> bool:
    """Whether a cotangent is no view, and can be kept as it is."""
    if isinstance(dx, RowSparse):
        return True
    return device_of(dx).owns(dx)


def _contiguous(array: Array) -> Array:
    return array if array.flags.c_contiguous else device_of(array).copy(array)


def _add(cotangents: dict[Record, list[Array | None]], x: Tensor, dx: Array) -> None:
    record = x._record
    assert record is not None
    slots = cotangents.setdefault(record, [None] * record.outputs)
    held = slots[x._index]
    # Not in place: another record may still read the held array.
    slots[x._index] = dx if held is None else held + dx
