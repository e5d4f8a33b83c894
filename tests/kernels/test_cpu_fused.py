"""Elementwise groups: each operation, accuracy, and every memory layout.

Where a group can be compiled it runs interpreted and compiled, and both must agree bit by bit.
"""

from functools import partial
from itertools import pairwise

import kernel_calls as kc
import numpy as np
import pytest
from oracles import erfinv

from cavs._native import core
from cavs.core.ops import OPS as TABLE


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# Written anew; an operation that is not here is held to the reference in its row alone.
FORMULAE = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "square": np.square,
    "abs": np.abs,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "softplus": softplus,
    "erfinv": erfinv,
    "where": lambda c, a, b: np.where(c != 0, a, b),
    "minimum": np.minimum,
    "maximum": np.maximum,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "equal": lambda a, b: a == b,
    "sign": np.sign,
    "reciprocal": lambda a: 1 / a,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "identity": lambda a: a,
    "stop_gradient": lambda a: a,
    "bce_with_logits": lambda x, t: np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))),
    "squared_error": lambda a, b: (a - b) ** 2,
    "sigmoid_grad": lambda dy, y: dy * y * (1 - y),
    "tanh_grad": lambda dy, y: dy * (1 - y * y),
}
OPS = {
    name: FORMULAE.get(name, partial(op.reference, np))
    for name, op in TABLE.items()
    if op.elementwise
}
POSITIVE = {"digamma", "lgamma", "log", "log1p", "pow", "sqrt", "rsqrt"}
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]


def call_fused(dtype, inputs, outputs, group, **options):
    """Interprets the group, then compiles it where that can be, and compares."""
    kc.call("fused", dtype, inputs, outputs, attributes=group, **options)
    if dtype != "float" or group.width < 16 or not core.can_compile_groups():
        return
    interpreted = [out.copy() for out in outputs]
    begin, end = options.get("rows", (0, len(outputs[0])))
    for out in outputs:
        out[begin:end] = 7
    kc.call("fused", dtype, inputs, outputs, attributes=group, compile=True, **options)
    for out, expected in zip(outputs, interpreted, strict=True):
        np.testing.assert_array_equal(out, expected)
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(out[known]), np.signbit(expected[known]))


def run_op(name, dtype, operands):
    width = operands[0].shape[1]
    out = np.empty_like(operands[0])
    group = kc.Registers(width, 1, [(name, 0, *range(len(operands)))], [0])
    call_fused(dtype, operands, [out], group)
    return out


def test_every_operation_has_a_case():
    assert set(FORMULAE) <= set(OPS)
    assert core.scalar_ops() == {name: TABLE[name].arity for name in OPS}


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("name", OPS)
def test_operation(name, dtype, rng):
    operands = [
        rng.normal(size=(37, 23)).astype(kc.DTYPES[dtype]) for _ in range(core.scalar_ops()[name])
    ]
    if name in POSITIVE:
        operands[0] = np.abs(operands[0]) + 1e-3
    if name == "zeta":
        operands = [2 + np.abs(operands[0]), 0.5 + np.abs(operands[1])]
    if len(operands) > 1 and name not in POSITIVE:
        operands[0][::3] = operands[1][::3]  # equal values for the comparisons
    if name == "where":
        operands[0] = (operands[0] > 0).astype(operands[0].dtype)
    expected = OPS[name](*(operand.astype(np.float64) for operand in operands))
    tolerance = {"float": 1e-6, "double": 1e-14}[dtype]
    np.testing.assert_allclose(run_op(name, dtype, operands), expected, tolerance, tolerance)


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("name", OPS)
@pytest.mark.filterwarnings("ignore:.*encountered")
def test_special_values(name, dtype):
    count = core.scalar_ops()[name]
    grid = np.meshgrid(*[np.array(SPECIAL, kc.DTYPES[dtype])] * count)
    # Repeated, so that rows are long enough to be compiled.
    operands = [np.tile(axis.reshape(1, -1), 3) for axis in grid]
    if name in ("sigmoid_grad", "tanh_grad", "bce_with_logits"):
        # Products of infinities may contract; what matters is that NaN stays NaN.
        got = run_op(name, dtype, operands)
        nan = np.isnan(sum(np.where(np.isnan(x), np.nan, 0) for x in operands))
        assert np.isnan(got[nan]).all()
        return
    with np.errstate(all="ignore"):
        expected = np.asarray(OPS[name](*operands), kc.DTYPES[dtype])
    # Where s < 1, which zeta is not made for, large terms cancel.
    rtol = 1e-5 if name == "zeta" else 3e-7
    np.testing.assert_allclose(run_op(name, dtype, operands), expected, rtol=rtol)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("exp", -87, 88.7),
        ("sigmoid", -87, 100),
        ("tanh", -20, 20),
        ("tanh", -1e-2, 1e-2),
        ("softplus", -87, 100),
        ("log", 1e-6, 50),
        ("log", 0.9, 1.1),
        ("erfinv", -0.9999, 0.9999),
        ("erfinv", 0.9999, 1 - 2.0**-24),
    ],
)
def test_float_accuracy(name, low, high):
    count = 20_000 if name == "erfinv" else 200_000
    x = np.linspace(low, high, count, dtype=np.float32).reshape(-1, 100)
    expected = OPS[name](x.astype(np.float64))
    error = np.abs(run_op(name, "float", [x]) - expected) / np.maximum(np.abs(expected), 1e-37)
    assert error.max() < 4e-7


def test_float_extremes(keep_denormals):
    x = np.array([[1e-5, 1e-30, 1e-40, 200, -200, 90, -104, 3e38] * 3], np.float32)
    np.testing.assert_array_equal(run_op("tanh", "float", [x])[0, :3], x[0, :3])
    np.testing.assert_array_equal(run_op("tanh", "float", [x])[0, 3:5], [1, -1])
    np.testing.assert_array_equal(run_op("sigmoid", "float", [x])[0, 3:6], [1, 0, 1])
    np.testing.assert_array_equal(run_op("exp", "float", [x])[0, 3:7], [np.inf, 0, np.inf, 0])
    np.testing.assert_allclose(run_op("softplus", "float", [x])[0, 3:6], [200, 0, 90])
    tiny = np.array([[1e-40, 1e-45, 1.2e-38]], np.float32)
    np.testing.assert_allclose(
        run_op("log", "float", [tiny]), np.log(tiny.astype(np.float64)), 1e-6
    )
    low = np.linspace(-103, -87, 50, dtype=np.float32)[None]
    expected = np.exp(low.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(run_op("exp", "float", [low]), expected, rtol=0, atol=3e-45)


@pytest.mark.parametrize("dtype", kc.DTYPES)
def test_constants_keep_the_sign_of_zero(dtype):
    x = np.ones((2, 20), kc.DTYPES[dtype])
    out = np.empty_like(x)
    group = kc.Registers(20, 1, [("div", 0, 0, 2)], [0])
    call_fused(dtype, [x], [out], group, constants=[-0.0])
    assert (out == -np.inf).all()


def lstm_group(width):
    """c = sigmoid(i + bi) * tanh(u) + f * c0; h = sigmoid(o * 0.5) * tanh(c); both come out."""
    i, o, u, fc, bias, gate = range(6)
    r = [6 + k for k in range(6)]
    constant = 6 + 6
    ops = [
        ("add", 0, i, bias),
        ("sigmoid", 0, r[0]),
        ("tanh", 1, u),
        ("mul", 2, r[0], r[1]),
        ("mul", 3, fc, gate),
        ("add", 3, r[3], r[2]),
        ("tanh", 4, r[3]),
        ("mul", 5, o, constant),
        ("sigmoid", 5, r[5]),
        ("mul", 4, r[5], r[4]),
    ]
    return kc.Registers(width, 6, ops, [4, 3])


def lstm_reference(i, o, u, fc, bias, gate):
    c = sigmoid(i + bias) * np.tanh(u) + fc * gate
    return sigmoid(o * 0.5) * np.tanh(c), c


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize("out_layout", kc.LAYOUTS)
@pytest.mark.parametrize("width", [1, 3, 7, 15, 16, 17, 40, 150, 160, 511, 512, 600, 1100])
def test_layouts(width, layout, out_layout, dtype, rng):
    for rows in (1, 2, 5, 64, 67):
        values = [rng.normal(size=(rows, width)).astype(kc.DTYPES[dtype]) for _ in range(4)]
        bias = rng.normal(size=width).astype(kc.DTYPES[dtype])
        gate = rng.normal(size=(rows, 1)).astype(kc.DTYPES[dtype])
        outputs = [
            kc.LAYOUTS[out_layout](np.full((rows + 2, width), 7, kc.DTYPES[dtype]))
            for _ in range(2)
        ]
        around = [kc.surroundings(out) for out in outputs] if out_layout == "view" else []
        inputs = [kc.LAYOUTS[layout](value) for value in values]
        call_fused(
            dtype,
            [*inputs, bias, gate],
            outputs,
            lstm_group(width),
            constants=[0.5],
            rows=(1, rows),
            padded=[layout == "padded"] * 4 + [False] * 2 + [out_layout == "padded"] * 2,
        )
        expected = lstm_reference(*values, bias, gate)
        for out, value in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(out[1:rows], value[1:], **kc.TOLERANCES[dtype])
            assert (out[:1] == 7).all()
            assert (out[rows:] == 7).all()
        for out, before in zip(outputs, around, strict=False):
            np.testing.assert_array_equal(kc.surroundings(out), before)


@pytest.mark.parametrize("width", [1, 5, 33, 700])
def test_index_and_broadcast(width, rng):
    x = rng.normal(size=(9, width)).astype(np.float32)
    index = rng.integers(-1, 9, size=50)
    column = rng.normal(size=(50, 1)).astype(np.float32)
    scalar = np.array([3.0], np.float32)
    out = np.empty((50, width), np.float32)
    group = kc.Registers(width, 1, [("mul", 0, 0, 1), ("add", 0, 3, 2)], [0])
    call_fused("float", [x, column, scalar], [out], group, tables=[{"index": index}, {}, {}])
    gathered = np.where(index[:, None] < 0, 0, x[index])
    np.testing.assert_allclose(out, gathered * column + 3, rtol=1e-6, atol=1e-6)
    out_index = np.empty((50, width), np.float32)
    column_group = kc.Registers(width, 1, [("add", 0, 0, 0)], [0])
    narrow = [{"index": index}]
    call_fused("float", [x[:, :1].copy()], [out_index], column_group, tables=narrow)
    np.testing.assert_allclose(out_index, np.broadcast_to(2 * gathered[:, :1], out.shape))


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("width", [1, 5, 33, 700, 3000])
def test_sums_over_lists_of_rows(width, dtype, rng):
    rows = 12
    ptr = np.concatenate([[0, 0, 1, 3], rng.integers(3, 40, size=rows - 4), [40]])
    ptr.sort()
    listed = rng.integers(0, 25, size=40)
    x = rng.normal(size=(25, width)).astype(kc.DTYPES[dtype])
    along = rng.normal(size=(40, width)).astype(kc.DTYPES[dtype])
    column = rng.normal(size=(40, 1)).astype(kc.DTYPES[dtype])
    out = np.full((rows, width), 7, kc.DTYPES[dtype])
    group = kc.Registers(width, 1, [("mul", 0, 0, 1), ("add", 0, 3, 2)], [0])
    tables = [{"ptr": ptr, "list": listed}, {"ptr": ptr}, {"ptr": ptr}]
    call_fused(dtype, [x, along, column], [out], group, tables=tables, rows=(1, rows))
    sums = [
        np.array([a[i:j].sum(0, np.float64) for i, j in pairwise(ptr)])
        for a in (x[listed], along, column)
    ]
    expected = sums[0] * sums[1] + sums[2]
    tolerance = {"float": 2e-5, "double": 1e-13}[dtype]
    np.testing.assert_allclose(out[1:], expected[1:], tolerance, 10 * tolerance)
    assert (out[0] == 7).all()


def test_one_register_for_two_outputs_and_output_over_input(rng):
    x = rng.normal(size=(40, 32)).astype(np.float32)
    expected = x + 1
    outputs = [np.empty_like(x), np.empty_like(x)]
    group = kc.Registers(32, 1, [("add", 0, 0, 2)], [0, 0])
    call_fused("float", [x], outputs, group, constants=[1.0])
    for out in outputs:
        np.testing.assert_array_equal(out, expected)
    group = kc.Registers(32, 1, [("add", 0, 0, 2), ("mul", 0, 1, 0), ("add", 0, 1, 0)], [0])
    kc.call("fused", "float", [x], [x], attributes=group, constants=[1.0])
    np.testing.assert_allclose(x, expected * (expected - 1) + (expected - 1), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not core.can_compile_groups(), reason="groups are interpreted here")
def test_compiled_groups_write_over_their_inputs(rng):
    x = rng.normal(size=(40, 37)).astype(np.float32)
    expected = np.tanh(x + 1)
    group = kc.Registers(37, 1, [("add", 0, 0, 2), ("tanh", 0, 1)], [0])
    kc.call("fused", "float", [x], [x], attributes=group, constants=[1.0], compile=True)
    np.testing.assert_allclose(x, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", kc.DTYPES)
def test_many_registers_and_constants(dtype, rng):
    """More values at once than the machine has registers: x + c0, x + c0 + c1, ..., then all
    multiplied in turn with the last."""
    count = 60
    x = rng.normal(size=(30, 150)).astype(kc.DTYPES[dtype])
    first_register, first_constant = 1, 2 + count
    ops = [("add", 0, 0, first_constant)]
    ops += [("add", k, first_register + k - 1, first_constant + k) for k in range(1, count)]
    last = first_register + count - 1
    spare = first_register + count
    for k in range(count):
        ops += [("mul", count, last, first_constant), ("add", count - 1, spare, first_register + k)]
    out = np.empty_like(x)
    constants = rng.normal(size=count)
    constants[0] = 0.5
    call_fused(
        dtype, [x], [out], kc.Registers(150, count + 1, ops, [count - 1]), constants=constants
    )
    values = [x + total for total in np.cumsum(constants)]
    expected = values[-1]
    for k in range(count):
        expected = expected * 0.5 + (values[k] if k < count - 1 else expected)
    tolerance = {"float": 1e-5, "double": 1e-10}[dtype]
    np.testing.assert_allclose(out, expected, tolerance, tolerance)


def test_no_rows_and_no_width():
    out = np.empty((0, 4), np.float32)
    kc.call("fused", "float", [out], [out], attributes=kc.Registers(4, 1, [("neg", 0, 0)], [0]))
    empty = np.empty((3, 0), np.float32)
    kc.call("fused", "float", [empty], [empty], attributes=kc.Registers(0, 1, [("neg", 0, 0)], [0]))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("width", [17, 150, 700, 1024])
def test_results_over_the_rows_that_were_read(width, dtype, compiled, rng):
    """Three inputs side by side in rows, each padded, and three results there without padding."""
    if compiled and (dtype != "float" or not core.can_compile_groups()):
        pytest.skip("groups are not compiled here")
    stride = -(-width // 16) * 16
    memory = rng.normal(size=(21, 3 * stride)).astype(kc.DTYPES[dtype])
    before = memory.copy()
    inputs = [memory[:, i * stride : i * stride + width] for i in range(3)]
    other = kc.padded(rng.normal(size=(21, width)).astype(memory.dtype))
    a, b, c = (x.copy() for x in inputs)
    outputs = [memory[:, i * width : (i + 1) * width] for i in range(3)]
    ops = [("mul", 0, 0, 3), ("add", 1, 1, 4), ("sub", 2, 2, 5)]
    group = kc.Registers(width, 3, ops, [0, 1, 2])
    rows = (2, 19)
    kc.call(
        "fused", dtype, [*inputs, other], outputs, attributes=group, rows=rows, compile=compiled
    )
    first = a * other
    results = np.concatenate([first, b + first, c - (b + first)], axis=1)
    np.testing.assert_allclose(memory[2:19, : 3 * width], results[2:19], rtol=1e-5, atol=1e-5)
    for untouched in (np.s_[:2], np.s_[19:], np.s_[2:19, 3 * width :]):
        np.testing.assert_array_equal(memory[untouched], before[untouched])
