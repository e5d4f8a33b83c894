"""Restricted Boltzmann machines of binary images (Smolensky 1986; Hinton 2002)."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs._arguments import choice
from cavs.models._shared import check_sizes, set_pixel_means
from cavs.nn.distributions import Bernoulli

DOUBLED = ("none", "up", "down")


class RBM(cavs.VertexFunction):
    """A layer of pixels x and one of hidden bits h, with connections between the layers alone; a
    vertex is an image::

        p(x, h) = exp(h'W x + b'x + c'h) / Z        p(x) = exp(-F(x)) / Z
        F(x) = -b'x - sum_j log(1 + exp(c_j + (W x)_j))
        p(h | x) = Bernoulli(sigmoid(W x + c))      p(x | h) = Bernoulli(sigmoid(W'h + b))

    The gradient of -log p(x) is that of F(x) less its expectation over the model. Contrastive
    divergence (Hinton 2002) takes for the latter an image y that `steps` steps of Gibbs sampling
    lead to from x: ``loss`` is F(x) - F(y), through which the gradient flows, not through y. The
    steps of all images are one call. Persistent chains (Tieleman 2008) go on instead from where
    they were: :class:`RBMChain`.

    A layer of a :class:`DBM` that learns before it has its neighbours uses weights twice, in the
    place of the input that is to come from these (Salakhutdinov and Hinton 2009, section 3.1): with
    `doubled` ``up`` the first one, with ``down`` the last one. This is as if the pixels, or the
    hidden bits, were there in two copies that are alike::

        up:   p(h | x) = Bernoulli(sigmoid(2 W x + c))    F(x) = -2 b'x - sum_j log(1 + exp(..))
        down: p(x | h) = Bernoulli(sigmoid(2 W'h + b))    F(x) = -b'x - 2 sum_j log(1 + exp(..))

    Inputs: ``image``: (image_size,) of 0 and 1.
    Outputs: ``free_energy``: () F(x); ``loss``: () F(x) - F(y), whose value is no measure of how
    good the model is; with weights used twice also ``error``: () that of :meth:`error`.
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_size: int = 500,
        steps: int = 1,
        doubled: str = "none",
    ) -> None:
        check_sizes(image_size=image_size, hidden_size=hidden_size, steps=steps)
        self.doubled = choice("models", "doubled", doubled, DOUBLED)
        self.image_size, self.hidden_size, self.steps = image_size, hidden_size, steps
        self.weight = nn.Parameter(np.zeros((hidden_size, image_size), np.float32))
        self.visible_bias = nn.Parameter(np.zeros(image_size, np.float32))
        self.hidden_bias = nn.Parameter(np.zeros(hidden_size, np.float32))
        nn.init.normal_(self.weight, std=0.01)

    def set_pixel_means(self, means: Any) -> None:
        """Sets b so that pixels are 1 as often as in the data where W is 0: `means` is
        (image_size,)."""
        set_pixel_means(self.visible_bias, means)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("image", self.image_size)
        free_energy = self.free_energy(x)
        y = self.gibbs(x, self.steps)
        v.push(free_energy=free_energy, loss=free_energy - self.free_energy(y))
        if self.doubled != "none":
            v.push(error=self.error(x))

    def hidden(self, x: Any) -> Any:
        """Logits of the hidden bits given x, (hidden_size,)."""
        return ops.linear(self._times("up", x), self.weight, self.hidden_bias)

    def visible(self, h: Any) -> Any:
        """Logits of the pixels given h, (image_size,)."""
        return ops.matmul(self._times("down", h), self.weight) + self.visible_bias

    def free_energy(self, x: Any) -> Any:
        """F(x), ()."""
        of_hidden = self._times("down", ops.sum(ops.softplus(self.hidden(x))))
        return -self._times("up", ops.sum(x * self.visible_bias)) - of_hidden

    def error(self, x: Any) -> Any:
        """The squared error, (), of the means of the pixels given the means of the hidden bits."""
        y = ops.sigmoid(self.visible(ops.sigmoid(self.hidden(x))))
        return ops.sum(ops.squared_error(y, x))

    def _times(self, way: str, x: Any) -> Any:
        """What weights that are used twice this way have in the place of x."""
        return 2.0 * x if self.doubled == way else x

    def gibbs(self, x: Any, steps: int) -> Any:
        """The image, (image_size,), after `steps` steps of Gibbs sampling from x. No gradient flows
        through it."""
        for _ in range(steps):
            x = Bernoulli(self.visible(Bernoulli(self.hidden(x)).sample())).sample()
        return x


class RBMChain(cavs.VertexFunction):
    """Markov chains of an :class:`RBM`: a vertex is a chain, at an image.

    Inputs: ``image``: (image_size,) where the chain is.
    Outputs: ``image``: where it is after `steps` steps of Gibbs sampling; ``mean``: (image_size,)
    probabilities of the pixels that it was drawn from; ``free_energy``: () F of the new image.
    """

    def __init__(self, rbm: RBM, steps: int) -> None:
        check_sizes(steps=steps)
        self.rbm, self.steps = rbm, steps

    def forward(self, v: cavs.Vertex) -> None:
        rbm = self.rbm
        x = rbm.gibbs(v.pull("image", rbm.image_size), self.steps - 1)
        pixels = Bernoulli(rbm.visible(Bernoulli(rbm.hidden(x)).sample()))
        y = pixels.sample()
        v.push(image=y, mean=pixels.mean, free_energy=rbm.free_energy(y))


class ClampedRBM(cavs.VertexFunction):
    """Markov chains of an :class:`RBM` some of whose pixels are known, and stay as they are: the
    others are drawn given these. A vertex is a chain, at an image.

    Inputs: ``image``: (image_size,) where the chain is; ``known``: (image_size,) 1 for a pixel that
    is known, 0 for another, without rows.
    Outputs: ``image``: where the chain is after `steps` steps of Gibbs sampling; ``mean``:
    (image_size,) the known pixels, and the probabilities that the others were drawn from.
    """

    def __init__(self, rbm: RBM, steps: int) -> None:
        check_sizes(steps=steps)
        self.rbm, self.steps = rbm, steps

    def forward(self, v: cavs.Vertex) -> None:
        rbm = self.rbm
        x = v.pull("image", rbm.image_size)
        known = v.pull_batch("known", rbm.image_size)
        given = x * known
        for _ in range(self.steps):
            pixels = Bernoulli(rbm.visible(Bernoulli(rbm.hidden(x)).sample()))
            x = given + (1.0 - known) * pixels.sample()
        v.push(image=x, mean=given + (1.0 - known) * pixels.mean)


class AnnealedRBM(cavs.VertexFunction):
    """Annealed importance sampling of an :class:`RBM` (Neal 2001; Salakhutdinov and Murray 2008):
    chains go from independent pixels to the model by the distributions ::

        p_t(x) = exp(-F_t(x)) / Z_t,    0 = t_0 < t_1 < ... < t_n = 1
        F_t(x) = -(1 - t) a'x - t b'x - sum_j log(1 + exp(t (c_j + (W x)_j)))

    so that Z_1 / Z_0 is the mean over chains of prod_i exp(F_{t_i}(x_i) - F_{t_{i+1}}(x_i)), where
    x_i is drawn by a Gibbs step of p_{t_i}. A call goes over as many inverse temperatures t as it
    is given; :func:`cavs.training.log_partition` calls it until they are done.

    Inputs: ``image``: (image_size,) where the chain is; ``base``: (image_size,) a, without rows;
    ``temperature``: (steps + 1,) the inverse temperatures of the call, without rows, from the one
    that the chain is at.
    Outputs: ``image``: (image_size,) where the chain is then; ``mean``: (image_size,) probabilities
    of the pixels that it was drawn from; ``log_weight``: () the logarithm of the call's factors.
    """

    def __init__(self, rbm: RBM, steps: int) -> None:
        check_sizes(steps=steps)
        self.rbm, self.steps = rbm, steps

    def forward(self, v: cavs.Vertex) -> None:
        rbm = self.rbm
        x = v.pull("image", rbm.image_size)
        a = v.pull_batch("base", rbm.image_size)
        t = v.pull_batch("temperature", self.steps + 1)
        log_weight: Any = 0.0
        for i in range(self.steps):
            hidden = rbm.hidden(x)
            softplus = ops.softplus(t[i + 1] * hidden) - ops.softplus(t[i] * hidden)
            tilt = ops.sum(x * (rbm.visible_bias - a)) * (t[i + 1] - t[i])
            log_weight = log_weight + tilt + ops.sum(softplus)
            h = Bernoulli(t[i + 1] * hidden).sample()
            pixels = Bernoulli((1.0 - t[i + 1]) * a + t[i + 1] * rbm.visible(h))
            x = pixels.sample()
        v.push(image=x, mean=pixels.mean, log_weight=log_weight)
