"""Children of fork(), worker processes, and the end of a process, while threads are at work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from busy_threads import beside, compiling, run_script
from small_trees import compile_another, in_worker, sample, train, tree_lstm, trees

import cavs
from cavs.models import ChildSumTreeLSTM

pytestmark = [pytest.mark.no_tsan, pytest.mark.usefixtures("restored_threads")]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
# From Python 3.12 on a fork with threads warns, rightly in general.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

# --- fork -----------------------------------------------------------------------------------------


def forked(work: Callable[[], Any], seconds: float = 60) -> int:
    """Exit status of a child that does `work`; -9 where it hangs."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def all_of_it() -> None:
    """Compiles, trains, infers, grows and draws, as a child may."""
    graphs = trees()
    model = tree_lstm()
    losses = [train(model, graphs, sample(graphs)) for _ in range(4)]
    assert losses[-1] < losses[0]
    with cavs.no_grad():
        assert np.isfinite(model(graphs, **sample(graphs))["loss"].numpy()).all()
    cavs.Generator(1).uniform(3)
    assert not {"__getattribute__", "__setattr__"} & set(vars(cavs.Module))


@needs_fork
@forks
def test_fork_while_another_thread_is_in_a_forward() -> None:
    with compiling():
        assert forked(all_of_it) == 0
    all_of_it()


@needs_fork
@forks
def test_fork_within_a_forward() -> None:
    codes = []

    class Forking(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layer = cavs.nn.Linear(3, 2)

        def forward(self, v: cavs.Vertex) -> None:
            codes.append(forked(compile_another))
            v.push(y=self.layer(v.pull("x", 3)))

    cavs.compile(Forking())
    assert codes == [0]


def _compile_something() -> None:
    ChildSumTreeLSTM(10, 4, 4, 3)  # draws initial values
    tree_lstm(dtype="float64")


@needs_fork
@forks
@pytest.mark.parametrize("busy", ["compiles", "trains", "infers", "adds gradients"])
def test_fork_while_another_thread(busy: str) -> None:
    """The child works with what the other thread was in the middle of: model, batch, parameters."""
    cavs.set_num_threads(2)
    model, graphs = tree_lstm(), trees(60)
    inputs = sample(graphs)
    parameter = cavs.Parameter(np.zeros((400, 30), np.float32))
    rows = np.arange(1, 400, 7, dtype=np.int32)
    sparse = cavs.RowSparse(rows, np.ones((len(rows), 30), np.float32), (400, 30))

    def infer() -> None:
        with cavs.no_grad():
            model(graphs, **inputs)
        for p in model.parameters():
            p.data  # noqa: B018 - forgets what is remembered

    work = {
        "compiles": _compile_something,
        "trains": lambda: train(model, graphs, inputs),
        "infers": infer,
        "adds gradients": lambda: parameter.accumulate_grad(sparse),
    }[busy]

    def child() -> None:
        infer()
        train(model, graphs, inputs)
        train(model, trees(3), sample(trees(3)))
        parameter.zero_grad()
        parameter.accumulate_grad(sparse)
        _compile_something()

    with beside(work):
        for _ in range(12):
            assert forked(child) == 0
    child()


@forks
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes(method: str) -> None:
    """As loaders have them, started while this process trains."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"needs {method}")
    model, graphs = tree_lstm(), trees()
    with (
        beside(lambda: train(model, graphs, sample(graphs))),
        multiprocessing.get_context(method).Pool(2) as pool,
    ):
        losses = pool.map_async(in_worker, range(4)).get(100)
    assert np.isfinite(losses).all()


# --- The end of the process -----------------------------------------------------------------------

ENDING = """
import sys, threading, time
import numpy as np
import cavs
from cavs.models import ChildSumTreeLSTM

cavs.set_num_threads({threads})
model = cavs.compile(ChildSumTreeLSTM(100, 16, 32, 5))
graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * {graphs})
word = np.arange(graphs.num_vertices, dtype=np.int32) % 100
begun = threading.Event()

def train():
    optimizer = cavs.optim.Adam(model.parameters(), lr=0.01)
    while True:
        model(graphs, word=word, label=word % 5)["loss"].sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        begun.set()

def infer():
    with cavs.no_grad():
        while True:
            model(graphs, word=word, label=word % 5)
            begun.set()

def add():
    x, y = np.ones(1_000_000, np.float32), np.ones(1_000_000, np.float32)
    from cavs._native import core
    while True:
        core.add_(x, y)
        begun.set()

for work in ({works}):
    threading.Thread(target=work, daemon=True).start()
assert begun.wait(60)
time.sleep({wait})
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("works", ["train,", "infer, train", "add, add"])
def test_daemon_threads_when_the_process_ends(works: str, threads: int) -> None:
    for turn in range(4):
        settings = {"threads": threads, "works": works, "graphs": 5 + 60 * turn}
        result = run_script(ENDING.format(wait=0.003 * turn, **settings))
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_sys_exit_has_its_code_beside_daemon_threads() -> None:
    script = ENDING.format(threads=2, works="train, add", graphs=20, wait=0.01) + "sys.exit(3)"
    result = run_script(script)
    assert (result.returncode, result.stdout, result.stderr) == (3, "", "")


WITHIN = """
import gc, threading, time
import numpy as np
import cavs
from cavs._native import core

begun = threading.Event()

class Step:
    def __init__(self, result):
        self.result = result

    def __call__(self, **_):
        begun.set()
        time.sleep(0.05)
        return self.result

    def __del__(self):
        pass

class Array:
    __dlpack__ = property(lambda self: Step(x.__dlpack__()))

    def __dlpack_device__(self):
        return x.__dlpack_device__()

class Number:
    def __init__(self):
        self.step = Step(1)

    def __index__(self):
        return self.step()

    __float__ = __index__

class End:
    def __del__(self, sleep=time.sleep):
        sleep(0.3)

x = np.ones(4, np.float32)

def work():
    while True:
        {call}

threading.Thread(target=work, daemon=True).start()
assert begun.wait(60)
# The collection while the interpreter ends takes long: the thread wakes up meanwhile.
gc.disable()
end = End()
end.itself = end
del end
"""


@pytest.mark.parametrize(
    "call",
    [
        "core.add_(Array(), x)",
        "core.add_(x, Array())",
        "core.add_(x, x, Number())",
        "core.set_num_threads(Number())",
    ],
)
def test_daemon_threads_in_python_code_of_a_native_call_when_the_process_ends(call: str) -> None:
    result = run_script(WITHIN.format(call=call))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
