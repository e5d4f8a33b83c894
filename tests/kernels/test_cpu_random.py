"""Kernels that draw random numbers, against the generator's definition, bit by bit."""

import os
import subprocess
import sys
from typing import Any

import kernel_calls as kc
import numpy as np
import pytest

from cavs._native import core
from cavs.core.attributes import DropoutAttributes, UniformAttributes
from cavs.execution.philox import GRAPH_LOCAL, uniform, uniform_by_id

# Around the vectors of each instruction set, and around the words that one step of theirs makes.
WIDTHS = [*range(1, 70), 95, 96, 97, 127, 128, 129, 150, 300, 1025]
INSTRUCTION_SETS = ["generic", "avx2", "avx512"]
OP = 2**32 - 2
both_dtypes = pytest.mark.parametrize("dtype", kc.DTYPES)


class Keys:
    """Keys of rows of one space (vertices, edges, graphs), and the numbers they stand for."""

    def __init__(self, rng: np.random.Generator, rows: int, space: int = 0) -> None:
        self.rows, self.space = rows, space
        graph = rng.integers(0, 3, size=rows).astype(np.int32)
        local = rng.integers(0, 2**31, size=rows).astype(np.int32)
        keys = np.array([5, 2**40 + 3, -2] * rows, np.int64)
        self.random: dict[str, Any] = {
            "seed": 2**63 + 17,
            "step": 2**33 + 5,
            "training": True,
            "graph_key": keys,
        }
        if space < 2:
            name = ("vertex", "edge")[space]
            self.random |= {f"{name}_graph": graph, f"{name}_local": local}
        self.keys = keys[:rows] if space == 2 else keys[graph]
        self.local = np.full(rows, GRAPH_LOCAL) if space == 2 else local

    def numbers(self, width: int) -> np.ndarray:
        seed, step = self.random["seed"], self.random["step"]
        return uniform(seed, step, OP, self.keys, self.local, width)

    def call(self, name: str, dtype: str, x: Any, y: np.ndarray, *p: float, **options: Any) -> None:
        random = {**self.random, "training": options.pop("training", True)}
        attributes = UniformAttributes(OP) if name == "uniform" else DropoutAttributes(OP, *p)
        space = (core.SpaceKind.VERTEX, core.SpaceKind.EDGE, core.SpaceKind.GRAPH)[self.space]
        options |= {"attributes": attributes, "random": random, "space": space}
        kc.call(name, dtype, x, [y], **options)


def dropped(x: np.ndarray, u: np.ndarray, p: float) -> np.ndarray:
    """Dropout in the arithmetic of `x`: the scale is rounded before it multiplies."""
    return np.where(u >= p, x * x.dtype.type(1 / (1 - p)), x.dtype.type(0))


@both_dtypes
@pytest.mark.parametrize("width", WIDTHS)
def test_numbers_and_masks(dtype, width, rng):
    keys = Keys(rng, 5)
    u = keys.numbers(width)
    y = np.zeros((5, width), kc.DTYPES[dtype])
    keys.call("uniform", dtype, [], y)
    np.testing.assert_array_equal(y, u.astype(y.dtype))
    x = rng.normal(size=y.shape).astype(y.dtype)
    keys.call("dropout", dtype, [x], y, 0.3)
    np.testing.assert_array_equal(y, dropped(x, u, 0.3))


@both_dtypes
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize("space", [0, 1, 2])
@pytest.mark.parametrize("width", [3, 21, 50])
def test_spaces_and_layouts(dtype, layout, space, width, rng):
    make = kc.LAYOUTS[layout]
    keys = Keys(rng, 12, space)
    u = keys.numbers(width)
    x = make(rng.normal(size=(12, width)).astype(kc.DTYPES[dtype]))
    for name, expected in (("uniform", u.astype(x.dtype)), ("dropout", dropped(x, u, 0.4))):
        y = make(np.full((12, width), 99, x.dtype))
        around = kc.surroundings(y) if layout == "view" else None
        keys.call(name, dtype, [x] if name == "dropout" else [], y, 0.4, rows=(2, 9))
        np.testing.assert_array_equal(y[2:9], expected[2:9])
        assert (y[:2] == 99).all()
        assert (y[9:] == 99).all()
        if around is not None:
            np.testing.assert_array_equal(kc.surroundings(y), around)


@both_dtypes
@pytest.mark.parametrize("p", [0.0, 2.0**-30, 2.0**-24, 0.1, 1 / 3, 0.5, 1 - 2.0**-24])
def test_probabilities(dtype, p, rng):
    keys = Keys(rng, 40)
    u = keys.numbers(257)
    x = rng.normal(size=u.shape).astype(kc.DTYPES[dtype])
    y = np.empty_like(x)
    keys.call("dropout", dtype, [x], y, p)
    np.testing.assert_array_equal(y, dropped(x, u, p))


@both_dtypes
def test_dropout_drops_all_none_and_what_is_not_finite(dtype, rng):
    keys = Keys(rng, 4)
    x = rng.normal(size=(4, 37)).astype(kc.DTYPES[dtype])
    y = np.empty_like(x)
    keys.call("dropout", dtype, [x], y, 1.0)
    assert not y.any()
    keys.call("dropout", dtype, [x], y, 0.4, training=False)
    np.testing.assert_array_equal(y, x)
    keys.call("dropout", dtype, [np.full_like(x, np.nan)], y, 0.5)
    np.testing.assert_array_equal(np.isnan(y), keys.numbers(37) >= 0.5)
    keys.call("dropout", dtype, [x], x, 0.5)  # in place
    assert ((x == 0) == (keys.numbers(37) < 0.5)).all()


def test_instruction_set_is_the_one_asked_for():
    asked = os.environ.get("CAVS_ISA")
    assert asked is None or asked == core.instruction_set()


@pytest.mark.skipif("CAVS_ISA" in os.environ, reason="runs for one instruction set already")
@pytest.mark.parametrize(
    "lesser", INSTRUCTION_SETS[: INSTRUCTION_SETS.index(core.instruction_set())]
)
def test_lesser_instruction_sets(lesser):
    """The other tests of this file once more, on what this machine has beside its best set."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "CAVS_ISA": lesser},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


@both_dtypes
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("width", [1, 21, 150])
def test_dropout_by_id(dtype, layout, count, width, rng):
    make, rows = kc.LAYOUTS[layout], 12
    x = make(rng.normal(size=(rows, width)).astype(kc.DTYPES[dtype]))
    ids = rng.integers(-1, 3, size=(rows, count)).astype(np.int32)
    columns = [np.ascontiguousarray(ids[:, i : i + 1]) for i in range(count)]
    random = {"seed": 2**63 + 17, "step": 2**33 + 5, "training": True}
    u = uniform_by_id(random["seed"], random["step"], OP, ids, width)
    y = make(np.full((rows, width), 99, x.dtype))
    for p, training in ((0.4, True), (0.0, True), (0.4, False)):
        dropout = DropoutAttributes(OP, p)
        mode = {**random, "training": training}
        kc.call("dropout_by_id", dtype, [x, *columns], [y], attributes=dropout, random=mode)
        np.testing.assert_array_equal(y, dropped(x, u, p) if training else x)
