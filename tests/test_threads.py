"""What may be called from several threads at once.

Of compiling at once see tests/core/test_reentrancy.py, of ids that change during calls
tests/test_changing_ids.py, of processes tests/test_processes.py, and of the engine's own threads
tests/kernels/test_threads.py and tests/csrc/test_threads.cpp.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from busy_threads import beside, together
from small_trees import sample, train, tree_lstm, trees

import cavs
from cavs.tensor import record

pytestmark = pytest.mark.usefixtures("restored_threads")

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


@pytest.mark.no_tsan
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
