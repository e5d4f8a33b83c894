"""The native convolutions against their definition, in every layout of rows, in parts, and with
instruction sets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kernel_calls as kc
import numpy as np
import pytest

from cavs.core.attributes import ConvolutionAttributes
from cavs.core.ops import OPS
from cavs.errors import CavsError

ROWS = 5
# Images, outputs, kernel, stride, padding by side, dilation, groups, taps.
FORMS: tuple[tuple[Any, ...], ...] = (
    ((3, 9, 8), 5, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, ()),
    ((3, 9, 8), 5, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, (1, 2, 5)),
    ((34, 7, 7), 40, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, ()),
    ((34, 7, 7), 40, (3, 3), (2, 1), (0, 1, 2, 0), (1, 2), 2, (0, 4, 6, 7)),
    ((16, 14, 33), 32, (3, 2), (1, 1), (1, 1, 0, 1), (1, 1), 1, ()),
    ((2, 12, 13), 3, (5, 7), (3, 2), (2, 2, 3, 3), (1, 1), 1, ()),
    ((1, 6, 5), 2, (2, 2), (4, 9), (0, 3, 0, 8), (3, 2), 1, ()),
    ((4, 1, 30), 8, (1, 9), (1, 1), (0, 0, 8, 0), (1, 1), 4, ()),
    # Lines that see the border alone.
    ((18, 3, 5), 20, (2, 2), (1, 1), (3, 2, 3, 3), (1, 1), 1, ()),
    ((1, 4, 20), 13, (3, 3), (2, 1), (6, 5, 1, 1), (1, 1), 1, (1, 6)),
)


def sizes(form: tuple[Any, ...]) -> tuple[dict[str, Any], ConvolutionAttributes, Any, Any]:
    """The attributes of operation and kernel, and the shapes of weight and places."""
    image, outputs, kernel, stride, padding, dilation, groups, taps = form
    attrs = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "taps": taps,
    }
    weight = (outputs, image[0] // groups, *kernel)
    places = OPS["conv"].infer(image, weight, **attrs)
    top, _, left, _ = padding
    native = ConvolutionAttributes(
        image, places, kernel, stride, (top, left), dilation, groups, taps
    )
    return attrs, native, weight, places


def drawn(dtype: str, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(kc.DTYPES[dtype])


def expected_of(name: str, attrs: dict[str, Any], form: tuple[Any, ...], *xs: np.ndarray) -> Any:
    more: dict[str, Any] = {}
    if name == "conv_input":
        more = {"size": form[0][1:]}
    elif name != "conv":
        more = {"kernel": form[2]}
    wide = [x.astype(np.float64) for x in xs]
    reference = OPS[name].reference
    assert reference is not None
    return reference(np, *wide, **attrs, **more)


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("shared", [True, False])
def test_rows_are_those_of_the_definition(
    dtype: str, layout: str, form: tuple[Any, ...], shared: bool
) -> None:
    attrs, native, weight, places = sizes(form)
    x, dy = drawn(dtype, ROWS, *form[0]), drawn(dtype, ROWS, *places, seed=1)
    w = drawn(dtype, *weight, seed=2) if shared else drawn(dtype, ROWS, *weight, seed=2)
    for name, a, b, out_shape in (
        ("conv", x, w, places),
        ("conv_input", dy, w, form[0]),
        ("conv_weight", x, dy, weight),
    ):
        given = [
            z.reshape(-1) if z is w and shared else kc.LAYOUTS[layout](z.reshape(ROWS, -1))
            for z in (a, b)
        ]
        out = kc.LAYOUTS[layout](np.full((ROWS, int(np.prod(out_shape))), 99, kc.DTYPES[dtype]))
        around = kc.surroundings(out) if layout == "view" else None
        kc.call(name, dtype, given, [out], attributes=native)
        expected = expected_of(name, attrs, form, a, b).reshape(ROWS, -1)
        scale = max(1.0, float(np.abs(expected).max()))
        tolerance = kc.TOLERANCES[dtype]["rtol"]
        np.testing.assert_allclose(out, expected, 10 * tolerance, scale * tolerance, err_msg=name)
        if around is not None:
            np.testing.assert_array_equal(kc.surroundings(out), around)


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_sums_over_rows_in_parts(dtype: str, form: tuple[Any, ...]) -> None:
    attrs, native, weight, places = sizes(form)
    x, dy = drawn(dtype, ROWS, *form[0]), drawn(dtype, ROWS, *places, seed=1)
    given = [x.reshape(ROWS, -1), dy.reshape(ROWS, -1)]
    found = []
    for parts in (1, 2, 5):
        out = np.full(int(np.prod(weight)), np.nan, kc.DTYPES[dtype])
        for part in range(parts):
            options: dict[str, Any] = {"thread": part, "num_threads": parts, "rows": (0, ROWS)}
            kc.call("conv_weight_reduce", dtype, given, [out], attributes=native, **options)
        found.append(out)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    expected = expected_of("conv_weight_reduce", attrs, form, x, dy).reshape(-1)
    scale = max(1.0, float(np.abs(expected).max()))
    tolerance = kc.TOLERANCES[dtype]["rtol"]
    np.testing.assert_allclose(found[0], expected, 10 * tolerance, scale * tolerance)
    # The sum goes on from what is there; over no rows it is zero.
    on = found[0].copy()
    rows: dict[str, Any] = {"attributes": native, "rows": (1, 3)}
    kc.call("conv_weight_reduce", dtype, [*given, on], [on], **rows)
    some = expected_of("conv_weight_reduce", attrs, form, x[1:3], dy[1:3]).reshape(-1)
    np.testing.assert_allclose(on, expected + some, 10 * tolerance, 2 * scale * tolerance)
    kc.call("conv_weight_reduce", dtype, given, [on], attributes=native, rows=(0, 0))
    assert not on.any()


WRONG: dict[str, dict[str, Any]] = {
    "places": {"places": (5, 9, 9)},
    "padding": {"padding": (-1, 1)},
    "stride": {"stride": (0, 1)},
    "groups": {"groups": 2},
    "no groups": {"groups": 0},
    "a tap too far": {"taps": (9,)},
    "order of taps": {"taps": (2, 1)},
    "large": {"image": (2**20, 2**20, 8)},
    "numbers": {"kernel": (3,)},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_calls_are_refused(wrong: str) -> None:
    _, native, weight, places = sizes(FORMS[0])
    attributes = ConvolutionAttributes(**{**vars(native), **WRONG[wrong]})
    x, w = drawn("float", ROWS, 216), drawn("float", int(np.prod(weight)))
    out = np.zeros((ROWS, int(np.prod(places))), np.float32)
    with pytest.raises((CavsError, ValueError), match="expected"):
        kc.call("conv", "float", [x, w], [out], attributes=attributes)


@pytest.mark.slow
@pytest.mark.skipif("CAVS_ISA" in os.environ, reason="runs once, for all instruction sets")
@pytest.mark.parametrize("isa", ["avx2", "generic"])
def test_other_instruction_sets(isa: str) -> None:
    environment = {**os.environ, "CAVS_ISA": isa}
    command = [sys.executable, "-m", "pytest", "-q", "-x", __file__, "-m", "not slow"]
    command += ["-p", "no:cacheprovider"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
