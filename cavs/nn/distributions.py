"""Probability distributions over values of a vertex function and over tensors alike.

Parameters, samples and log-probabilities are symbols in the one case and tensors in the other.
Samples of symbols are drawn by graph and vertex (see ``cavs.ops``); those of tensors need a
:class:`cavs.Generator`.
"""

from __future__ import annotations

import math
from typing import Any

from cavs._arguments import instance, number, shown
from cavs.core import ops
from cavs.core.ir import Node
from cavs.core.ops.random import gumbel_max, standard_gumbel, standard_normal
from cavs.errors import InputError
from cavs.tensor import Generator, Tensor

__all__ = [
    "Bernoulli",
    "Categorical",
    "Normal",
    "Uniform",
    "kl_divergence",
]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def _uniform(like: Any, generator: Generator | None) -> Any:
    """Uniform numbers of the shape of `like`, for its rows."""
    if isinstance(like, Node):
        return ops.uniform_like(like)
    if generator is None:
        raise InputError(
            "[distributions] expected a cavs.Generator to draw tensors, got none; call "
            "sample(generator)"
        )
    instance("distributions", "generator", generator, Generator, "a cavs.Generator")
    if not isinstance(like, Tensor):
        raise InputError(
            "[distributions] expected a value of a vertex function or a cavs.Tensor to draw the "
            f"like of, got {shown(like)}; wrap it in cavs.Tensor"
        )
    return generator.uniform(like.shape, like.dtype, device=like.device)


def _is_ids(x: Any) -> bool:
    return (isinstance(x, Node) and x.dtype == "int32") or (
        isinstance(x, Tensor) and x.dtype.kind == "i"
    )


class Normal:
    """Independent normal variables.

    Attributes:
        mean: the means, of any shape.
        std: standard deviations, above 0; broadcasts with the mean.
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean = mean
        self.std = std

    def log_prob(self, x: Any) -> Any:
        """Log-density of each element: shape of mean, std and `x` broadcast."""
        z = (x - self.mean) / self.std
        return -0.5 * ops.square(z) - _log(self.std) - _HALF_LOG_2PI

    def sample(self, generator: Generator | None = None) -> Any:
        """mean + std * epsilon, of the broadcast shape; gradients flow to both (Kingma and Welling
        2014)."""
        like = self.mean + self.std
        return self.mean + self.std * standard_normal(_uniform(like, generator))

    def entropy(self) -> Any:
        """Entropy of each element: log(std) + log(2 pi e) / 2."""
        return _log(self.std) + (_HALF_LOG_2PI + 0.5)


class Bernoulli:
    """Independent variables of 0 and 1.

    Attributes:
        logits: log(p / (1 - p)), of any shape.
    """

    def __init__(self, logits: Any) -> None:
        self.logits = logits

    @property
    def mean(self) -> Any:
        """Probabilities of 1."""
        return ops.sigmoid(self.logits)

    def log_prob(self, x: Any) -> Any:
        """Log-probability of each element of `x`, which is 0 or 1; of a number between them, the
        expectation. It is -inf, with no gradient, where an infinite logit makes the element
        impossible."""
        return -ops.binary_cross_entropy_with_logits(self.logits, x)

    def sample(self, generator: Generator | None = None) -> Any:
        """Draws 0 or 1 for each element; no gradient flows."""
        return ops.less(_uniform(self.logits, generator), self.mean)

    def entropy(self) -> Any:
        """Entropy of each element."""
        return ops.binary_cross_entropy_with_logits(self.logits, self.mean)


class Categorical:
    """One of several classes; the last axis counts the classes.

    Attributes:
        logits: (..., classes), unnormalised log-probabilities.
    """

    def __init__(self, logits: Any) -> None:
        self.logits = logits

    @property
    def mean(self) -> Any:
        """Probabilities, (..., classes)."""
        return ops.softmax(self.logits)

    def log_prob(self, x: Any) -> Any:
        """Log-probabilities (...) of int32 ids (...) or of one-hot vectors (..., classes). The id
        -1 gives 0; a class with the logit -inf gives -inf, with no gradient."""
        if _is_ids(x):
            return -ops.cross_entropy(self.logits, x)
        return ops.sum(_weighted(x, ops.log_softmax(self.logits)), -1)

    def sample(self, generator: Generator | None = None) -> Any:
        """Draws one-hot vectors (..., classes) by the Gumbel-max trick; no gradient flows. A class
        with the logit -inf is never drawn."""
        return gumbel_max(self.logits, standard_gumbel(_uniform(self.logits, generator)))

    def relaxed_sample(self, temperature: float, generator: Generator | None = None) -> Any:
        """A point of the simplex near a one-hot sample, with gradients: see
        :func:`cavs.ops.gumbel_softmax`. Raises InputError for a temperature of 0 or less."""
        temperature = number("distributions", "temperature", temperature, 0, above=True)
        noisy = self.logits + standard_gumbel(_uniform(self.logits, generator))
        return ops.softmax(noisy * (1.0 / temperature))

    def entropy(self) -> Any:
        """Entropy over the classes, (...)."""
        return -ops.sum(_weighted(self.mean, ops.log_softmax(self.logits)), -1)


class Uniform:
    """Independent variables, uniform between two bounds.

    Attributes:
        low, high: the bounds, low below high; their shapes broadcast.
    """

    def __init__(self, low: Any, high: Any) -> None:
        self.low = low
        self.high = high

    def log_prob(self, x: Any) -> Any:
        """-log(high - low) for each element within the bounds; -inf, with no gradient, for one
        outside."""
        inside = ops.greater_equal(x, self.low) * ops.less(x, self.high)
        return ops.where(inside, -_log(self.high - self.low), -math.inf)

    def sample(self, generator: Generator | None = None) -> Any:
        """low + (high - low) * u; gradients flow to both."""
        width = self.high - self.low
        return self.low + width * _uniform(self.low + width, generator)

    def entropy(self) -> Any:
        """log(high - low) of each element."""
        return _log(self.high - self.low)


def kl_divergence(p: Any, q: Any) -> Any:
    """KL(p || q) in closed form: for each element, or, of categorical distributions, over the last
    axis.

    It is +inf where p can give a value that q cannot; of categorical distributions no gradient
    flows there.

    Raises:
        InputError: the distributions are of different kinds, or of a kind without a closed form.
    """
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = p.std / q.std
        shift = (p.mean - q.mean) / q.std
        return 0.5 * (ops.square(ratio) + ops.square(shift) - 1.0) - _log(ratio)
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        cross = ops.binary_cross_entropy_with_logits(q.logits, p.mean)
        return cross - p.entropy()
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return _categorical_divergence(p, q)
    raise InputError(
        "[distributions] expected two Normal, Bernoulli or Categorical distributions, got "
        f"{type(p).__name__} and {type(q).__name__}; pass two of one kind"
    )


def _categorical_divergence(p: Categorical, q: Categorical) -> Any:
    mean, log_q = p.mean, ops.log_softmax(q.logits)
    never, impossible = ops.equal(mean, 0.0), ops.equal(log_q, -math.inf)
    difference = ops.log_softmax(p.logits) - log_q
    finite = ops.sum(mean * ops.where(ops.maximum(never, impossible), 0.0, difference), -1)
    infinite = ops.max(impossible * (1.0 - never), -1)
    return ops.where(infinite, math.inf, finite)


def _weighted(p: Any, log_p: Any) -> Any:
    """p * log_p by elements, 0 where p is 0 and log_p -inf."""
    nothing = ops.equal(p, 0.0) * ops.equal(log_p, -math.inf)
    return p * ops.where(nothing, 0.0, log_p)


def _log(x: Any) -> Any:
    """The logarithm of a number, a symbol or a tensor."""
    if isinstance(x, (int, float)):
        return math.log(number("distributions", "scale", x, 0, above=True))
    return ops.log(x)
