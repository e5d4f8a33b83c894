"""Threads that are at work during a test, and scripts in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cavs

__all__ = ["Waiting", "beside", "compiling", "run_script", "together"]


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` gives in each of some threads that begin at once."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return [future.result(120) for future in [pool.submit(run, n) for n in range(count)]]


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[None]:
    """Another thread calls `work` again and again meanwhile."""
    stop, failed = threading.Event(), []

    def run() -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    assert not failed, failed


class Waiting(cavs.VertexFunction):
    """Its forward says that it has begun, and waits."""

    def __init__(self) -> None:
        self.layer = cavs.nn.Linear(3, 2)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        object.__getattribute__(self, "begun").set()
        assert object.__getattribute__(self, "go_on").wait(60)
        v.push(y=self.layer(x), u=v.uniform(4), w=v.uniform(4))


@contextmanager
def compiling(function: Waiting | None = None) -> Iterator[Waiting]:
    """Another thread is in the middle of a forward meanwhile."""
    function = function or Waiting()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(cavs.compile, function)
        try:
            assert function.begun.wait(60)
            yield function
        finally:
            function.go_on.set()
        future.result(60)


def run_script(script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a script in an interpreter of its own; `options` are those of `subprocess.run`."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, **options)
