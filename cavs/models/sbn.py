"""Sigmoid belief network with a recognition network: a Helmholtz machine (Neal 1992; Dayan et al.
1995; Saul et al. 1996; Mnih and Gregor 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes, set_pixel_means
from cavs.nn.distributions import Bernoulli


class SigmoidBeliefNetwork(cavs.VertexFunction):
    """Layers of hidden bits, and independent pixels given the lowest; a graph is an image, a vertex
    a sample.

    With x the image, which comes by ``pull_graph``, and one layer::

        p(h) = Bernoulli(sigmoid(a))    p(x | h) = Bernoulli(sigmoid(W h + b))
        q(h | x) = Bernoulli(sigmoid(V x + c))

    With several h_1 takes the place of h in p(x | h) and q(h | x), and the top one, h_L, in p(h)::

        p(h_l | h_l+1) = Bernoulli(sigmoid(W_l h_l+1 + b_l))
        q(h_l+1 | h_l) = Bernoulli(sigmoid(V_l h_l + c_l))

    No gradient flows through the bits: train by :mod:`cavs.nn.estimators`, with the outputs
    reshaped to (graphs, samples).

    Args:
        image_size: the number of pixels.
        hidden_size: the number of bits of each layer.
        layers: L.

    Inputs: ``image``: (image_size,) per graph, of 0 and 1.
    Outputs per vertex: ``log_joint``: () log p(x, h); ``log_q``: () log q(h | x); ``log_weight``:
    their difference; ``baseline``: () the value of ``log_weight`` that NVIL expects from x alone.
    """

    def __init__(self, image_size: int = 784, hidden_size: int = 200, layers: int = 1) -> None:
        check_sizes(image_size=image_size, hidden_size=hidden_size, layers=layers)
        self.image_size, self.hidden_size = image_size, hidden_size
        self.prior = nn.Parameter(np.zeros(hidden_size, np.float32))
        self.pixels = nn.Linear(hidden_size, image_size)
        self.recognition = nn.Linear(image_size, hidden_size)
        self.baseline1 = nn.Linear(image_size, 100)
        self.baseline2 = nn.Linear(100, 1)
        #: Logits of p(h_l | h_l+1) and of q(h_l+1 | h_l), from the lowest l upwards.
        self.below = [nn.Linear(hidden_size, hidden_size) for _ in range(layers - 1)]
        self.above = [nn.Linear(hidden_size, hidden_size) for _ in range(layers - 1)]

    def set_pixel_means(self, means: Any) -> None:
        """Sets biases with which pixels are 1 as often as in the data: `means` is (image_size,)."""
        set_pixel_means(self.pixels.bias, means)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull_graph("image", self.image_size)
        log_joint, log_q, read = 0.0, 0.0, x
        layers = zip((self.recognition, *self.above), (self.pixels, *self.below), strict=True)
        for recognition, generation in layers:
            posterior = Bernoulli(recognition(read))
            h = ops.less(v.uniform(self.hidden_size), posterior.mean)
            log_joint = log_joint + ops.sum(Bernoulli(generation(h)).log_prob(read))
            log_q = log_q + ops.sum(posterior.log_prob(h))
            read = h
        log_joint = log_joint + self.log_prior(read)
        baseline = ops.sum(self.baseline2(ops.tanh(self.baseline1(x))))
        v.push(log_joint=log_joint, log_q=log_q, log_weight=log_joint - log_q, baseline=baseline)

    def log_prior(self, h: Any) -> Any:
        """log p(h) of the top layer, ()."""
        return ops.sum(Bernoulli(self.prior + 0.0 * h).log_prob(h))


class SBNDream(cavs.VertexFunction):
    """The dreams of a :class:`SigmoidBeliefNetwork`: each vertex is an image, from the top h down.

    Outputs per vertex: ``log_q``: () log q(h | x), which the sleep phase maximises; ``mean``:
    (image_size,) probabilities of the pixels; ``image``: a sample, x.
    """

    def __init__(self, sbn: SigmoidBeliefNetwork) -> None:
        self.sbn = sbn

    def forward(self, v: cavs.Vertex) -> None:
        sbn = self.sbn
        # A model of a user's need not have further layers.
        above, below = getattr(sbn, "above", ()), getattr(sbn, "below", ())
        h, log_q = ops.less(v.uniform(sbn.hidden_size), ops.sigmoid(sbn.prior)), 0.0
        for recognition, generation in reversed(list(zip(above, below, strict=True))):
            top, h = h, Bernoulli(generation(h)).sample()
            log_q = log_q + ops.sum(Bernoulli(recognition(h)).log_prob(top))
        pixels = Bernoulli(sbn.pixels(h))
        image = pixels.sample()
        log_q = log_q + ops.sum(Bernoulli(sbn.recognition(image)).log_prob(h))
        v.push(log_q=log_q, mean=pixels.mean, image=image)
