"""Threads and instruction sets: settings, forks, several Python threads."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import cavs
from cavs._native import core
from cavs.errors import InputError
from cavs.models import ChildSumTreeLSTM


@pytest.fixture(autouse=True)
def _restore():
    before = core.num_threads()
    yield
    core.set_num_threads(before)


def test_settings():
    assert core.available_cores() >= 1
    core.set_num_threads(5)
    assert core.num_threads() == 5
    for count in (0, -1, 100_000):
        with pytest.raises(InputError, match="number of threads"):
            core.set_num_threads(count)
    assert core.num_threads() == 5


def test_many_regions_with_changing_thread_counts():
    x = np.ones(300_000, np.float32)
    for count in (2, 5, 3, 1, 4) * 20:
        core.set_num_threads(count)
        assert core.sum_squares(x) == 300_000


def test_python_threads_take_turns():
    core.set_num_threads(3)
    arrays = [np.zeros(200_000) for _ in range(4)]
    ones = np.ones(200_000)

    def work(array):
        for _ in range(50):
            core.add_(array, ones)

    threads = [threading.Thread(target=work, args=(array,)) for array in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for array in arrays:
        assert (array == 50).all()


def test_results_do_not_depend_on_whether_helpers_are_awake():
    """Calls in a row have helpers, one that comes alone has none where they would save little."""
    core.set_num_threads(2)
    model = cavs.compile(ChildSumTreeLSTM(50, 40, 70, 5))
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * 9)
    ids = np.arange(graphs.num_vertices, dtype=np.int32)
    found = set()
    for pause in (0.0, 0.01) * 10:
        time.sleep(pause)
        out = model(graphs, word=ids, label=ids % 5)
        out["loss"].sum().backward()
        grads = [np.asarray(p.grad).tobytes() for p in model.parameters()]
        found.add((out["loss"].numpy().tobytes(), *grads))
        model.zero_grad()
    assert len(found) == 1


@pytest.mark.no_tsan
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_fork():
    core.set_num_threads(3)
    x = np.ones(300_000, np.float32)
    assert core.sum_squares(x) == 300_000
    child = os.fork()
    if child == 0:
        os._exit(0 if core.sum_squares(x) == 300_000 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert core.sum_squares(x) == 300_000


def instruction_set(setting):
    script = "from cavs._native import core; print(core.instruction_set())"
    environment = {**os.environ, "CAVS_ISA": setting}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_instruction_set():
    order = ["generic", "avx2", "avx512"]
    best = instruction_set("")
    assert best in order
    for name in order:
        assert instruction_set(name) == min(name, best, key=order.index)
    assert instruction_set("no such") == best
