"""Runs of a small program: what arrays they take, what memory they use and give back."""

import gc
import threading
from typing import Any

import native_programs as native
import numpy as np
import pytest

import cavs
from cavs._native import core
from cavs.errors import CavsRuntimeError, InputError, ShapeError
from cavs.memory import plan_run, pooled_bytes, release_memory

WIDTH = 40
SCALE = 1  # number of the parameter


def value(
    name: str, space: str, role: str, index: int = -1, dtype: str = "float32"
) -> tuple[Any, ...]:
    return native.value(name, space, WIDTH, role=role, index=index, dtype=dtype)


def moved(kernel: str, source: int, target: int) -> tuple[Any, ...]:
    return native.instruction(kernel, [source], [target], ["vertex_order"])


def fused(opcode: str, inputs: list[int], output: int) -> tuple[Any, ...]:
    reads = ["shared" if number == SCALE else "row" for number in inputs]
    group = native.group(WIDTH, reads, [(opcode, list(range(len(inputs))))])
    return native.instruction("fused", inputs, [output], **group)


def make_programs(dtype: str = "float32") -> tuple[Any, Any]:
    """y = tanh(x) * scale, and the gradient of x."""
    outputs = [native.output("vertex", (WIDTH,), dtype)]
    values = [
        value("x", "vertex", "input", 0, dtype=dtype),
        value("scale", "none", "param", 0, dtype=dtype),
        value("rows", "vertex", "arena", dtype=dtype),
        value("tanh", "vertex", "arena", dtype=dtype),
        value("scaled", "vertex", "arena", dtype=dtype),
        value("y", "vertex", "output", 0, dtype=dtype),
    ]
    segments = [
        native.segment("rows", "vertex", [moved("load", 0, 2)]),
        native.segment(
            "levels",
            "vertex",
            [
                fused("tanh", [2], 3),
                fused("mul", [3, 1], 4),
                moved("store", 4, 5),
            ],
        ),
    ]
    forward = core.Program(native.dtype(dtype), values, segments, [], [3], None, outputs=outputs)
    more = [
        value("dy", "vertex", "input", 0, dtype=dtype),
        value("rows", "vertex", "arena", dtype=dtype),
        value("dtanh", "vertex", "arena", dtype=dtype),
        value("dx", "vertex", "arena", dtype=dtype),
        value("dx", "vertex", "output", 0, dtype=dtype),
    ]
    backward_segments = [
        native.segment(
            "rows",
            "vertex",
            [
                moved("load", 6, 7),
                fused("mul", [7, 1], 8),
                fused("tanh_grad", [8, 3], 9),
                moved("store", 9, 10),
            ],
        )
    ]
    backward = core.Program(
        native.dtype(dtype), values + more, backward_segments, [], [], forward, outputs=outputs
    )
    return forward, backward


class Case:
    """Arrays of one batch of chains."""

    def __init__(self, lengths: list[int], dtype: str = "float32") -> None:
        graphs = [cavs.InputGraph.from_parents([*range(1, n), -1]) for n in lengths]
        self.batch = cavs.batch(graphs)
        self.schedule = self.batch.schedule("batching")
        self.keys = np.arange(len(lengths), dtype=np.int64)
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((self.batch.num_vertices, WIDTH)).astype(dtype)
        self.scale = rng.standard_normal(WIDTH).astype(dtype)
        self.y = np.zeros_like(self.x)

    def run(self, program: Any, keep: bool = True) -> Any:
        return core.Run(program, self.schedule, self.keys, 0, 0, False, keep)

    def forward(self, program: Any, keep: bool = True, threads: int = 1) -> Any:
        run = self.run(program, keep)
        run.forward([self.scale], [self.x], [self.y], threads)
        return run


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("lengths", [[1], [5, 2, 9], [700, 1, 800], []])
def test_values(dtype: str, threads: int, lengths: list[int]) -> None:
    forward, backward = make_programs(dtype)
    case = Case(lengths, dtype)
    run = case.forward(forward, threads=threads)
    tanh = np.tanh(case.x)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(case.y, tanh * case.scale, rtol=tolerance, atol=tolerance)
    dy, dx = np.ones_like(case.x), np.zeros_like(case.x)
    run.backward(backward, [dy], [dx], threads)
    np.testing.assert_allclose(dx, case.scale * (1 - tanh**2), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [[5, 2, 9], []])
def test_outputs_that_nobody_gives_are_made(dtype: str, lengths: list[int]) -> None:
    forward, backward = make_programs(dtype)
    case = Case(lengths, dtype)
    run = case.forward(forward)
    other = case.run(forward)
    (y,) = other.forward([case.scale], [case.x])
    np.testing.assert_array_equal(y, case.y)
    dx, dy = np.empty_like(case.x), np.ones_like(case.x)
    assert run.backward(backward, [dy], [dx])[0] is dx
    (made,) = other.backward(backward, [dy], [None])
    np.testing.assert_array_equal(made, dx)
    assert made.dtype == y.dtype == dtype
    with pytest.raises(ShapeError, match="expected 1 output arrays, got 0"):
        case.run(forward).forward([case.scale], [case.x], [])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("keep", [True, False])
def test_dry_run_predicts_peak(threads: int, keep: bool) -> None:
    forward, backward = make_programs()
    case = Case([700, 1, 800])
    run = case.forward(forward, keep, threads)
    if keep:
        run.backward(backward, [case.x], [np.empty_like(case.x)], threads)
    sweeps = plan_run(forward, backward if keep else None, case.schedule, [], threads)
    planned = max(sweep.total for sweep in sweeps)
    assert run.peak_bytes == planned > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_a_backward_that_retains_can_be_repeated(threads: int) -> None:
    forward, backward = make_programs()
    case = Case([700, 1, 800])
    expected, found = np.empty_like(case.x), np.empty_like(case.x)
    case.forward(forward, threads=threads).backward(backward, [case.y], [expected], threads)
    run = case.forward(forward, threads=threads)
    for retain in (True, True, False):
        found[...] = 0
        run.backward(backward, [case.y], [found], threads, retain=retain)
        np.testing.assert_array_equal(found, expected)
    plan = plan_run(forward, backward, case.schedule, [], threads, retain=True)
    assert run.peak_bytes == max(sweep.total for sweep in plan)
    with pytest.raises(CavsRuntimeError, match=r"got a second one.*retain=True"):
        run.backward(backward, [case.y], [found], threads, retain=True)


def test_an_error_in_a_backward_that_retains_leaves_the_run_as_it_was() -> None:
    forward, backward = make_programs()
    case = Case([30])
    run = case.forward(forward)
    dx, expected = np.empty_like(case.x), np.empty_like(case.x)
    with pytest.raises(ShapeError, match="input arrays, got 0"):
        run.backward(backward, [], [dx], 1, retain=True)
    run.backward(backward, [case.y], [expected], 1, retain=True)
    run.backward(backward, [case.y], [dx], 1)
    np.testing.assert_array_equal(dx, expected)


def test_memory_is_used_again() -> None:
    forward, backward = make_programs()
    case = Case([3000])
    gc.collect()  # runs of other tests, which would give their memory back in the middle
    release_memory()
    assert pooled_bytes() == 0
    pooled = []
    for _ in range(4):
        run = case.forward(forward)
        run.backward(backward, [case.x], [np.empty_like(case.x)], 1)
        pooled.append(pooled_bytes())
    assert pooled[0] >= run.peak_bytes
    assert len(set(pooled)) == 1
    abandoned = case.forward(forward)
    assert pooled_bytes() == 0
    del abandoned
    gc.collect()
    assert pooled_bytes() == pooled[0]


def test_arrays_outlive_their_names() -> None:
    forward, backward = make_programs()
    case = Case([50])
    run = case.run(forward)
    run.forward([case.scale.copy()], [case.x.copy()], [np.empty_like(case.x)], 1)
    gc.collect()
    dx = np.empty_like(case.x)
    run.backward(backward, [np.ones_like(case.x)], [dx], 1)
    expected = case.scale * (1 - np.tanh(case.x) ** 2)
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6)


def test_calls_out_of_order() -> None:
    forward, backward = make_programs()
    case = Case([4])
    arrays = ([case.x], [np.empty_like(case.x)], 1)
    run = case.run(forward)
    with pytest.raises(CavsRuntimeError, match="before backward"):
        run.backward(backward, *arrays)
    run.forward([case.scale], *arrays)
    with pytest.raises(CavsRuntimeError, match="expected a new run"):
        run.forward([case.scale], *arrays)
    run.backward(backward, *arrays)
    with pytest.raises(CavsRuntimeError, match="got a second one"):
        run.backward(backward, *arrays)
    with pytest.raises(CavsRuntimeError, match="keep=False"):
        case.forward(forward, keep=False).backward(backward, *arrays)


def test_wrong_arrays() -> None:
    forward, _ = make_programs()
    case = Case([4])
    x, scale, y = case.x, case.scale, case.y
    frozen = y.copy()
    frozen.flags.writeable = False
    wrong = [
        ([scale], [x.astype("float64")], [y], "expected float32 for input 'x', got float64"),
        ([scale], [x.astype("int64")], [y], "as input 0, got int64"),
        ([scale], [x[:3]], [y], "4 rows .vertex. of 40 elements for input 'x', got 120"),
        ([scale], [np.asfortranarray(x)], [y], "C-contiguous"),
        ([scale], [x.tolist()], [y], "NumPy array as input 0, got list"),
        ([scale], [x], [frozen], "writable array as output 0"),
        ([scale[:5]], [x], [y], "for parameter 'scale', got 5"),
        ([], [x], [y], "expected 1 parameter arrays, got 0"),
        ([scale], [], [y], "expected 1 input arrays, got 0"),
    ]
    for params, inputs, outputs, message in wrong:
        with pytest.raises(ShapeError, match=message):
            case.run(forward).forward(params, inputs, outputs, 1)
    with pytest.raises(InputError, match="threads, got 0"):
        case.run(forward).forward([scale], [x], [y], 0)
    with pytest.raises(ShapeError, match="each of 1 graphs, got 2"):
        core.Run(forward, case.schedule, np.zeros(2, np.int64), 0, 0, False, True)


def test_malformed_program() -> None:
    with pytest.raises(InputError, match="got 'gamma'"):
        core.Program(native.dtype("float32"), [value("x", "vertex", "gamma")], [], [], [], None)
    with pytest.raises(InputError, match="tuple of 8 as a value"):
        core.Program(native.dtype("float32"), [("x",)], [], [], [], None)
    segment = native.segment("rows", "vertex", [native.instruction("copy", [7], [0])])
    with pytest.raises(InputError, match="in 'copy', got 7"):
        core.Program(
            native.dtype("float32"), [value("x", "vertex", "arena")], [segment], [], [], None
        )
    with pytest.raises(InputError, match="got 'tpu'; pass one"):
        core.Program(native.dtype("float32"), [], [], [], [], None, "tpu")


def test_profile() -> None:
    forward, _ = make_programs()
    case = Case([30, 20])
    run = case.run(forward)
    run.profile = True
    run.forward([case.scale], [case.x], [case.y], 1)
    records = run.profile_records()
    assert [r[:4] for r in records] == [
        ("forward", 0, 0, "load"),
        ("forward", 1, 0, "fused"),
        ("forward", 1, 1, "fused"),
        ("forward", 1, 2, "store"),
    ]
    assert [r[4:6] for r in records] == [(1, 50), (30, 50), (30, 50), (30, 50)]


def test_runs_in_several_python_threads() -> None:
    forward, backward = make_programs()
    failures: list[str] = []

    def work(length: int) -> None:
        case = Case([length])
        for _ in range(20):
            run = case.forward(forward, threads=2)
            dx = np.empty_like(case.x)
            run.backward(backward, [np.ones_like(case.x)], [dx], 2)
            expected = case.scale * (1 - np.tanh(case.x) ** 2)
            if not np.allclose(dx, expected, rtol=1e-5, atol=1e-6):
                failures.append(f"length {length}")

    threads = [threading.Thread(target=work, args=(n,)) for n in (100, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
