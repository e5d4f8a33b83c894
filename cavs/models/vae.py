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


class NormalLayer(nn.Module):
    """Normal(mean, exp(log_std)) of (out_size,) independent variables, given others of (size,), by
    two layers of tanh."""

    def __init__(self, size: int, hidden_size: int, out_size: int) -> None:
        self.hidden1 = nn.Linear(size, hidden_size)
        self.hidden2 = nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, 2 * out_size)

    def forward(self, x: Any) -> Normal:
        return _normal(self.out(ops.tanh(self.hidden2(ops.tanh(self.hidden1(x))))))


def _normal(given: Any) -> Normal:
    mean, log_std = ops.split(given, 2)
    return Normal(mean, ops.exp(log_std))


class VAE(cavs.VertexFunction):
    """Latent normals z_1 to z_L, and independent pixels given them; a graph is an image, a vertex a
    sample.

    Burda et al. 2016, section 5. The image x comes by ``pull_graph``, so that it is encoded once
    for any number of samples. With one stochastic layer::

        q(z | x) = Normal(mean, exp(log_std)),  mean, log_std = V tanh(W_2 tanh(W_1 x))
        p(z) = Normal(0, 1)
        p(x | z) = Bernoulli(U_3 tanh(U_2 tanh(U_1 z)))

    With several z_1 takes the place of z in q(z | x) and p(x | z), and, with networks of the same
    form as that of q(z | x)::

        q(z_1 .. z_L | x) = q(z_1 | x) q(z_2 | z_1) .. q(z_L | z_L-1)
        p(z_1 .. z_L) = Normal(z_L; 0, 1) p(z_L-1 | z_L) .. p(z_1 | z_2)

    From each layer to the one above it the sizes halve, hidden sizes rounded up: with 200 and 50
    two layers have 200, 100 hidden and 100, 50 latent units, as in the paper.

    With `dropout` the encoder reads dropout(x) in training, to overfit less (Shu et al. 2018,
    *Amortized Inference Regularization*).

    With `flows` the sample z_0 of q(z_1 | x) goes on through so many planar flows, whose u, w and b
    the encoder makes of x too (Rezende and Mohamed, *Variational Inference with Normalizing Flows*,
    2015, section 4.2)::

        z_k = z_{k-1} + u_k tanh(w_k'z_{k-1} + b_k)
        log q(z_K | x) = log q(z_0 | x) - sum_k log |1 + u_k'w_k tanh'(w_k'z_{k-1} + b_k)|

    Graphs have no edges. The evidence lower bound is :func:`cavs.nn.estimators.elbo` of the output,
    reshaped to (graphs, samples), and :func:`~cavs.nn.estimators.importance_weighted_bound` makes
    an IWAE of it.

    Args:
        image_size: the number of pixels.
        hidden_size: the size of the layers of tanh next to the image.
        latent_size: the size of the top z, z_L.
        dropout: the share of the pixels that are hidden from the encoder in training.
        flows: how many planar flows there are, K.
        stochastic_layers: L.

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
        stochastic_layers: int = 1,
    ) -> None:
        integer("models", "flows", flows, 0, error=ShapeError)
        check_sizes(
            image_size=image_size,
            hidden_size=hidden_size,
            latent_size=latent_size,
            stochastic_layers=stochastic_layers,
        )
        self.image_size, self.latent_size, self.dropout = image_size, latent_size, dropout
        levels = range(stochastic_layers)
        hidden = [-(-hidden_size // 2**level) for level in levels]
        latent = [latent_size * 2 ** (stochastic_layers - 1 - level) for level in levels]
        self.encoder1 = nn.Linear(image_size, hidden_size)
        self.encoder2 = nn.Linear(hidden_size, hidden_size)
        self.posterior = nn.Linear(hidden_size, 2 * latent[0])
        self.decoder1 = nn.Linear(latent[0], hidden_size)
        self.decoder2 = nn.Linear(hidden_size, hidden_size)
        self.pixels = nn.Linear(hidden_size, image_size)
        self.flows = [nn.Linear(hidden_size, 2 * latent[0] + 1) for _ in range(flows)]
        #: q(z_l+1 | z_l) and p(z_l | z_l+1), from the lowest l upwards.
        self.posteriors = [NormalLayer(latent[i - 1], hidden[i], latent[i]) for i in levels[1:]]
        self.priors = [NormalLayer(latent[i], hidden[i], latent[i - 1]) for i in levels[1:]]

    def set_pixel_means(self, means: Any) -> None:
        """Sets the biases of the logits so that pixels are 1 as often as in the data: `means` is
        (image_size,)."""
        set_pixel_means(self.pixels.bias, means)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull_graph("image", self.image_size)
        seen = ops.dropout(x, self.dropout)
        encoded = ops.tanh(self.encoder2(ops.tanh(self.encoder1(seen))))
        posterior = _normal(self.posterior(encoded))
        z = draw(posterior, v)
        log_p, log_q = 0.0, ops.sum(posterior.log_prob(z))
        for layer in self.flows:
            size = z.shape[0]
            u, w, b = ops.split(layer(encoded), [size, size, 1])
            z, log_det = planar(z, u, w, ops.sum(b))
            log_q = log_q - log_det
        lowest = z
        for q, p in zip(self.posteriors, self.priors, strict=True):
            below, posterior = z, q(z)
            z = draw(posterior, v)
            log_p = log_p + ops.sum(p(z).log_prob(below))
            log_q = log_q + ops.sum(posterior.log_prob(z))
        log_p = log_p + ops.sum(Normal(0.0, 1.0).log_prob(z))
        logits = self.decode(lowest)
        log_joint = ops.sum(Bernoulli(logits).log_prob(x)) + log_p
        v.push(log_weight=log_joint - log_q, logits=logits)

    def decode(self, z: Any) -> Any:
        """Logits of the pixels, (image_size,), from the lowest z."""
        return self.pixels(ops.tanh(self.decoder2(ops.tanh(self.decoder1(z)))))


def draw(normal: Normal, v: cavs.Vertex) -> Any:
    """A sample, which the vertex draws; gradients flow through it."""
    return normal.mean + normal.std * v.normal(normal.mean.shape)


class VAESampler(cavs.VertexFunction):
    """Images that a :class:`VAE` draws: each vertex is an image, from the top z down.

    Outputs per vertex: ``mean``: (image_size,) probabilities of the pixels; ``image``: a sample.
    """

    def __init__(self, vae: VAE) -> None:
        self.vae = vae

    def forward(self, v: cavs.Vertex) -> None:
        z = v.normal(self.vae.latent_size)
        # A model of a user's need not have layers between its z and the pixels.
        for prior in reversed(getattr(self.vae, "priors", ())):
            z = draw(prior(z), v)
        pixels = Bernoulli(self.vae.decode(z))
        v.push(mean=pixels.mean, image=pixels.sample())
