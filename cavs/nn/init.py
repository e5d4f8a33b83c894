"""Initial values of parameters, all from one seeded generator.

Values are drawn in double precision and then rounded, so that a model in float32 starts from the
rounded values of the same model in float64.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cavs._arguments import instance, number, printed, shown
from cavs._locks import wait_at_fork
from cavs.errors import CheckpointError, InputError, ShapeError
from cavs.tensor import Parameter

__all__ = [
    "constant_",
    "get_state",
    "manual_seed",
    "normal_",
    "orthogonal_",
    "set_state",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
]

_generator = np.random.Generator(np.random.PCG64(0))
wait_at_fork(_generator.bit_generator.lock)  # NumPy's, held while a thread draws


def manual_seed(seed: int) -> None:
    """Starts the generator of initial values anew; `seed` is 0 or more."""
    try:
        _generator.bit_generator.state = np.random.PCG64(operator.index(seed)).state
    except Exception:  # an object's own __index__ may raise anything
        raise InputError(
            f"[manual_seed] expected an integer >= 0, got {shown(seed)}; pass such a seed"
        ) from None


def get_state() -> dict[str, Any]:
    """State of the generator: a dictionary of strings and integers, fit for JSON."""
    return dict(_generator.bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Continues from a state that :func:`get_state` returned.

    Raises:
        CheckpointError: `state` is no state of the generator.
    """
    try:
        _generator.bit_generator.state = state
    except Exception as error:  # NumPy raises many kinds for a wrong state
        raise CheckpointError(
            f"[init] expected a state of the PCG64 generator, got one without "
            f"({printed(error, str)}); pass what get_state gave"
        ) from None


def uniform_(parameter: Parameter, low: float = 0.0, high: float = 1.0) -> Parameter:
    """Uniform values in [low, high), in place.

    Raises InputError if `parameter` is no Parameter, or a number is not finite or out of order.
    """
    low = number("uniform_", "low", low)
    high = number("uniform_", "high", high, low)
    return _fill(parameter, lambda shape: _generator.uniform(low, high, shape))


def normal_(parameter: Parameter, mean: float = 0.0, std: float = 1.0) -> Parameter:
    """Normal values, in place. Raises InputError if `std` is below 0 or `parameter` no
    Parameter."""
    mean, std = number("normal_", "mean", mean), number("normal_", "std", std, 0)
    return _fill(parameter, lambda shape: _generator.normal(mean, std, shape))


def constant_(parameter: Parameter, value: float) -> Parameter:
    """One value everywhere, in place."""
    filled = number("constant_", "value", value)
    return _fill(parameter, lambda shape: np.full(shape, filled))


def xavier_uniform_(parameter: Parameter, gain: float = 1.0) -> Parameter:
    """Uniform within gain * sqrt(6 / (in + out)) of 0, in place (Glorot and Bengio 2010)."""
    bound = _gain(gain) * math.sqrt(6.0 / sum(_fans(parameter)))
    return uniform_(parameter, -bound, bound)


def xavier_normal_(parameter: Parameter, gain: float = 1.0) -> Parameter:
    """Normal with standard deviation gain * sqrt(2 / (in + out)), in place."""
    return normal_(parameter, 0.0, _gain(gain) * math.sqrt(2.0 / sum(_fans(parameter))))


def orthogonal_(parameter: Parameter, gain: float = 1.0) -> Parameter:
    """A matrix with orthonormal rows or columns, whichever are fewer, times gain, in place."""
    rows, columns = _fans(parameter)
    gain = _gain(gain)

    def draw(shape: tuple[int, ...]) -> Any:
        q, r = np.linalg.qr(_generator.normal(size=(max(rows, columns), min(rows, columns))))
        # Without the signs of r the distribution would not be uniform (Mezzadri 2007).
        q = q * np.sign(np.diag(r))
        return gain * (q if rows >= columns else q.T)

    return _fill(parameter, draw)


def _gain(gain: Any) -> float:
    return number("init", "gain", gain, 0)


def _fans(parameter: Parameter) -> tuple[int, int]:
    instance("init", "parameter", parameter, Parameter, "a cavs.Parameter")
    if len(parameter.shape) != 2:
        raise ShapeError(
            f"[init] expected a matrix, got shape {parameter.shape}; initialize others by another "
            "rule"
        )
    return parameter.shape[0], parameter.shape[1]


def _fill(parameter: Parameter, draw: Callable[[tuple[int, ...]], Any]) -> Parameter:
    instance("init", "parameter", parameter, Parameter, "a cavs.Parameter")
    with parameter.writing() as array:
        array[...] = draw(parameter.shape)
    return parameter
