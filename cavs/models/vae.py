"""Variational and importance-weighted autoencoders of images (Kingma and Welling 2014; Burda et al.
2016)."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs._arguments import integer
from cavs.errors import ShapeError
from cavs.models._bijections import planar
from cavs.models._shared import check_sizes, set_pixel_means
from cavs.nn.distributions import Bernoulli, Normal


class VAE(cavs.VertexFunction):
    """A latent normal z, and independent pixels given it; a graph is an image, a vertex a sample.

    Burda et al. 2016, section 5, with one stochastic layer. The image x comes by ``pull_graph``, so
    that it is encoded once for any number of samples::

        q(z | x) = Normal(mean, exp(log_std)),  mean, log_std = V tanh(W_2 tanh(W_1 x))
        p(z) = Normal(0, 1)
        p(x | z) = Bernoulli(U_3 tanh(U_2 tanh(U_1 z)))

    With `dropout` the encoder reads dropout(x) in training, to overfit less (Shu et al. 2018,
    *Amortized Inference Regularization*).

    With `flows` the sample of q goes on through so many planar flows, whose u, w and b the encoder
    makes of x too (Rezende and Mohamed, *Variational Inference with Normalizing Flows*, 2015,
    section 4.2)::

        z_k = z_{k-1} + u_k tanh(w_k'z_{k-1} + b_k)
        log q(z_K | x) = log q(z_0 | x) - sum_k log |1 + u_k'w_k tanh'(w_k'z_{k-1} + b_k)|

    Graphs have no edges. The evidence lower bound is :func:`cavs.nn.estimators.elbo` of the output,
    reshaped to (graphs, samples), and :func:`~cavs.nn.estimators.importance_weighted_bound` makes
    an IWAE of it.

    Inputs: ``image``: (image_size,) per graph, in 0..1.
    Outputs per vertex: ``log_weight``: () log p(x, z) - log q(z | x); ``logits``: (image_size,) of
    the pixels.
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_size: int = 200,
        latent_size: int = 50,
        dropout: float = 0.0,
        flows: int = 0,
    ) -> None:
        integer("models", "flows", flows, 0, error=ShapeError)
        check_sizes(image_size=image_size, hidden_size=hidden_size, latent_size=latent_size)
        self.image_size, self.latent_size, self.dropout = image_size, latent_size, dropout
        self.encoder1 = nn.Linear(image_size, hidden_size)
        self.encoder2 = nn.Linear(hidden_size, hidden_size)
        self.posterior = nn.Linear(hidden_size, 2 * latent_size)
        self.decoder1 = nn.Linear(latent_size, hidden_size)
        self.decoder2 = nn.Linear(hidden_size, hidden_size)
        self.pixels = nn.Linear(hidden_size, image_size)
        self.flows = [nn.Linear(hidden_size, 2 * latent_size + 1) for _ in range(flows)]

    def set_pixel_means(self, means: Any) -> None:
        """Sets the biases of the logits so that pixels are 1 as often as in the data: `means` is
        (image_size,)."""
        set_pixel_means(self.pixels, means)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull_graph("image", self.image_size)
        seen = ops.dropout(x, self.dropout)
        encoded = ops.tanh(self.encoder2(ops.tanh(self.encoder1(seen))))
        mean, log_std = ops.split(self.posterior(encoded), 2)
        posterior, prior = Normal(mean, ops.exp(log_std)), Normal(0.0, 1.0)
        z = posterior.mean + posterior.std * v.normal(self.latent_size)
        log_q = ops.sum(posterior.log_prob(z))
        for layer in self.flows:
            u, w, b = ops.split(layer(encoded), [self.latent_size, self.latent_size, 1])
            z, log_det = planar(z, u, w, ops.sum(b))
            log_q = log_q - log_det
        logits = self.decode(z)
        log_joint = ops.sum(Bernoulli(logits).log_prob(x)) + ops.sum(prior.log_prob(z))
        v.push(log_weight=log_joint - log_q, logits=logits)

    def decode(self, z: Any) -> Any:
        """Logits of the pixels, (image_size,), from z."""
        return self.pixels(ops.tanh(self.decoder2(ops.tanh(self.decoder1(z)))))


class VAESampler(cavs.VertexFunction):
    """Images that a :class:`VAE` draws: each vertex is an image from a z of the prior.

    Outputs per vertex: ``mean``: (image_size,) probabilities of the pixels; ``image``: a sample.
    """

    def __init__(self, vae: VAE) -> None:
        self.vae = vae

    def forward(self, v: cavs.Vertex) -> None:
        pixels = Bernoulli(self.vae.decode(v.normal(self.vae.latent_size)))
        v.push(mean=pixels.mean, image=pixels.sample())
