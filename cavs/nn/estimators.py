"""Bounds of a log-likelihood with latent variables, and estimators of their gradients.

A generative model p(x, h) and a recognition model q(h | x) give, for `k` samples h of each of `n`
observations, tensors of shape (n, k): log p(x, h), here `log_joint`, and log q(h | x), `log_q`.
Bounds are of shape (n,); the higher, the better: train on ``-bound.mean()``.

Where samples are reparameterised (:class:`cavs.nn.distributions.Normal`), gradients flow through
them and a bound can be trained on as it is. Where they are discrete, the score-function estimators
(:func:`nvil`, :func:`vimco`), :func:`wake_sleep` or :func:`reweighted_wake_sleep` give a surrogate:
only its gradient has a meaning.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from cavs._arguments import boolean, instance, number
from cavs.core import ops
from cavs.device import device_of
from cavs.errors import InputError, ShapeError
from cavs.tensor import Tensor

__all__ = [
    "Estimate",
    "elbo",
    "importance_weighted_bound",
    "nvil",
    "reweighted_wake_sleep",
    "vimco",
    "wake_sleep",
]


class Estimate(NamedTuple):
    """The result of a score-function estimator.

    Attributes:
        bound: the bound, (n,).
        surrogate: (n,); the mean of its gradient over samples is the gradient of the bound.
        baseline_loss: (n,); the loss to train the baseline on, 0 where there is no baseline.
    """

    bound: Tensor
    surrogate: Tensor
    baseline_loss: Tensor


def elbo(log_weight: Tensor) -> Tensor:
    """Mean over samples of log p(x, h) - log q(h | x): the evidence lower bound (Kingma and Welling
    2014, eq. 7). (n, k) -> (n,)."""
    _check(log_weight)
    return ops.mean(log_weight, -1)


def importance_weighted_bound(log_weight: Tensor) -> Tensor:
    """log of the mean over samples of p(x, h) / q(h | x) (Burda et al. 2016, eq. 8): the evidence
    lower bound with one sample, and tighter with more. (n, k) -> (n,)."""
    k = _check(log_weight)
    return ops.logsumexp(log_weight) - math.log(k)


def nvil(log_joint: Tensor, log_q: Tensor, baseline: Any = 0.0, scale: float = 1.0) -> Estimate:
    """The score-function estimator of the evidence lower bound with a baseline (Mnih and Gregor
    2014, eqs. 8-10).

    Args:
        log_joint, log_q: (n, k).
        baseline: a number or a tensor that is subtracted from the learning signal. It broadcasts
            with (n, k) and does not depend on the samples; its own loss is the squared rest.
        scale: a factor of the learning signal, and so of the gradient of q alone; it keeps the
            variance down.

    A sample that p cannot give makes the bound -inf, and neither q nor the baseline learns from it.
    """
    _check(log_joint, log_q)
    scale = number("nvil", "scale", scale)
    log_weight = log_joint.detach() - log_q.detach()
    unlearned = baseline.detach() if isinstance(baseline, Tensor) else baseline
    known = ops.where(ops.equal(log_weight, -math.inf), unlearned, log_weight)
    signal = (known - unlearned) * scale
    surrogate = ops.mean(log_joint + signal * log_q, -1)
    rest = ops.square(known - baseline)
    return Estimate(ops.mean(log_weight, -1), surrogate, ops.mean(rest, -1))


def vimco(log_joint: Tensor, log_q: Tensor) -> Estimate:
    """The score-function estimator of the importance-weighted bound. The baseline of each sample is
    made of the other samples (Mnih and Rezende 2016, eqs. 7-10).

    Where p can give none of the other samples, the signal of a sample would not be finite. The
    sample then counts in the bound, but its signal for q is 0.

    Raises:
        InputError: a single sample.
    """
    k = _check(log_joint, log_q)
    if k < 2:
        raise InputError(f"[vimco] expected 2 samples or more, got {k}; draw more")
    log_weight = log_joint - log_q
    bound = importance_weighted_bound(log_weight)
    device, weights, dtype = device_of(log_weight.data), log_weight.data, log_weight.dtype
    replaced = Tensor(device.evaluate(_without_each, [weights], {}, dtype))
    without = ops.logsumexp(replaced).data - math.log(k)
    signal = device.evaluate(_signal, [bound.data[:, None], without], {}, dtype)
    surrogate = ops.sum(log_q * Tensor(signal), -1) + bound
    return Estimate(bound.detach(), surrogate, Tensor(device.zeros(bound.shape, bound.dtype)))


def _without_each(np: Any, log_weight: Any) -> Any:
    """The weights with each in turn replaced by the geometric mean of the others, (n, k, k)."""
    n, k = log_weight.shape
    impossible = log_weight == -np.inf
    known = np.where(impossible, 0, log_weight)
    others = (known.sum(axis=-1, keepdims=True) - known) / (k - 1)
    others[impossible.sum(axis=-1, keepdims=True) > impossible] = -np.inf
    replaced = np.broadcast_to(log_weight[:, None, :], (n, k, k)).copy()
    replaced[:, np.arange(k), np.arange(k)] = others
    return replaced


def _signal(np: Any, bound: Any, without: Any) -> Any:
    """How much better the bound is with each sample than without it; 0 where either is infinite."""
    finite = np.isfinite(bound) & np.isfinite(without)
    return np.where(finite, bound - np.where(finite, without, 0), 0).astype(without.dtype)


def wake_sleep(log_joint: Tensor, dream_log_q: Tensor) -> Tensor:
    """The objectives of both phases of wake-sleep (Hinton et al. 1995), added: (n,).

    Args:
        log_joint: (n, k), log p(x, h) of data x with samples h from q, through which no gradient
            flows: the wake phase trains p on them.
        dream_log_q: (n, k), log q(h | x) of x and h drawn from p: the sleep phase trains q on them.
    """
    _check(log_joint)
    _check(dream_log_q)
    return ops.mean(log_joint, -1) + ops.mean(dream_log_q, -1)


def reweighted_wake_sleep(
    log_joint: Tensor, log_q: Tensor, dream_log_q: Tensor | None = None, wake: bool = True
) -> Estimate:
    """Reweighted wake-sleep (Bornschein and Bengio 2015, eqs. 5 and 9 and section 2.3): with the
    importance weights w of samples h from q, which add up to 1 and get no gradient, p learns from
    the sum over samples of w log p(x, h), and q from the sums of its phases.

    Args:
        log_joint, log_q: (n, k), of data x; no gradient flows through h.
        dream_log_q: (n, k), log q(h | x) of x and h drawn from p, whose mean is the sleep phase of
            q; None leaves it out.
        wake: whether q has its wake phase, the sum over samples of w log q(h | x).

    Samples that p cannot give have no weight; where none of an observation's can be given, nothing
    is learnt from them.
    """
    _check(log_joint, log_q)
    wake = boolean("estimators", "wake", wake)
    log_weight = log_joint.detach() - log_q.detach()
    weight = ops.softmax(log_weight)
    learnt = log_joint + log_q if wake else log_joint
    surrogate = ops.sum(weight * ops.where(ops.equal(weight, 0.0), 0.0, learnt), -1)
    if dream_log_q is not None:
        _check(log_joint, dream_log_q)
        surrogate = surrogate + ops.mean(dream_log_q, -1)
    bound = importance_weighted_bound(log_weight)
    nothing = Tensor(device_of(bound.data).zeros(bound.shape, bound.dtype))
    return Estimate(bound, surrogate, nothing)


def _check(*tensors: Tensor) -> int:
    """The number of samples; raises unless all tensors are of one shape (observations, samples)."""
    for x in tensors:
        instance("estimators", "log-probabilities", x, Tensor, "a cavs.Tensor")
    shape = tensors[0].shape
    if len(shape) != 2 or shape[1] < 1:
        raise ShapeError(
            f"[estimators] expected (observations, samples) with 1 sample or more, got {shape}; "
            "reshape it"
        )
    if any(x.shape != shape for x in tensors):
        raise ShapeError(
            f"[estimators] expected tensors of one shape, got {[x.shape for x in tensors]}; "
            "reshape them"
        )
    return shape[1]
