"""Whether values that a backward will read again were written since its forward.

Nobody can write to them without having been given their memory: by ``.data`` and by all that goes
through it, as optimizers do. Only then the values are copied, and backward compares. Arrays that
were given out before the forward are not seen. A training loop pays for an entry in a list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

from cavs._arrays import Array
from cavs._locks import new_lock
from cavs.device import device_of
from cavs.errors import CavsRuntimeError

if TYPE_CHECKING:
    from cavs.tensor._tape import Backward, Cotangent
    from cavs.tensor._tensor import Tensor

_LEAST = 64


class _Kept:
    """An array and, once somebody may write to it, a copy of the values that it held."""

    __slots__ = ("__weakref__", "array", "before")

    def __init__(self, array: Array) -> None:
        self.array = array
        self.before: Array | None = None

    def changed(self) -> bool:
        return self.before is not None and not _same(self.array, self.before)


class Watch:
    """The arrays that a backward reads again. It ends with the last reference to it.

    Attributes:
        arrays: as they were in the forward.
    """

    __slots__ = ("__weakref__", "_kept", "_tensors", "arrays")

    def __init__(self, arrays: Sequence[Array], tensors: Sequence[Tensor] = ()) -> None:
        """`tensors`: their values are the first of the arrays; they may get other values."""
        self.arrays: Sequence[Array] = arrays
        self._tensors: Sequence[Tensor] = tensors
        self._kept: list[_Kept] | None = None  # None while nobody may have written anything
        _pending.append(ref(self))
        if len(_pending) > _registry.pending_limit:
            _registry.drop_ended()

    def add(self, arrays: Sequence[Array]) -> None:
        """Watches further arrays, after those that are there."""
        _registry.add(self, arrays)

    def changed(self, position: int) -> bool:
        """Whether the value at this position holds other bits than in the forward."""
        if self._kept is None:
            return False
        array = self.arrays[position]
        if position < len(self._tensors):
            now = self._tensors[position]._values
            if now is not array and not _same(now, array):
                return True
        return self._kept[position].changed()

    def first_changed(self) -> int:
        """Position of the first value that was written, or -1."""
        if self._kept is None:
            return -1
        return next((i for i in range(len(self.arrays)) if self.changed(i)), -1)

    def end(self) -> None:
        """Lets go of the arrays."""
        self.arrays, self._tensors, self._kept = (), (), None


def give_out(*arrays: Array) -> None:
    """To be called before somebody is given these values, or their memory, to write to."""
    if _pending or _registry.kept:
        _registry.give_out(arrays)


def rebind() -> None:
    """To be called before a tensor gets another array for its values."""
    if _pending:
        _registry.look_at_pending()


def _same(a: Array, b: Array) -> bool:
    device = device_of(a)
    return device is device_of(b) and device.same_bits(a, b)


def _key(array: Array) -> int:
    """The identity of the memory of an array."""
    return id(device_of(array).owner(array))


def written_since(name: str) -> CavsRuntimeError:
    """The error to raise where an operation's values were written."""
    return CavsRuntimeError(
        f"[backward] expected operands and result of {name!r} as they were in the forward, got "
        "values that were written since; call backward before you write to them, or write to a "
        "copy"
    )


def watched(backward: Backward, name: str, watch: Watch) -> Backward:
    """`backward` behind a check that the values of `watch` are as in the forward of `name`."""

    def checked(*given: Any) -> Sequence[Cotangent | None]:
        if watch.first_changed() >= 0:
            raise written_since(name)
        return backward(*given)

    return checked


class _Registry:
    """The arrays of all watches that are alive, found by their memory.

    Attributes:
        kept: the arrays of watches that are not pending, by the identity of the array that owns
            their memory, followed through loans.
        pending_limit: how many watches may be pending before ended ones are dropped.
    """

    def __init__(self) -> None:
        self.kept: dict[int, list[ref[_Kept]]] = {}
        self.pending_limit = self._kept_limit = _LEAST
        self._kept_count = 0
        self._lock = new_lock()  # a finalizer may come back here

    def drop_ended(self) -> None:
        with self._lock:
            for _ in range(len(_pending)):
                reference = _pending[0]
                if reference() is not None:
                    _pending.append(reference)
                _drop_first(reference)
            self.pending_limit = max(2 * len(_pending), _LEAST)

    def give_out(self, arrays: Iterable[Array]) -> None:
        with self._lock:
            self.look_at_pending()
            for values in arrays:
                for kept in _alive(self.kept.get(_key(values), ())):
                    if kept.before is None:
                        kept.before = device_of(kept.array).copy(kept.array)

    def add(self, watch: Watch, arrays: Sequence[Array]) -> None:
        with self._lock:
            watch.arrays = [*watch.arrays, *arrays]
            if watch._kept is not None:
                watch._kept += map(self._keep, arrays)

    def look_at_pending(self) -> None:
        with self._lock:
            some = len(_pending) > 0
            while _pending:  # each stays until its arrays can be found: other threads look
                reference = _pending[0]
                watch = reference()
                if watch is not None:
                    watch._kept = [self._keep(array) for array in watch.arrays]
                _drop_first(reference)
            if some and not _LEAST < self._kept_count <= self._kept_limit:
                self._forget()

    def _keep(self, array: Array) -> _Kept:
        """The entry that another watch has for the same values, or a new one."""
        places = self.kept.setdefault(_key(array), [])
        for kept in _alive(places):
            if kept.array is array and not kept.changed():
                return kept
        kept = _Kept(array)
        places.append(ref(kept))
        self._kept_count += 1
        return kept

    def _forget(self) -> None:
        """Drops entries that no watch has any more."""
        left = {key: [k for k in places if k() is not None] for key, places in self.kept.items()}
        self.kept = {key: places for key, places in left.items() if places}
        self._kept_count = sum(map(len, self.kept.values()))
        self._kept_limit = max(2 * self._kept_count, _LEAST)


def _drop_first(reference: ref[Watch]) -> None:
    # A finalizer may have dropped it meanwhile.
    if _pending and _pending[0] is reference:
        _pending.popleft()


def _alive(references: Iterable[ref[_Kept]]) -> Iterator[_Kept]:
    return (found for found in (reference() for reference in references) if found is not None)


# Watches since anything was given out last. A deque: threads append without a lock.
_pending: deque[ref[Watch]] = deque()
_registry = _Registry()
