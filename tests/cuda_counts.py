"""What the emulated driver counts: launches, copies, allocations and the like.

::

    with counting() as count:
        model(batch)
    if count is not None:  # a GPU's own driver counts nothing
        assert count["copies_to_device"] == 1
"""

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _emulator() -> ctypes.CDLL | None:
    """The library that the engine has opened too, or null where the driver is a GPU's own."""
    path = os.environ.get("CAVS_CUDA_DRIVER")
    return ctypes.CDLL(path) if path else None


def counts() -> dict[str, int] | None:
    """All counts since the library was opened, or null where the driver is a GPU's own.

    launches, cooperative_launches, graph_launches, products, copies_to_device, copies_to_host,
    bytes_to_device, bytes_to_host, allocations, compilations and synchronizations; and
    live_allocations, those that were not given back. A graph's launches and copies count when they
    are captured, once.
    """
    library = _emulator()
    if library is None:
        return None
    library.cavs_emulator_count_names.restype = ctypes.c_char_p
    names = library.cavs_emulator_count_names().decode().split()
    values = (ctypes.c_int64 * len(names))()
    found = library.cavs_emulator_counts(values, len(names), 0)
    assert found == len(names)
    return dict(zip(names, values, strict=True))


@contextmanager
def _garbage_stays() -> Iterator[None]:
    """Nothing that earlier tests left is freed within the block: it is before, also what streams
    still had to free."""
    was_on, library = gc.isenabled(), _emulator()
    gc.collect()
    gc.disable()
    if library is not None:
        library.cuCtxSynchronize()  # of this thread's device; no matter if it has none
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def counting() -> Iterator[dict[str, int] | None]:
    """What happens within the block: the dict is filled at its end. Null on a GPU's own driver."""
    if _emulator() is None:
        yield None
        return
    grown: dict[str, int] = {}
    with _garbage_stays():
        before = counts()
        yield grown
        after = counts()
    assert before is not None
    assert after is not None
    grown.update({name: after[name] - before[name] for name in after})


def unstick() -> None:
    """Lets the emulated device work again after a fault in a kernel."""
    library = _emulator()
    if library is not None:
        library.cavs_emulator_unstick()


@contextmanager
def limited_memory(size: int) -> Iterator[None]:
    """Each emulated device has `size` bytes in all, of which some may be in use; for tests of what
    happens when memory runs out. Nothing on a GPU."""
    library = _emulator()
    if library is not None:
        library.cavs_emulator_limit_memory(ctypes.c_size_t(size))
    try:
        yield
    finally:
        if library is not None:
            library.cavs_emulator_limit_memory(ctypes.c_size_t(0))


@contextmanager
def failing_allocations(after: int, count: int) -> Iterator[Callable[[], int]]:
    """Within the block `count` requests for memory of a GPU, or pinned memory, fail, after `after`
    that do not. Gives a function that says how many have failed. Only on the emulated driver."""
    library = _emulator()
    assert library is not None

    def choose(after: int, count: int) -> int:
        left: int = library.cavs_emulator_fail_allocations(after, count)
        return left

    library.cavs_emulator_fail_allocations.restype = ctypes.c_int64
    library.cavs_emulator_fail_allocations.argtypes = [ctypes.c_int64, ctypes.c_int64]
    choose(after, count)
    failed: list[int] = []
    try:
        yield lambda: failed[0]
    finally:
        failed.append(count - choose(0, 0))


def is_emulated() -> bool:
    return _emulator() is not None
