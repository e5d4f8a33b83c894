"""Random vertex functions over random graphs on a GPU, forward and backward, beside an evaluation
that shares nothing with the engine, or beside the CPU's engine, where random numbers are drawn and
in float64 where operands are so near a jump that rounding decides.

The functions are those of the fuzzer. Several of them are joined into one, since each program is
compiled for itself; what differs is named by its seed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from model_runs import dense

import cavs
from cavs._native import core

pytestmark = pytest.mark.gpu

FUZZ = Path(__file__).resolve().parents[2] / "tools" / "fuzz"
MODULES = ("drawing", "functions", "graphs", "operations", "oracle", "tape")
FUNCTIONS, JOINED = 216, 8
SEEDS = [range(first, first + JOINED) for first in range(0, FUNCTIONS, JOINED)]
# Of those joined, the least that are compared: 200 in all, or nearly.
LEAST = {"float32": 6, "float64": JOINED}
# One of so many goes with levels in one launch, which is a compilation for each variant of them.
TOGETHER = 4

# Relative to 1 and the greatest value, of outputs; gradients may differ by five times as much.
TOLERANCES = {"float32": 1e-3, "float64": 1e-10}
# Operands nearer than this to a jump of an operation may lie on its other side, by rounding.
ROUNDING = {"float32": 1e-4, "float64": 1e-11}


@pytest.fixture(scope="module")
def fuzz() -> Iterator[Any]:
    """The modules of the fuzzer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FUZZ))
        yield SimpleNamespace(**{name: import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name)


@contextmanager
def persistent_levels(on: bool) -> Iterator[None]:
    before = core.cuda.persistent_levels()
    core.cuda.set_persistent_levels(on)
    try:
        yield
    finally:
        core.cuda.set_persistent_levels(before)


def renamed(fuzz: Any, description: Any, end: str, steps: int, weights: int) -> Any:
    """The description with `end` behind its names, and numbers that begin at `steps` and `weights`
    where others stand before it."""

    def operand(x: Any) -> Any:
        if isinstance(x, fuzz.functions.Weight):
            return fuzz.functions.Weight(x.number + weights)
        return x + steps if type(x) is int else x

    def step(each: Any) -> Any:
        names = {k: each.attrs[k] + end for k in ("name", "ids") if k in each.attrs}
        operands = tuple(map(operand, each.operands))
        return each._replace(operands=operands, attrs={**each.attrs, **names})

    return fuzz.functions.Description(
        [step(each) for each in description.steps],
        description.weights,
        {name + end: pull for name, pull in description.pulls.items()},
        {name + end: number + steps for name, number in description.scatters.items()},
        {name + end: number + steps for name, number in description.pushes.items()},
    )


def joined(fuzz: Any, parts: list[Any]) -> Any:
    """One function that does what all of them do, in their order."""
    whole = fuzz.functions.Description()
    for n, part in enumerate(parts):
        more = renamed(fuzz, part, f"_{n}", len(whole.steps), len(whole.weights))
        for field in ("steps", "weights"):
            getattr(whole, field).extend(getattr(more, field))
        for field in ("pulls", "scatters", "pushes"):
            getattr(whole, field).update(getattr(more, field))
    return whole


class Both:
    """A function on the GPU and on the CPU, with inputs and cotangents."""

    def __init__(self, fuzz: Any, parts: list[Any], dtype: str, seed: int) -> None:
        rng, numbers = Random(f"graphs {seed}"), np.random.default_rng(seed)
        self.fuzz, self.parts, self.dtype = fuzz, parts, dtype
        self.whole = joined(fuzz, parts)
        self.graphs = fuzz.graphs.draw_batch(rng)
        while self.graphs.num_vertices == 0 or rng.random() < 0.2:
            self.graphs = fuzz.graphs.draw_batch(rng)
        self.inputs = fuzz.graphs.draw_inputs(self.whole.pulls, self.graphs, numbers)
        self.seed, self.numbers = seed, numbers
        self.cotangents: dict[str, np.ndarray] = {}

    def run(self, device: str) -> Any:
        """Outputs, gradients of the weights and of inputs."""
        function = self.fuzz.functions.DescribedFunction(self.whole, self.dtype)
        options: dict[str, Any] = {"dtype": self.dtype, "device": device, "seed": self.seed}
        model = cavs.compile(function, extra_children="ignore", **options)
        given = {
            name: cavs.Tensor(x, self.dtype, requires_grad=True) if x.dtype.kind == "f" else x
            for name, x in self.inputs.items()
            if name in model.inputs
        }
        out = model(self.graphs, **given)
        if not self.cotangents:
            self.cotangents = {n: self.numbers.normal(size=y.shape) for n, y in out.items()}
        loss: Any = cavs.Tensor(0.0, self.dtype).to(device)
        for name, y in out.items():
            loss = loss + (y * cavs.Tensor(self.cotangents[name], self.dtype).to(device)).sum()
        if loss.requires_grad:
            loss.backward()
        return self.fuzz.oracle.Expected(
            {name: y.numpy() for name, y in out.items()},
            [dense(p) for p in function.weights],
            {n: dense(x) for n, x in given.items() if isinstance(x, cavs.Tensor)},
        )

    def evaluated(self, n: int) -> Any:
        """What part `n` gives, by the evaluation."""
        part = self.parts[n]
        end = f"_{n}"
        inputs = {name: self.inputs[name + end] for name in part.pulls}
        cotangents = {name: self.cotangents[name + end] for name in part.pushes}
        found = self.fuzz.oracle.evaluate(part, self.graphs, part.weights, inputs, cotangents)
        return found._replace(
            outputs={name + end: y for name, y in found.outputs.items()},
            inputs={name + end: dx for name, dx in found.inputs.items()},
        )


def assert_near(found: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    assert found.shape == expected.shape, what
    if np.isfinite(expected).all():  # a function that overflows proves nothing
        atol = tolerance * (1 + np.abs(expected).max(initial=0.0))
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=what)


def check(both: Both, seeds: range) -> int:
    """How many functions could be compared: in float32 not those with operands near a jump."""
    found, engine = both.run("cuda"), both.run("cpu")
    tolerance, compared, first = TOLERANCES[both.dtype], 0, 0
    for n, (seed, part) in enumerate(zip(seeds, both.parts, strict=True)):
        mine = slice(first, first + len(part.weights))
        first = mine.stop
        expected = engine._replace(weights=engine.weights[mine])
        if not part.draws:
            alone = both.evaluated(n)
            if alone.margin >= ROUNDING[both.dtype]:
                expected = alone
            elif both.dtype == "float32":
                continue
        compared += 1
        for name in part.pushes:
            y = found.outputs[f"{name}_{n}"], expected.outputs[f"{name}_{n}"]
            assert_near(*y, tolerance, f"seed {seed}: {name}")
        for name in part.pulls:
            if f"{name}_{n}" in found.inputs:
                dx = found.inputs[f"{name}_{n}"], expected.inputs[f"{name}_{n}"]
                assert_near(*dx, 5 * tolerance, f"seed {seed}: gradient of {name}")
        for k, dw in enumerate(zip(found.weights[mine], expected.weights, strict=True)):
            assert_near(*dw, 5 * tolerance, f"seed {seed}: gradient of w{k}")
    return compared


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_random_functions(fuzz: Any, seeds: range) -> None:
    number = seeds[0] // JOINED
    random = number % 3 == 2
    parts = [fuzz.drawing.draw_function(seed, random_numbers=random) for seed in seeds]
    # Of functions that draw, nothing tells how near a jump is.
    dtype = "float64" if random or number % 2 else "float32"
    with persistent_levels(number % TOGETHER == 0):
        assert check(Both(fuzz, parts, dtype, number), seeds) >= LEAST[dtype]
