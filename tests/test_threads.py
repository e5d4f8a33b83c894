"""What may be called from several threads at once, in a child of fork(), and at the process's end.

Of the engine's own threads see tests/kernels/test_threads.py, tests/csrc/test_threads.cpp.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from small_trees import in_worker, sample, train, tree_lstm, trees

import cavs
from cavs.core.trace import trace
from cavs.models import ChildSumTreeLSTM
from cavs.tensor import record

no_tsan = pytest.mark.no_tsan
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
# From Python 3.12 on a fork with threads warns, rightly in general.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)


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


# --- Gradients ------------------------------------------------------------------------------------


def row_sparse(number: int) -> cavs.RowSparse:
    rows = np.arange(number % 7, 400, 7, dtype=np.int32)
    return cavs.RowSparse(rows, np.ones((len(rows), 30), np.float32), (400, 30))


def dense(number: int) -> np.ndarray:
    return np.full((400, 30), 1 + number % 3, np.float32)


GRADIENTS = {
    "dense": lambda number: dense(number),
    "row-sparse": lambda number: row_sparse(number),
    "both": lambda number: row_sparse(number) if number % 2 else dense(number),
}


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("leaf", ["parameter", "tensor"])
@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize("kind", GRADIENTS)
def test_gradients_of_several_threads_add_up(kind: str, adopt: bool, leaf: str) -> None:
    """From none on, again and again: who comes first is a race of its own."""
    zeros = np.zeros((400, 30), np.float32)
    x = cavs.Parameter(zeros) if leaf == "parameter" else cavs.tensor(zeros, requires_grad=True)
    threads, each, rounds = 4, 6, 25
    gradients = [GRADIENTS[kind](n) for n in range(threads * each)]
    expected = sum(np.asarray(gradient) for gradient in gradients)

    def work(first: int) -> None:
        for gradient in gradients[first::threads]:
            copied = gradient.copy() if adopt else gradient
            x.accumulate_grad(copied, adopt=adopt)

    for _ in range(rounds):
        x.zero_grad()
        together(threads, work)
        np.testing.assert_array_equal(np.asarray(x.grad), expected)


@pytest.mark.usefixtures("switching")
def test_memory_of_gradients_that_are_over_is_given_to_one_thread() -> None:
    parameter = cavs.Parameter(np.zeros(3, np.float32))

    def work(_: int) -> list[np.ndarray]:
        held = []
        for _ in range(2000):
            held.append(parameter.take_grad_buffer())
            parameter.accumulate_grad(np.ones(3, np.float32), adopt=True)
            parameter.zero_grad()
        return held

    buffers = [buffer for found in together(3, work) for buffer in found]
    assert len({id(buffer) for buffer in buffers}) == len(buffers)


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("threads", [1, 2])
def test_forward_and_backward_of_one_model_in_several_threads(threads: int) -> None:
    """The sum of all gradients, however the threads take turns; float64, so to 1e-12."""
    cavs.set_num_threads(threads)
    model, callers, each = tree_lstm(dtype="float64"), 4, 12
    batches = [trees(1 + n % 5) for n in range(callers * each)]
    inputs = [sample(graphs, n) for n, graphs in enumerate(batches)]

    def work(first: int) -> list[float]:
        losses = []
        for n in range(first, callers * each, callers):
            loss = model(batches[n], **inputs[n])["loss"].sum()
            loss.backward()
            losses.append(loss.item())
        return losses

    losses = together(callers, work)
    sums = [np.asarray(p.grad).copy() for p in model.parameters()]
    model.zero_grad()
    expected = [work(n) for n in range(callers)]
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    for p, found in zip(model.parameters(), sums, strict=True):
        np.testing.assert_allclose(found, np.asarray(p.grad), rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("switching")
def test_one_graph_is_walked_once() -> None:
    """Of threads that call backward of one loss, one adds its gradients and the others fail."""
    for _ in range(60):
        x = cavs.tensor(np.zeros(2), requires_grad=True)
        (y,) = record([np.zeros(2)], [x], lambda dys: [dys[0] * 1.0])
        loss = y.sum()

        def work(_: int, loss: cavs.Tensor = loss) -> bool:
            try:
                loss.backward()
            except cavs.CavsRuntimeError:
                return False
            return True

        assert sum(together(3, work)) == 1
        np.testing.assert_array_equal(x.grad, 1.0)


@pytest.mark.usefixtures("switching")
def test_what_is_given_out_in_one_thread_has_a_version_of_its_own() -> None:
    parameter = cavs.Parameter(np.zeros(3, np.float32))

    def work(_: int) -> list[int]:
        seen = []
        for _ in range(3000):
            parameter.data  # noqa: B018
            seen.append(parameter.read()[1])
        return seen

    before = parameter.read()[1]
    together(3, work)
    parameter.data  # noqa: B018
    assert parameter.read()[1] >= before + 9001  # none was counted twice


def test_one_no_grad_in_two_threads() -> None:
    """Each thread comes back to what it was in."""
    switch, inside, leave = cavs.no_grad(), threading.Event(), threading.Event()

    def other() -> None:
        with switch:
            inside.set()
            leave.wait(60)

    x = cavs.tensor(1.0, requires_grad=True)
    with cavs.no_grad():
        thread = threading.Thread(target=other)
        switch.__enter__()
        thread.start()
        inside.wait(60)
        switch.__exit__(None, None, None)
        assert not (x * 2.0).requires_grad
        leave.set()
        thread.join(60)
    assert (x * 2.0).requires_grad


# --- Compiling ------------------------------------------------------------------------------------


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


def test_operations_of_other_threads_are_computed_while_one_compiles() -> None:
    weight = cavs.Parameter(np.ones((2, 3), np.float32))
    with compiling():
        results = [weight * 2.0, weight.sum(), weight[1], cavs.ops.tanh(weight)]
    assert all(isinstance(y, cavs.Tensor) for y in results)
    np.testing.assert_array_equal(results[0].numpy(), 2)


def test_other_threads_compile_call_and_train_while_one_compiles() -> None:
    graphs = trees()
    with compiling():
        model = tree_lstm()
        assert np.isfinite(train(model, graphs, sample(graphs)))


def test_forwards_of_several_threads_at_once() -> None:
    """Each in the middle of its own; random operations are numbered in each from 0."""
    count, barrier = 3, threading.Barrier(3)

    class Meeting(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layer = cavs.nn.Linear(3, 2)
            self.scale = 2.0

        def forward(self, v: cavs.Vertex) -> None:
            h = self.layer(v.pull("x", 3))
            for _ in range(4):
                barrier.wait(60)
                h = h + v.uniform(2)
            barrier.wait(60)
            v.push(y=h * self.scale)

    functions = [Meeting() for _ in range(count)]
    models = together(count, lambda n: cavs.compile(functions[n]))
    barrier = threading.Barrier(1)
    alone = cavs.compile(functions[0])
    x = np.zeros((5, 3), np.float32)
    for function in functions[1:]:
        function.layer.load_state_dict(functions[0].layer.state_dict())
    results = [model(trees(1), x=x)["y"].numpy() for model in [alone, *models]]
    for y in results:
        np.testing.assert_array_equal(y, results[0])
    # What each forward read is noted for it, and for nobody else.
    functions[1].scale = 3.0
    for function, model in zip(functions, models, strict=True):
        if function is functions[1]:
            with pytest.raises(cavs.CavsRuntimeError, match="scale"):
                model(trees(1), x=x)
        else:
            model(trees(1), x=x)


def test_no_hooks_are_left_behind() -> None:
    together(4, lambda _: tree_lstm())
    assert not {"__getattribute__", "__setattr__"} & set(vars(cavs.Module))


class Nested(cavs.VertexFunction):
    """Compiles and runs another function in the middle of its own forward."""

    def __init__(self, inner: Callable[[], None] | None) -> None:
        self.inner = inner
        self.layer = cavs.nn.Linear(3, 2)

    def forward(self, v: cavs.Vertex) -> None:
        first, second = v.uniform(4), v.uniform(4)
        if self.inner is not None:
            self.inner()
        third, fourth = v.uniform(4), v.uniform(4)
        v.push(a=first, b=second, c=third, d=fourth, y=self.layer(v.pull("x", 3)))


def compile_another() -> None:
    graphs = trees(1)
    model = tree_lstm()
    assert np.isfinite(model(graphs, **sample(graphs))["loss"].numpy()).all()


def fail_to_compile() -> None:
    with pytest.raises(cavs.TraceError, match="bad"):
        cavs.compile(Failing())


class Failing(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.uniform(3)
        raise cavs.TraceError("bad")


@pytest.mark.parametrize("inner", [compile_another, fail_to_compile])
def test_a_compile_within_a_forward_changes_nothing_in_it(inner: Callable[[], None]) -> None:
    plain, nested = cavs.compile(Nested(None)), cavs.compile(Nested(inner))
    nested.load_state_dict(plain.state_dict())
    x = np.ones((5, 3), np.float32)
    out, expected = nested(trees(1), x=x), plain(trees(1), x=x)
    for name in "abcdy":
        np.testing.assert_array_equal(out[name].numpy(), expected[name].numpy())
    numbers = np.concatenate([out[name].numpy() for name in "abcd"], axis=None)
    assert len(np.unique(numbers)) == numbers.size
    for node in trace(Nested(inner)).function.pushes.values():
        assert node.where is not None
        assert node.where.file == __file__


def test_lines_are_those_of_the_function_after_a_compile_within() -> None:
    class Wrong(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            compile_another()
            y = v.pull("x", 3)
            if y:
                pass

    with pytest.raises(cavs.TraceError, match=r"test_threads\.py:\d+ \(if y:\)"):
        cavs.compile(Wrong())
    with pytest.raises(cavs.TraceError) as error:
        bool(cavs.core.ir.constant(1.0))  # outside of any trace
    assert " at " not in str(error.value).split("symbol without a value")[1]


def test_after_a_forward_that_failed_parameters_are_tensors() -> None:
    fail_to_compile()
    weight = cavs.Parameter(np.ones(3, np.float32))
    assert isinstance(weight * 2.0, cavs.Tensor)


# --- Calls ----------------------------------------------------------------------------------------


class Noise(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.push(u=v.uniform(8))


@pytest.mark.usefixtures("switching")
def test_no_two_calls_draw_the_same_numbers() -> None:
    model, graphs, each = cavs.compile(Noise()), trees(1), 150
    found = together(4, lambda _: [model(graphs)["u"].numpy().tobytes() for _ in range(each)])
    assert len({bytes for part in found for bytes in part}) == 4 * each
    assert model.random_state()["step"] == 4 * each


@pytest.mark.usefixtures("switching")
def test_no_two_tensors_of_a_generator_are_the_same() -> None:
    generator, each = cavs.Generator(3), 400
    found = together(4, lambda _: [generator.uniform(4).numpy().tobytes() for _ in range(each)])
    assert len({bytes for part in found for bytes in part}) == 4 * each
    assert generator.step == 4 * each


class Growing(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        h = v.gather(h=4).h.sum()
        v.scatter(h=h + 1.0)
        v.push(u=v.uniform(4))


@pytest.mark.usefixtures("switching")
def test_no_two_graphs_that_grow_at_once_draw_the_same_numbers() -> None:
    model = cavs.compile(Growing())
    model.stepwise()

    def grow(_: int) -> list[bytes]:
        found = []
        for _ in range(10):
            grown = cavs.unfold(
                model,
                cavs.Growth(children=[[]], graph=[0]),
                lambda f: cavs.Growth(children=f.vertices) if f.level < 3 else None,
                num_graphs=1,
            )
            found += [row.tobytes() for row in grown.outputs["u"]]
        return found

    rows = [row for found in together(3, grow) for row in found]
    assert len(set(rows)) == len(rows)


def test_first_schedules_of_one_batch() -> None:
    for _ in range(20):
        graphs = trees(50)
        assert len({id(s) for s in together(4, lambda _, g=graphs: g.schedule())}) == 1


@pytest.mark.usefixtures("switching")
def test_calls_profiles_modes_and_settings_at_once() -> None:
    """One model and one batch; what comes out is one of what comes out alone."""
    model, graphs = tree_lstm(), trees()
    inputs = sample(graphs)
    expected = model(graphs, **inputs)["loss"].numpy()

    def call(_: int = 0) -> None:
        np.testing.assert_array_equal(model(graphs, **inputs)["loss"].numpy(), expected)
        with cavs.no_grad():
            found = model(graphs, **inputs)["loss"].numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    numbers = iter(range(10**9))
    others = [
        lambda: str(model.explain(graphs, loss="loss", repeats=1, **inputs)),
        lambda: model.memory(graphs, **inputs),
        lambda: model.eval() if next(numbers) % 2 else model.train(),
        lambda: cavs.set_num_threads(1 + next(numbers) % 4),
        lambda: model.explain(),
    ]
    for other in others:
        with beside(other):
            together(2, lambda _: [call() for _ in range(15)])


def test_a_step_between_a_call_and_its_backward_is_an_error() -> None:
    """Whichever thread steps: gradients are of the values of the forward or there are none."""
    model, graphs = tree_lstm(), trees()
    loss = model(graphs, **sample(graphs))["loss"].sum()
    thread = threading.Thread(target=train, args=(model, graphs, sample(graphs)))
    thread.start()
    thread.join(60)
    with pytest.raises(cavs.CavsRuntimeError, match="written since"):
        loss.backward()


@no_tsan
def test_what_a_step_beside_a_call_changed_is_seen_by_the_next_call() -> None:
    """Nothing made of parameters while they changed is kept: panels of weights, remembered rows."""
    model, graphs = tree_lstm(), trees(40)
    inputs = sample(graphs)
    for parameter in model.parameters():
        parameter.accumulate_grad(np.ones(parameter.shape, np.float32))
    optimizer = cavs.optim.SGD(model.parameters(), lr=1e-4)

    def infer() -> np.ndarray:
        with cavs.no_grad():
            return model(graphs, **inputs)["loss"].numpy()

    with beside(infer):
        for _ in range(300):
            optimizer.step()
    other = tree_lstm()
    other.load_state_dict(model.state_dict())
    with cavs.no_grad():
        expected = other(graphs, **inputs)["loss"].numpy()
    for _ in range(3):
        np.testing.assert_allclose(infer(), expected, rtol=1e-6)


# --- Inputs that change during a call -------------------------------------------------------------

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
    core.sgd_update_rows(table, ids, rows, 0.1)
    core.adagrad_update_rows(table, ids, rows, state, 0.1)
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


def run_script(script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, **options)


@no_tsan
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


@no_tsan
@needs_fork
@forks
def test_fork_while_another_thread_is_in_a_forward() -> None:
    with compiling():
        assert forked(all_of_it) == 0
    all_of_it()


@no_tsan
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


@no_tsan
@needs_fork
@forks
@pytest.mark.parametrize("busy", ["compiles", "trains", "infers", "adds gradients"])
def test_fork_while_another_thread(busy: str) -> None:
    """The child works with what the other thread was in the middle of: model, batch, parameters."""
    cavs.set_num_threads(2)
    model, graphs = tree_lstm(), trees(60)
    inputs = sample(graphs)
    parameter = cavs.Parameter(np.zeros((400, 30), np.float32))

    def infer() -> None:
        with cavs.no_grad():
            model(graphs, **inputs)
        for p in model.parameters():
            p.data  # noqa: B018 - forgets what is remembered

    work = {
        "compiles": _compile_something,
        "trains": lambda: train(model, graphs, inputs),
        "infers": infer,
        "adds gradients": lambda: parameter.accumulate_grad(row_sparse(1)),
    }[busy]

    def child() -> None:
        infer()
        train(model, graphs, inputs)
        train(model, trees(3), sample(trees(3)))
        parameter.zero_grad()
        parameter.accumulate_grad(row_sparse(2))
        _compile_something()

    with beside(work):
        for _ in range(12):
            assert forked(child) == 0
    child()


@no_tsan
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


@no_tsan
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("works", ["train,", "infer, train", "add, add"])
def test_daemon_threads_when_the_process_ends(works: str, threads: int) -> None:
    for turn in range(4):
        settings = {"threads": threads, "works": works, "graphs": 5 + 60 * turn}
        result = run_script(ENDING.format(wait=0.003 * turn, **settings))
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@no_tsan
def test_sys_exit_has_its_code_beside_daemon_threads() -> None:
    script = ENDING.format(threads=2, works="train, add", graphs=20, wait=0.01) + "sys.exit(3)"
    result = run_script(script)
    assert (result.returncode, result.stdout, result.stderr) == (3, "", "")
