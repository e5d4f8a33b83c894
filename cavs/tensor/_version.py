"""The version of a parameter's values, and whether others may write to them unseen.

Whoever is given an array of the values gets a lent one: numpy keeps it alive for all arrays that
are made of it without a copy, so a weak reference tells when the last holder has let go.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from cavs._arrays import Array, has_sole_base
from cavs._locks import new_lock
from cavs.device import device_of

numbers = itertools.count()
"""Numbers of all parameters: none comes twice, whichever threads count."""

_lock = new_lock()  # held while it changes who may write to which values


def _nothing() -> None:
    """A reference to an array that is gone."""


def _unknown() -> int:
    """The version of memory that belongs to somebody else, who says nothing of it."""
    return -1


class Version:
    """The version of one parameter's values.

    Attributes:
        number: changes whenever the values may have been written; whoever writes to them sets the
            next one afterwards. It says nothing while `private` is False, but :meth:`settle` does.
        private: whether nobody but the parameter can get at its values.
    """

    __slots__ = ("_loan", "_older", "_outside", "_seen", "_taken", "number", "private")

    _loan: Callable[[], Array | None]  # the array that was given out last, and may be again
    _older: list[Callable[[], Array | None]]
    _taken: Array | None  # a view of an array that its giver may still hold
    _outside: Callable[[], int] | None  # the version that the memory's owner gives
    _seen: int  # the owner's last version

    def start(self, taken: Array | None, private: bool = False) -> None:
        """Begins anew with other values: `taken`, the parameter's own view of an array that
        somebody gave; with None, values in memory whose owner cavs does not know or, with
        `private`, values that nobody else has."""
        with _lock:
            self.private = private
            self.number = next(numbers)
            self._loan, self._older, self._taken, self._seen = _nothing, [], taken, 0
            self._outside = _unknown if taken is None and not private else None

    def lend(self, values: Array) -> Array:
        """An array of the same memory for somebody who may write to it; the last one given, if
        somebody still holds that."""
        with _lock:
            self.private = False
            loan = self._loan()
            if loan is None:
                loan, self._loan = device_of(values).lend(values)
            elif loan.shape != values.shape or loan.dtype != values.dtype:  # its holder changed it
                self._older.append(self._loan)
                loan, self._loan = device_of(values).lend(values)
            self.number = next(numbers)
            return loan

    def is_lent(self, array: Array) -> bool:
        """Whether `array` is the array that :meth:`lend` gave last."""
        return self._loan() is array

    def follow(self, outside: Callable[[], int]) -> None:
        """Lets others tell whether they have written; see `Parameter.follow`."""
        with _lock:
            self._taken, self._outside = None, outside
            self.private = False

    def settle(self) -> int:
        """The number, or -1 while somebody may write to the values unseen."""
        outside = self._outside
        seen = 0 if outside is None else outside()  # not under the lock: it may be a user's
        if outside is not None and self._loan is _nothing and seen == self._seen >= 0:
            return self.number  # nothing to settle: its owner has not written
        with _lock:
            if any(loan() is not None for loan in (self._loan, *self._older)):
                return -1
            if self._taken is not None and not has_sole_base(self._taken):
                return -1
            if self._loan is not _nothing or self._taken is not None or seen != self._seen:
                self._loan, self._older, self._taken, self._seen = _nothing, [], None, seen
                self.number = next(numbers)
            self.private = self._outside is None
            return self.number if seen >= 0 else -1
