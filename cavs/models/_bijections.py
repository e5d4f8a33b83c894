"""Layers of normalising flows: y of x with log |det dy/dx|, and x of y again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops


class Bijection(nn.Module, ABC):
    """A layer of a vector (size,) or an image (channels, height, width) that can be undone: by
    ``inverse(y)``, but for :class:`Autoregressive`, which is undone pixel by pixel."""

    @abstractmethod
    def forward(self, x: Any) -> tuple[Any, Any]:
        """y, and log |det dy/dx|, ()."""


class ActNorm(Bijection):
    """y = (x - mean) exp(-log_std), by pixel of a vector or by channel of an image (Kingma and
    Dhariwal 2018, section 3.1). :func:`cavs.training.set_first_norms` has the y of data begin with
    mean 0 and variance 1.

    Attributes:
        mean, log_std: (size,), zeros.
    """

    def __init__(self, size: int, positions: int | None = None) -> None:
        """`positions`: the pixels of a channel; None: x is a vector."""
        self.positions = positions
        self.mean = nn.Parameter(np.zeros(size, np.float32))
        self.log_std = nn.Parameter(np.zeros(size, np.float32))

    def measured(self, x: Any) -> tuple[Any, Any]:
        """Mean and log of the standard deviation of all rows of a batch, values without rows."""

        def mean(value: Any) -> Any:
            return ops.batch_mean(value if self.positions is None else ops.mean(value, (1, 2)))

        average = mean(x)
        variance = mean(ops.square(x - self._column(average)))
        return average, 0.5 * ops.log(variance + 1e-6)

    def normalised(self, x: Any, mean: Any, log_std: Any) -> Any:
        """y by another mean and deviation."""
        return (x - self._column(mean)) * self._column(ops.exp(-log_std))

    def forward(self, x: Any) -> tuple[Any, Any]:
        y = self.normalised(x, self.mean, self.log_std)
        return y, -float(self.positions or 1) * ops.sum(self.log_std)

    def inverse(self, y: Any) -> Any:
        return y * self._column(ops.exp(self.log_std)) + self._column(self.mean)

    def _column(self, value: Any) -> Any:
        return value if self.positions is None else ops.reshape(value, (-1, 1, 1))


def planar(z: Any, u: Any, w: Any, b: Any) -> tuple[Any, Any]:
    """A planar flow (Rezende and Mohamed 2015, equations 10 to 12), and how the volume grows::

        f(z) = z + u h(w'z + b)    log |det df/dz| = log |1 + u'w h'(w'z + b)|,  h = tanh

    where u is moved along w so that w'u > -1 and f can be undone (appendix A.1; here u = 0 stays).

    Args:
        z, u, w: (size,).
        b: ().

    Returns:
        f(z), (size,), and the logarithm, ().
    """
    u, along = moved(u, w)
    h = ops.tanh(ops.sum(w * z) + b)
    return z + u * h, ops.log1p(along * (1.0 - h * h))


def moved(u: Any, w: Any) -> tuple[Any, Any]:
    """u of a planar flow that can be undone, (size,), and w'u, ()."""
    before = ops.sum(w * u)
    along = ops.softplus(before + math.log(math.e - 1)) - 1.0
    return u + (along - before) * w / ops.sum(w * w), along


class Planar(Bijection):
    """See :func:`planar`.

    Attributes:
        u, w: (size,), normal with deviation 0.1; b: (), zero.
    """

    _HALVINGS = 32

    def __init__(self, size: int) -> None:
        self.u = nn.init.normal_(nn.Parameter(np.zeros(size, np.float32)), std=0.1)
        self.w = nn.init.normal_(nn.Parameter(np.zeros(size, np.float32)), std=0.1)
        self.b = nn.Parameter(np.zeros((), np.float32))

    def forward(self, x: Any) -> tuple[Any, Any]:
        return planar(x, self.u, self.w, self.b)

    def inverse(self, y: Any) -> Any:
        """No closed form: w'x is the root of a + w'u tanh(a + b) = w'y, which grows with a, found
        by halving."""
        u, along = moved(self.u, self.w)
        wanted = ops.sum(self.w * y)
        step = 2.0 * ops.abs(along)
        a = wanted - 0.5 * step
        for _ in range(self._HALVINGS):
            step = 0.5 * step
            there = a + step
            a = a + step * ops.less_equal(there + along * ops.tanh(there + self.b), wanted)
        return y - u * ops.tanh(a + self.b)


class Reordered(Bijection):
    """The pixels in another order.

    Attributes:
        order: (size,) int32, the places in x of the pixels of y.
    """

    def __init__(self, order: Any) -> None:
        self.order = np.asarray(order, np.int32)

    def forward(self, x: Any) -> tuple[Any, Any]:
        return ops.take(x, self.order), 0.0

    def inverse(self, y: Any) -> Any:
        return ops.take(y, np.argsort(self.order).astype(np.int32))


class Squeeze(Bijection):
    """Blocks of 2 x 2 pixels become four channels (Dinh et al. 2017, section 3.6): (channels,
    height, width) becomes (4 channels, height / 2, width / 2)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> tuple[Any, Any]:
        c, h, w = self.shape
        blocks = ops.reshape(x, (c, h // 2, 2, w // 2, 2))
        return ops.reshape(ops.permute(blocks, (0, 2, 4, 1, 3)), (4 * c, h // 2, w // 2)), 0.0

    def inverse(self, y: Any) -> Any:
        c, h, w = self.shape
        blocks = ops.reshape(y, (c, 2, 2, h // 2, w // 2))
        return ops.reshape(ops.permute(blocks, (0, 3, 1, 4, 2)), (c, h, w))


class Reshaped(Bijection):
    """The same numbers in another shape."""

    def __init__(self, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        self.before, self.after = before, after

    def forward(self, x: Any) -> tuple[Any, Any]:
        return ops.reshape(x, self.after), 0.0

    def inverse(self, y: Any) -> Any:
        return ops.reshape(y, self.before)


class FactoredOut(nn.Module):
    """Half of the channels are noise, the others go on (Dinh et al. 2017, equation 14).

    Attributes:
        shape: (channels, height, width) before.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape

    @property
    def size(self) -> int:
        """How many pixels are noise."""
        return math.prod(self.shape) // 2

    def halves(self, x: Any) -> tuple[Any, Any]:
        """The noise, (size,), and what goes on."""
        half = self.shape[0] // 2
        return ops.reshape(x[half:], (self.size,)), x[:half]

    def joined(self, noise: Any, x: Any) -> Any:
        """Both together again."""
        half = self.shape[0] // 2
        return ops.concat([x, ops.reshape(noise, (half, *self.shape[1:]))], axis=0)


class Perceptron(nn.Module):
    """Two hidden layers between vectors; the output begins as 0."""

    def __init__(self, size: int, hidden_size: int, out_size: int) -> None:
        self.hidden1 = nn.Linear(size, hidden_size)
        self.hidden2 = nn.Linear(hidden_size, hidden_size)
        self.output = zeros(nn.Linear(hidden_size, out_size))

    def forward(self, x: Any) -> Any:
        return self.output(ops.relu(self.hidden2(ops.relu(self.hidden1(x)))))


class Convolutions(nn.Module):
    """Two hidden layers between images, with kernels of 3, 1 and 3; the output begins as 0."""

    def __init__(self, channels: int, hidden_size: int, out_channels: int) -> None:
        self.hidden1 = nn.Conv2d(channels, hidden_size, 3, padding=1)
        self.hidden2 = nn.Conv2d(hidden_size, hidden_size, 1)
        self.output = zeros(nn.Conv2d(hidden_size, out_channels, 3, padding=1))

    def forward(self, x: Any) -> Any:
        return self.output(ops.relu(self.hidden2(ops.relu(self.hidden1(x)))))


def zeros(layer: Any) -> Any:
    """The layer with zeros as its weight and bias, so that a flow begins as the identity."""
    for parameter in (layer.weight, layer.bias):
        nn.init.constant_(parameter, 0.0)
    return layer


class Coupling(Bijection):
    """One part of the pixels scales and moves the other (Dinh et al. 2017, equations 4 and 5)::

        y_a = x_a    y_b = x_b exp(s(x_a)) + t(x_a)    log |det dy/dx| = sum s(x_a)

    s = bound * tanh(..), with a bound for each pixel, or channel, that is learnt.

    Attributes:
        network: makes s and t of x_a.
        bound: ones.
    """

    def __init__(self, network: nn.Module, first: int, size: int, flipped: bool, *at: int) -> None:
        """Along the first axis of x, of `size`, the first `first` are a, or with `flipped` b;
        `at`: ones for the further axes."""
        self.network, self.first, self.flipped = network, first, flipped
        self.second = first if flipped else size - first
        self.bound = nn.Parameter(np.ones((self.second, *at), np.float32))

    def forward(self, x: Any) -> tuple[Any, Any]:
        a, b = self._halves(x)
        s, t = self._scale_and_shift(a)
        return self._joined(a, b * ops.exp(s) + t), ops.sum(s)

    def inverse(self, y: Any) -> Any:
        a, b = self._halves(y)
        s, t = self._scale_and_shift(a)
        return self._joined(a, (b - t) * ops.exp(-s))

    def _scale_and_shift(self, a: Any) -> tuple[Any, Any]:
        made = self.network(a)
        return self.bound * ops.tanh(made[: self.second]), made[self.second :]

    def _halves(self, x: Any) -> tuple[Any, Any]:
        halves = x[: self.first], x[self.first :]
        return (halves[1], halves[0]) if self.flipped else halves

    def _joined(self, a: Any, b: Any) -> Any:
        return ops.concat([b, a] if self.flipped else [a, b], axis=0)


class Autoregressive(Bijection):
    """Each pixel is normal given those before it in an order (Papamakarios et al. 2017, equations 3
    to 5), by a MADE of one hidden layer::

        y_i = (x_i - m_i) exp(-s_i)    log |det dy/dx| = -sum s_i
        m_i and s_i of relu(W x + c), with masks on W and on the weights of both

    s = bound * tanh(..), with a bound for each pixel that is learnt.

    Attributes:
        order: (size,) float32, the place of each pixel, from 1.
        degrees: (hidden_size,) float32, how many of the first pixels a hidden unit sees.
    """

    def __init__(self, size: int, hidden_size: int, backwards: bool) -> None:
        places = np.arange(1, size + 1, dtype=np.float32)
        self.order = places[::-1].copy() if backwards else places
        self.degrees = 1 + np.arange(hidden_size, dtype=np.float32) % max(size - 1, 1)
        self.hidden = nn.Linear(size, hidden_size)
        self.mean = zeros(nn.Linear(hidden_size, size))
        self.log_std = zeros(nn.Linear(hidden_size, size))
        self.bound = nn.Parameter(np.ones(size, np.float32))

    def masked(self) -> tuple[Any, Any, Any]:
        """The weights of the hidden layer, of m and of s, with zeros where the masks have them."""
        sees = self.degrees[:, None] >= self.order
        seen = self.order[:, None] > self.degrees
        below, above = (ops.constant(mask.astype(np.float32)) for mask in (sees, seen))
        return (
            self.hidden.weight * below,
            self.mean.weight * above,
            self.log_std.weight * above,
        )

    def forward(self, x: Any) -> tuple[Any, Any]:
        w, w_mean, w_log_std = self.masked()
        h = ops.relu(ops.linear(x, w, self.hidden.bias))
        m = ops.linear(h, w_mean, self.mean.bias)
        s = self.bound * ops.tanh(ops.linear(h, w_log_std, self.log_std.bias))
        return (x - m) * ops.exp(-s), -ops.sum(s)


class Convolution1x1(Bijection):
    """y = W x at each position of an image, W = P L (U + diag(s)) (Kingma and Dhariwal 2018,
    sections 3.2 and 3.2.1)::

        log |det dy/dx| = positions * sum log |s|

    W begins as a random rotation; P and the signs of s stay.

    Attributes:
        lower, upper: (channels, channels), of which the triangles below and above the diagonal are
            L, whose diagonal is 1, and U.
        log_scale: (channels,), log |s|.
        permutation, sign: buffers, (channels, channels) and (channels,).
    """

    permutation: cavs.Buffer
    sign: cavs.Buffer

    def __init__(self, channels: int, positions: int) -> None:
        self.channels, self.positions = channels, positions
        rotation = nn.init.orthogonal_(nn.Parameter(np.zeros((channels, channels), np.float32)))
        p, lower, upper = factors(rotation.numpy())
        scale = np.diag(upper)
        self.lower = nn.Parameter(np.tril(lower, -1))
        self.upper = nn.Parameter(np.triu(upper, 1))
        self.log_scale = nn.Parameter(np.log(np.abs(scale)))
        self.register_buffer("permutation", p)
        self.register_buffer("sign", np.sign(scale))

    def forward(self, x: Any) -> tuple[Any, Any]:
        lower, upper, scale = self._triangles(1.0)
        w = ops.matmul(self.permutation, ops.matmul(lower, upper + scale))
        return self._applied(w, x), float(self.positions) * ops.sum(self.log_scale)

    def inverse(self, y: Any) -> Any:
        lower, upper, scale = self._triangles(-1.0)
        identity = np.eye(self.channels, dtype=np.float32)
        undone_lower = _of_one_plus(lower - ops.constant(identity), self.channels)
        undone_upper = ops.matmul(_of_one_plus(ops.matmul(scale, upper), self.channels), scale)
        back = ops.permute(self.permutation, (1, 0))
        return self._applied(ops.matmul(undone_upper, ops.matmul(undone_lower, back)), y)

    def _triangles(self, power: float) -> tuple[Any, Any, Any]:
        """L, U, and the diagonal matrix of s to the power of 1 or -1."""
        ones = np.ones((self.channels, self.channels), np.float32)
        identity = ops.constant(np.eye(self.channels, dtype=np.float32))
        lower = self.lower * ops.constant(np.tril(ones, -1)) + identity
        upper = self.upper * ops.constant(np.triu(ones, 1))
        return lower, upper, identity * (self.sign * ops.exp(power * self.log_scale))

    def _applied(self, w: Any, x: Any) -> Any:
        return ops.reshape(ops.matmul(w, ops.reshape(x, (self.channels, self.positions))), x.shape)


def _of_one_plus(n: Any, size: int) -> Any:
    """(1 + N)^-1 of a strict triangle N, which is 0 to the power of its size: the product of 1 - N,
    1 + N^2, 1 + N^4 .."""
    identity = ops.constant(np.eye(size, dtype=np.float32))
    result, power, known = identity - n, n, 2
    while known < size:
        power = ops.matmul(power, power)
        result, known = ops.matmul(result, identity + power), 2 * known
    return result


def factors(matrix: Any) -> tuple[Any, Any, Any]:
    """P, L and U with P L U = `matrix`, by Gauss with the greatest pivots; float32 (n, n)."""
    upper = np.array(matrix, np.float64)
    size = len(upper)
    rows, lower = np.arange(size), np.eye(size)
    for k in range(size - 1):
        best = k + int(np.abs(upper[k:, k]).argmax())
        swap = [best, k]
        upper[[k, best]], rows[[k, best]] = upper[swap], rows[swap]
        lower[[k, best], :k] = lower[swap, :k]
        lower[k + 1 :, k] = upper[k + 1 :, k] / upper[k, k]
        upper[k + 1 :] -= np.outer(lower[k + 1 :, k], upper[k])
    p = np.eye(size)[:, rows]
    return p.astype(np.float32), lower.astype(np.float32), np.triu(upper).astype(np.float32)
