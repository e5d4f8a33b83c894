"""Elementwise functions beside PyTorch's, on one thread: largest error in units in the last place,
and nanoseconds an element.

    python benchmarks/small_ops.py [--elements N] [--rounds N] [--names sin,cos]

Errors are of float32 beside float64, of values spread over the range given. Times are medians of
interleaved rounds, over arrays that stay in the cache, of what a vertex function runs: the function
as machine code, or interpreted where there is none. `gelu` and `digamma` are measured in units of 1
where they are smaller. The environment variable CAVS_ISA names a lesser instruction set than the
machine's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

import cavs
from cavs._native import core
from cavs.core.attributes import Group, GroupInput, Read, ScalarCall
from cavs.kernels.native_form import named

WIDTH = 1024
functional = torch.nn.functional


class Case(NamedTuple):
    """A function of PyTorch's, the range of x, and the smallest size that errors are units of; the
    second operand, a number or its range."""

    function: Callable[..., torch.Tensor]
    low: float
    high: float
    floor: float = 0.0
    second: float | tuple[float, float] | None = None


CASES = {
    "exp": Case(torch.exp, -80, 80),
    "sin": Case(torch.sin, -1e4, 1e4),
    "cos": Case(torch.cos, -1e4, 1e4),
    "erf": Case(torch.erf, -4, 4),
    "gelu": Case(functional.gelu, -6, 6, 1.0),
    "silu": Case(functional.silu, -20, 20),
    "elu": Case(lambda x, _: functional.elu(x), -5, 5, 0.0, 1.0),
    "leaky_relu": Case(lambda x, _: functional.leaky_relu(x), -5, 5, 0.0, 0.01),
    "log1p": Case(torch.log1p, -0.9, 5),
    "expm1": Case(torch.expm1, -5, 5),
    "pow": Case(torch.pow, 0.05, 20, 0.0, (-6.0, 6.0)),
    "lgamma": Case(torch.lgamma, 1e-3, 20),
    "digamma": Case(torch.digamma, 1e-3, 20, 1.0),
}


def operands(case: Case, elements: int) -> list[np.ndarray]:
    """Rows of x, and of the second operand; a number is one for all rows and columns."""
    rng = np.random.default_rng(0)
    given = [rng.uniform(case.low, case.high, elements).astype(np.float32).reshape(-1, WIDTH)]
    if isinstance(case.second, tuple):
        given.append(rng.uniform(*case.second, elements).astype(np.float32).reshape(-1, WIDTH))
    return given


def group(name: str, case: Case) -> dict[str, Any]:
    """The attributes of a group of this function alone."""
    constants = (case.second,) if isinstance(case.second, float) else ()
    count = 1 + (case.second is not None)
    inputs = (GroupInput(Read.ROW, False),) * (count - len(constants))
    calls = (ScalarCall(name, tuple(range(count))),)
    return named(Group(WIDTH, inputs, constants, calls, (count,)))


def largest_error(found: np.ndarray, exact: np.ndarray, floor: float) -> float:
    """In units in the last place of the exact value, or of `floor` where that is larger."""
    unit = np.spacing(np.maximum(np.abs(exact), max(floor, 1.2e-38)).astype(np.float32))
    return float((np.abs(found - exact) / unit).max())


def measure(name: str, case: Case, elements: int, rounds: int) -> str:
    """A line of the table."""
    given = operands(case, elements)
    out = np.empty_like(given[0])
    attributes, native = group(name, case), core.DType.FLOAT32
    compiled = core.can_compile_groups()
    tensors = [torch.from_numpy(x) for x in given]
    if isinstance(case.second, float):
        tensors.append(torch.tensor(case.second))
    repeat = 20

    def ours() -> None:
        rows = (0, len(out))
        core.call_kernel(
            name="fused",
            dtype=native,
            inputs=given,
            outputs=[out],
            attributes=attributes,
            tables=[],
            rows=rows,
            repeat=repeat,
            compile=compiled,
        )

    def theirs() -> None:
        for _ in range(repeat):
            case.function(*tensors)

    times: dict[Callable[[], None], list[float]] = {ours: [], theirs: []}
    for _ in range(rounds):
        for call, taken in times.items():
            begin = time.thread_time()
            call()
            taken.append(time.thread_time() - begin)
    exact = case.function(*[x.double() for x in tensors]).numpy()
    errors = [largest_error(y, exact, case.floor) for y in (out, case.function(*tensors).numpy())]
    each = [float(np.median(taken)) * 1e9 / repeat / elements for taken in times.values()]
    return (
        f"{name:10} {errors[0]:8.2f} {errors[1]:8.2f} {each[0]:8.2f} {each[1]:8.2f} "
        f"{each[1] / each[0]:6.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=1 << 15)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--names", default=",".join(CASES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    cavs.set_num_threads(1)
    print(f"{cavs.instruction_set()}, PyTorch {torch.__version__}, one thread")
    print("           largest error, ulp   ns an element      torch's time")
    print(f"{'':10} {'cavs':>8} {'torch':>8} {'cavs':>8} {'torch':>8} / ours")
    for name in options.names.split(","):
        print(measure(name, CASES[name], options.elements // WIDTH * WIDTH, options.rounds))


if __name__ == "__main__":
    main()
