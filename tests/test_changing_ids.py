"""Ids that another thread or a signal handler changes during a call."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest
from busy_threads import run_script
from small_trees import sample, tree_lstm, trees

import cavs

CHANGING = """
import ctypes, sys, threading, time
import numpy as np
import cavs
from cavs.models import ChildSumTreeLSTM

sys.setswitchinterval(1e-6)
stop = time.monotonic() + 1.5
WILD = np.array([2**30, -5, 2**31 - 1, -2**31], np.int32)

def scribble(array, good):
    # By the C library, which has no need of the interpreter's lock.
    wild = np.resize(WILD.astype(array.dtype), array.shape)
    size = array.nbytes
    while time.monotonic() < stop:
        for _ in range(50):
            ctypes.memmove(array.ctypes.data, wild.ctypes.data, size)
            ctypes.memmove(array.ctypes.data, good.ctypes.data, size)

def run(call, *arrays):
    threads = [threading.Thread(target=scribble, args=(a, a.copy())) for a in arrays]
    for thread in threads:
        thread.start()
    done = refused = 0
    while time.monotonic() < stop:
        try:
            call()
            done += 1
        except cavs.InputError:
            refused += 1
    for thread in threads:
        thread.join()
    print(done, refused)

"""

CALLS = {
    "words": """
model = cavs.compile(ChildSumTreeLSTM(1000, 16, 16, 5))
graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * 400)
word = np.arange(graphs.num_vertices, dtype=np.int32) % 1000
label = word % 5
def call():
    model(graphs, word=word, label=label)["loss"].sum().backward()
    model.zero_grad()
run(call, word, label)
""",
    "words in inference": """
model = cavs.compile(ChildSumTreeLSTM(1000, 16, 16, 5), outputs=["logits"]).eval()
graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * 400)
word = np.arange(graphs.num_vertices, dtype=np.int32) % 1000
def call():
    with cavs.no_grad():
        model(graphs, word=word)
run(call, word)
""",
    "words of 64 bits, and as tensors": """
model = cavs.compile(ChildSumTreeLSTM(1000, 16, 16, 5))
graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * 400)
word = np.arange(graphs.num_vertices) % 1000
label = (word % 5).astype(np.int32)
tensor = cavs.tensor(label)
def call():
    model(graphs, word=word, label=tensor)["loss"].sum().backward()
    model.zero_grad()
run(call, word, label)
""",
    "eager": """
table = cavs.Parameter(np.ones((1000, 64), np.float32))
ids = np.arange(3000, dtype=np.int32) % 1000
labels = ids % 64
given = cavs.tensor(ids)
def call():
    rows = cavs.ops.embedding(table, given)
    cavs.ops.cross_entropy(rows, labels).sum().backward()
    table.grad.to_dense()
    table.zero_grad()
run(call, ids, labels)
""",
    "samples": """
from cavs.data import Dataset
graphs = [cavs.InputGraph([[], [0], [1, 0]][: 1 + n % 3]) for n in range(300)]
data = Dataset(graphs, vertex={"word": np.zeros(sum(1 + n % 3 for n in range(300)), np.int32)})
chosen = np.arange(2000) % 300
run(lambda: data.batch(chosen), chosen)
""",
    "offsets": """
ptr = np.arange(0, 4000, 4)
chosen = np.arange(990)
from cavs._arrays import rows_of_samples
good = ptr.copy()
def scribble(array, good):
    other = array[::-1].copy()
    while time.monotonic() < stop:
        for _ in range(50):
            ctypes.memmove(array.ctypes.data, other.ctypes.data, array.nbytes)
            ctypes.memmove(array.ctypes.data, good.ctypes.data, array.nbytes)
run(lambda: rows_of_samples(ptr, chosen), ptr)
""",
    "rows of an optimizer": """
from cavs._native import core
table = np.ones((100_000, 32), np.float32)
state = np.ones_like(table)
ids = np.arange(0, 90_000, 30, dtype=np.int32)
rows = np.zeros((len(ids), 32), np.float32)
def call():
    core.update_rows(core.SgdSettings(0.1), table, ids, rows)
    core.update_rows(core.AdagradSettings(0.1), table, ids, rows, [state])
run(call, ids)
""",
    "row-sparse": """
ids = np.arange(0, 9000, 3, dtype=np.int32)
values = np.zeros((len(ids), 8), np.float32)
parameter = cavs.Parameter(np.zeros((9000, 8), np.float32))
optimizer = cavs.optim.Adam([parameter], lr=0.1, weight_decay=0.1)
def call():
    try:
        sparse = cavs.RowSparse(ids, values, (9000, 8))
    except cavs.ShapeError as error:
        raise cavs.InputError(str(error))
    parameter.zero_grad()
    parameter.accumulate_grad(sparse)
    optimizer.step()
    sparse.to_dense()
run(call, ids)
""",
    "graphs": """
ptr = np.array([0, 3000])
child_ptr = np.arange(3001) - 1
child_ptr[0] = 0
children = np.arange(2999)
def call():
    try:
        cavs.GraphBatch.from_csr(ptr, child_ptr, children).schedule()
    except cavs.GraphError as error:
        raise cavs.InputError(str(error))
run(call, children, child_ptr)
""",
}


@pytest.mark.no_tsan
@pytest.mark.parametrize("name", CALLS)
def test_ids_that_another_thread_changes_during_calls(name: str) -> None:
    """Each call sees ids that are right, or refuses them; none reads or writes elsewhere."""
    result = run_script(CHANGING + CALLS[name])
    assert (result.returncode, result.stderr) == (0, "")
    done, refused = map(int, result.stdout.split())
    assert done > 0
    assert refused > 0


def test_ids_that_a_signal_handler_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same thread, whenever the interpreter looks for signals."""
    model, graphs = tree_lstm(), trees(40)
    inputs = sample(graphs)
    expected = model(graphs, **inputs)["loss"].numpy()
    good = inputs["word"].copy()

    def scribble(*_: Any) -> None:
        inputs["word"][:] = 2**30 if inputs["word"][0] == good[0] else good

    before = signal.signal(signal.SIGALRM, scribble)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        for _ in range(300):
            try:
                loss = model(graphs, **inputs)["loss"]
            except cavs.InputError:
                continue
            np.testing.assert_array_equal(loss.numpy(), expected)
            loss.sum().backward()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_arrays_of_graphs_and_schedules_cannot_be_made_writable() -> None:
    graphs = trees()
    for owner in (graphs, graphs.schedule()):
        for name in ("ptr", "child_ptr", "children", "child", "out_edge", "vertex_order"):
            array = getattr(owner, name, None)
            if array is not None:
                with pytest.raises(ValueError, match="WRITEABLE"):
                    array.setflags(write=True)
    with pytest.raises(ValueError, match="read-only"):
        cavs.RowSparse(np.zeros(1, np.int32), np.zeros((1, 2)), (3, 2)).indices[0] = 7
