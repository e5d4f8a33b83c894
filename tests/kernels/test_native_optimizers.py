"""Native optimiser steps against their formulae in NumPy, and against misuse."""

import os
import subprocess
import sys

import kernel_calls as kc
import numpy as np
import pytest

from cavs._native import core
from cavs.errors import InputError, ShapeError


@pytest.fixture(params=[1, 3])
def threads(request):
    before = core.num_threads()
    core.set_num_threads(request.param)
    yield request.param
    core.set_num_threads(before)


@pytest.fixture(params=list(kc.DTYPES))
def draw(request, rng):
    return lambda *shape: rng.normal(size=shape).astype(kc.DTYPES[request.param])


def check(got, expected):
    tolerance = 3e-6 if got.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, expected, tolerance, tolerance)


def wide(*arrays):
    return [array.astype(np.float64) for array in arrays]


@pytest.mark.parametrize("size", [1, 1000, 100_003])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(size, momentum, nesterov, threads, draw):
    param, buffer = draw(size), np.zeros_like(draw(size))
    p, b = wide(param, buffer)
    for _ in range(3):
        grad = draw(size)
        buffers = [[buffer]] if momentum else []
        settings = core.SgdSettings(0.1, momentum, 0.01, nesterov)
        core.update(settings, [param], [grad], buffers)
        g = grad + 0.01 * p
        b = momentum * b + g
        p = p - 0.1 * (g + momentum * b if nesterov else b)
    check(param, p)
    if momentum:
        check(buffer, b)


@pytest.mark.parametrize("size", [1, 1000, 100_003])
def test_adagrad(size, threads, draw):
    param, state = draw(size), np.full_like(draw(size), 0.1)
    p, s = wide(param, state)
    for _ in range(3):
        grad = draw(size)
        core.update(core.AdagradSettings(0.05, 1e-10, 0.01), [param], [grad], [[state]])
        g = grad + 0.01 * p
        s = s + g * g
        p = p - 0.05 * g / (np.sqrt(s) + 1e-10)
    check(param, p)
    check(state, s)


@pytest.mark.parametrize("size", [1, 1000, 100_003])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(size, decoupled, threads, draw):
    param, m, v = draw(size), np.zeros_like(draw(size)), np.zeros_like(draw(size))
    p, pm, pv = wide(param, m, v)
    for step in (1, 2, 3):
        grad = draw(size)
        settings = core.AdamSettings(0.01, 0.9, 0.999, 1e-8, 0.1, decoupled)
        core.update(settings, [param], [grad], [[m], [v]], [step])
        g = grad if decoupled else grad + 0.1 * p
        p = p * (1 - 0.01 * 0.1) if decoupled else p
        pm = 0.9 * pm + 0.1 * g
        pv = 0.999 * pv + 0.001 * g * g
        bias1, bias2 = 1 - 0.9**step, 1 - 0.999**step
        p = p - 0.01 / bias1 * pm / (np.sqrt(pv) / np.sqrt(bias2) + 1e-8)
    check(param, p)
    check(m, pm)
    check(v, pv)


@pytest.mark.parametrize("shape", [(10, 3), (5000, 64)])
def test_sparse_rows(shape, threads, draw, rng):
    num, width = shape
    ids = rng.permutation(num)[: num // 2].astype(np.int32)
    ids[1] = -1
    kept = ids >= 0
    rows = draw(len(ids), width)
    start = draw(num, width)
    g = np.zeros(shape)
    g[ids[kept]] = rows[kept]
    touched = np.isin(np.arange(num), ids)[:, None]

    param = start.copy()
    core.update_rows(core.SgdSettings(0.1), param, ids, rows)
    check(param, start - 0.1 * g)

    param, state = start.copy(), np.full_like(start, 0.1)
    core.update_rows(core.AdagradSettings(0.1), param, ids, rows, [state])
    check(state, 0.1 + g * g)
    check(param, np.where(touched, start - 0.1 * g / (np.sqrt(0.1 + g * g) + 1e-10), start))

    param, m, v = start.copy(), np.full_like(start, 0.5), np.full_like(start, 0.25)
    core.update_rows(core.AdamSettings(0.1, 0.8, 0.9, 1e-6), param, ids, rows, [m, v], 4)
    expected_m = np.where(touched, 0.8 * 0.5 + 0.2 * g, 0.5)
    expected_v = np.where(touched, 0.9 * 0.25 + 0.1 * g * g, 0.25)
    check(m, expected_m)
    check(v, expected_v)
    rate = 0.1 * np.sqrt(1 - 0.9**4) / (1 - 0.8**4)
    update = rate * expected_m / (np.sqrt(expected_v) + 1e-6)
    check(param, np.where(touched, start - update, start))


@pytest.mark.parametrize("shape", [(10, 3), (5000, 64)])
def test_sparse_rows_decay_and_go_on_by_momentum_as_dense_ones_do(shape, threads, draw, rng):
    num, width = shape
    ids = rng.permutation(num)[: num // 2].astype(np.int32)
    rows, start, first, second = draw(len(ids), width), draw(*shape), draw(*shape), draw(*shape)
    second = np.abs(second)

    def compare(settings, *states):
        param, kept = start.copy(), [x.copy() for x in states]
        core.update_rows(settings, param, ids, rows, kept, 4)
        expected, chosen = start[ids], [x[ids] for x in states]
        core.update(settings, [expected], [rows], [[x] for x in chosen], [4])
        triples = zip((param, *kept), (start, *states), (expected, *chosen), strict=True)
        for found, before, changed in triples:
            whole = before.copy()
            whole[ids] = changed
            check(found, whole)

    compare(core.SgdSettings(0.1, 0.0, 0.1, False))
    for options in [(0.9, 0.1, False), (0.9, 0.0, True), (0.9, 0.1, True)]:
        compare(core.SgdSettings(0.1, *options), first)
    compare(core.AdagradSettings(0.1, 1e-6, 0.1), second)
    # Where eps counts for nothing, sparse and dense updates of Adam are the same.
    for decoupled in (False, True):
        compare(core.AdamSettings(0.1, 0.8, 0.9, 0.0, 0.1, decoupled), first, second)
    compare(core.RmspropSettings(0.1, 0.9, 1e-2, 0.1), second)
    compare(core.RmspropSettings(0.1, 0.9, 1e-2, 0.1, 0.9, True), 1 + second, first, second / 9)


@pytest.mark.parametrize("size", [0, 1, 777, 300_001])
def test_sums_and_scales(size, threads, draw):
    x, y = draw(size), draw(size)
    total = core.sum_squares(x)
    np.testing.assert_allclose(total, np.sum(x.astype(np.float64) ** 2), rtol=1e-12)
    core.set_num_threads(1)
    assert core.sum_squares(x) == total
    expected = x * 0.3 + 2 * y
    core.scale_(x, 0.3)
    core.add_(x, y, 2.0)
    check(x, expected)


def test_sum_squares_does_not_overflow():
    assert core.sum_squares(np.full(10, 1e30, np.float32)) == pytest.approx(1e61)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def readonly(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((zeros(8)[::2], zeros(4)), "param: expected a C-contiguous"),
        ((zeros(4, 4).T, zeros(4, 4)), "param: expected a C-contiguous"),
        ((readonly(zeros(4)), zeros(4)), "param: expected a writable"),
        ((zeros(4), zeros(4, dtype=np.float64)), "grad: expected dtype float32"),
        ((zeros(4), zeros(5)), "grad: expected 4 elements"),
        ((zeros(4, dtype=np.float16), zeros(4)), "param: expected float32, float64"),
        ((zeros(4, dtype=np.int32), zeros(4, dtype=np.int32)), "param: expected float32"),
        (([0.0], zeros(1)), "param: expected a NumPy array, got list"),
        ((None, zeros(1)), "param: expected a NumPy array, got NoneType"),
        ((zeros(4).astype(">f4"), zeros(4)), "param: expected float32, float64"),
        ((zeros(4), zeros(4), zeros(3)), "state: expected 4 elements"),
    ],
)
def test_misuse(args, message):
    param, grad, *states = args
    settings = core.SgdSettings(0.1, 0.9 if states else 0.0)
    with pytest.raises((InputError, ShapeError), match=message):
        core.update(settings, [param], [grad], [states] if states else [])


def test_settings_are_finite_numbers():
    for kind in (core.SgdSettings, core.AdagradSettings, core.AdamSettings, core.RmspropSettings):
        with pytest.raises(InputError, match="lr: expected a finite number"):
            kind(float("nan"))
    with pytest.raises(InputError, match="beta: expected"):
        core.AdamSettings(0.1, 1.0)


SETTINGS = [
    (core.SgdSettings(0.1), 0),
    (core.SgdSettings(0.1, 0.9), 1),
    (core.AdagradSettings(0.1), 1),
    (core.AdamSettings(0.1), 2),
    (core.RmspropSettings(0.1), 1),
    (core.RmspropSettings(0.1, momentum=0.5, centered=True), 3),
]


@pytest.mark.parametrize(("settings", "count"), SETTINGS)
def test_lists_have_one_length(settings, count):
    states = [[zeros(3, 2)] for _ in range(count)]
    with pytest.raises(ShapeError, match="grad: expected 2 arrays, one a param, got 1"):
        core.update(settings, [zeros(3), zeros(4)], [zeros(3)], states)
    with pytest.raises(ShapeError, match=rf"states: expected {count} for a param, got 4"):
        core.update(settings, [zeros(3)], [zeros(3)], [[]] * 4)
    if count:
        with pytest.raises(ShapeError, match="state: expected 1 arrays, one a param, got 0"):
            core.update(settings, [zeros(3)], [zeros(3)], [[]] * count)
    ids = np.int32([0, 1, 2])
    with pytest.raises(ShapeError, match=rf"states: expected {count} for a param, got 4"):
        core.update_rows(settings, zeros(3, 2), ids, zeros(3, 2), [zeros(3, 2)] * 4)


def test_steps_are_counted_from_one():
    settings, arrays = core.AdamSettings(0.1), ([zeros(3)], [zeros(3)], [[zeros(3)], [zeros(3)]])
    with pytest.raises(ShapeError, match="steps: expected 1 of them"):
        core.update(settings, *arrays)
    with pytest.raises(InputError, match="step: expected 1 or more"):
        core.update(settings, *arrays, [0])


def test_shared_memory_is_refused():
    x, grad, other = zeros(8), zeros(8), zeros(8)
    with pytest.raises(InputError, match="grad: expected memory of its own"):
        core.update(core.SgdSettings(0.1), [x[:6]], [x[2:]])
    for states in ([[x], [other]], [[other], [x]], [[grad], [other]], [[other], [other]]):
        with pytest.raises(InputError, match="state: expected memory of its own"):
            core.update(core.AdamSettings(0.1), [x], [grad], states, [1])
    x, rows, other = zeros(4, 2), zeros(4, 2), zeros(4, 2)
    for states in ([x, other], [other, x], [rows, other], [other, other]):
        with pytest.raises(InputError, match="memory of its own"):
            core.update_rows(core.AdamSettings(0.1), x, np.int32([0, 1, 2, 3]), rows, states)


@pytest.mark.parametrize("sizes", [(5, 3, 1), (40_000, 7, 60_000, 1)])
def test_parameters_of_both_dtypes_together(sizes, threads, rng):
    """What a call does to one of many parameters, it does to it alone."""
    dtypes = [np.float32 if i % 2 else np.float64 for i in range(len(sizes))]

    def draw():
        return [rng.normal(size=n).astype(t) for n, t in zip(sizes, dtypes, strict=True)]

    params, grads, firsts = draw(), draw(), [abs(x) for x in draw()]
    alone = [(p.copy(), f.copy()) for p, f in zip(params, firsts, strict=True)]
    settings = core.AdagradSettings(0.1)
    core.update(settings, params, grads, [firsts])
    for number, (param, first) in enumerate(alone):
        core.update(settings, [param], [grads[number]], [[first]])
        assert np.array_equal(params[number], param)
        assert np.array_equal(firsts[number], first)


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        ([0, 5], (2, 3), "row ids from -1 to 4, got 5"),
        ([0, -2], (2, 3), "row ids from -1 to 4, got -2"),
        ([1, 1], (2, 3), "distinct row ids, got 1 again"),
        ([0, 1], (3, 3), "expected .number of ids"),
        ([0, 1], (2, 4), "expected .number of ids"),
        ([0, 1], (6,), "expected .number of ids"),
    ],
)
def test_sparse_misuse(ids, rows, message):
    with pytest.raises((InputError, ShapeError), match=message):
        core.update_rows(core.SgdSettings(0.1), zeros(5, 3), np.int32(ids), zeros(*rows))


def test_sparse_ids_are_int32():
    with pytest.raises(InputError, match=r"ids: expected .*int32"):
        core.update_rows(
            core.SgdSettings(0.1), zeros(5, 3), np.array([0, 1], np.int64), zeros(2, 3)
        )
    core.update_rows(core.SgdSettings(0.1), zeros(5, 3), np.array([], np.int32), zeros(0, 3))


@pytest.mark.parametrize("size", [0, 1, 15, 1000, 16_384, 100_003])
def test_greatest_magnitudes(size, threads, draw, rng):
    """Of each array; one NaN or infinity anywhere shows, NaN before infinity."""
    arrays = [draw(size), draw(7), -np.abs(draw(size))]
    assert core.max_abs(arrays) == [float(np.abs(x).max(initial=0.0)) for x in arrays]
    for wrong in (np.inf, -np.inf, np.nan, -np.nan):
        if size:
            arrays[2][rng.integers(size)] = wrong
            found = core.max_abs(arrays)
            assert np.isnan(found[2]) if np.isnan(wrong) else found[2] == np.inf
            assert np.isfinite(found[:2]).all()
    if size > 1:
        arrays[0][:2] = np.inf, np.nan
        assert np.isnan(core.max_abs(arrays)[0])
    assert core.max_abs([]) == []
    with pytest.raises(InputError):
        core.max_abs([np.zeros(3, np.int32)])


@pytest.mark.parametrize("isa", ["generic", "avx2"])
def test_greatest_magnitudes_of_lesser_instruction_sets(isa):
    script = (
        "import numpy as np; from cavs._native import core\n"
        "for size in (1, 7, 8, 15, 16, 17, 33, 1000):\n"
        "    for dtype in (np.float32, np.float64):\n"
        "        for at in range(0, size, max(1, size // 17)):\n"
        "            x = np.ones(size, dtype); x[at] = -3\n"
        "            assert core.max_abs([x]) == [3.0]\n"
        "            x[at] = np.nan\n"
        "            assert np.isnan(core.max_abs([x])[0])\n"
    )
    environment = {**os.environ, "CAVS_ISA": isa}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


@pytest.mark.parametrize("size", [1, 1000, 100_003])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(size, momentum, centered, threads, draw):
    settings = core.RmspropSettings(0.01, 0.9, 1e-2, 0.1, momentum, centered)
    count = 1 + (momentum != 0) + centered
    param, states = draw(size), [np.zeros_like(draw(size)) for _ in range(count)]
    p, v, a, b = (*wide(param), 0.0, 0.0, 0.0)
    for _ in range(3):
        grad = draw(size)
        core.update(settings, [param], [grad], [[state] for state in states])
        g = grad + 0.1 * p
        v = 0.9 * v + 0.1 * g * g
        a = 0.9 * a + 0.1 * g
        b = momentum * b + g / (np.sqrt(v - a * a if centered else v) + 1e-2)
        p = p - 0.01 * b
    check(param, p)
    check(states[0], v)
    if momentum:
        check(states[1], b)
    if centered:
        check(states[-1], a)


def test_alpha_is_below_one():
    with pytest.raises(InputError, match=r"\[optim\] alpha: expected a number from 0 to below 1"):
        core.RmspropSettings(0.1, 1.0)
