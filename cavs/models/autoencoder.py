"""Autoencoders: linear, deep, denoising and adversarial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import cavs
from cavs import nn, ops
from cavs._arguments import choice, items
from cavs.models._shared import check_sizes, set_pixel_means

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "linear": lambda x: x,
}
LOSSES = ("cross-entropy", "squared-error")


class Autoencoder(cavs.VertexFunction):
    """Layers that make a code of an image, and layers that make the image of the code.

    Hinton and Salakhutdinov, *Reducing the Dimensionality of Data with Neural Networks* (2006)::

        h_0 = x,  h_l = g(W_l h_{l-1} + b_l),  z = W_L h_{L-1} + b_L
        y = sigmoid(V_1 g(V_2 .. g(V_L z + c_L) ..) + c_1)

    with as many units on the way back. With `activation` ``linear`` g and the sigmoid are left out;
    without `hidden_sizes` the codes of the best such one span the space of the first principal
    components (Baldi and Hornik 1989).

    With a share `flipped` of the pixels x_i replaced by 1 - x_i, the image is made of what is left
    of it (Vincent et al., *Extracting and Composing Robust Features with Denoising Autoencoders*,
    2008).

    A graph is an image, one vertex.

    Inputs: ``image``: (image_size,) per graph, in 0..1; ``flipped``: () per batch, the share.
    Outputs: ``loss``: () what `loss` names, with ``linear`` always the squared error; ``error``: ()
    the squared error, summed over pixels; ``code``: (code_size,) z; ``mean``: (image_size,) y.

    Raises:
        ShapeError: a size that is no integer of 1 or more; InputError: an unknown `activation` or
            `loss`.
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_sizes: Sequence[int] = (1000, 500, 250),
        code_size: int = 30,
        activation: str = "relu",
        loss: str = "cross-entropy",
    ) -> None:
        hidden = items("models", "hidden_sizes", hidden_sizes, int, "integers")
        check_sizes(image_size=image_size, code_size=code_size)
        for size in hidden:
            check_sizes(hidden_sizes=size)
        self.image_size, self.code_size = image_size, code_size
        self.activation = choice("models", "activation", activation, ACTIVATIONS)
        self.loss = choice("models", "loss", loss, LOSSES)
        self.linear = activation == "linear"
        sizes = [image_size, *hidden, code_size]
        self.encoder = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        sizes.reverse()
        self.decoder = [nn.Linear(a, b) for a, b in pairwise(sizes)]

    def set_pixel_means(self, means: Any) -> None:
        """Sets biases with which images begin as the mean: `means` is (image_size,)."""
        if not self.linear:
            set_pixel_means(self.decoder[-1].bias, means)
            return
        bias: Any = self.decoder[-1].bias
        with bias.writing() as values:
            values[...] = means

    def encode(self, x: Any) -> Any:
        """The code of an image, (code_size,)."""
        return self._through(self.encoder, x)

    def decode(self, z: Any) -> Any:
        """The image of a code before the sigmoid, (image_size,)."""
        return self._through(self.decoder, z)

    def _through(self, layers: list[nn.Linear], x: Any) -> Any:
        for layer in layers[:-1]:
            x = ACTIVATIONS[self.activation](layer(x))
        return layers[-1](x)

    def mean(self, logits: Any) -> Any:
        """The image, (image_size,), from what `decode` gives."""
        return logits if self.linear else ops.sigmoid(logits)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull_graph("image", self.image_size)
        flip = ops.less(v.uniform(self.image_size), v.pull_batch("flipped"))
        z = self.encode(x + flip * (1.0 - 2.0 * x))
        logits = self.decode(z)
        y = self.mean(logits)
        error = ops.sum(ops.squared_error(y, x))
        cross = ops.sum(ops.binary_cross_entropy_with_logits(logits, x))
        squared = self.linear or self.loss == "squared-error"
        v.push(loss=error if squared else cross, error=error, code=z, mean=y)


class Discriminator(cavs.VertexFunction):
    """Whether a code was drawn from the prior.

    Inputs per vertex: ``code``: (code_size,); ``drawn``: () 1 if it was drawn, 0 if it is an
    image's, as the loss takes it to be.
    Outputs per vertex: ``loss``: () the cross-entropy of that.
    """

    def __init__(self, code_size: int, hidden_size: int) -> None:
        check_sizes(code_size=code_size, hidden_size=hidden_size)
        self.code_size = code_size
        self.hidden1 = nn.Linear(code_size, hidden_size)
        self.hidden2 = nn.Linear(hidden_size, hidden_size)
        self.logit = nn.Linear(hidden_size, 1)

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.relu(self.hidden1(v.pull("code", self.code_size)))
        logit = ops.sum(self.logit(ops.relu(self.hidden2(h))))
        v.push(loss=ops.binary_cross_entropy_with_logits(logit, v.pull("drawn")))


class AdversarialAutoencoder(cavs.VertexProgram):
    """An :class:`Autoencoder` and a :class:`Discriminator` of its codes, which are to be as if
    drawn from Normal(0, 1) (Makhzani et al., *Adversarial Autoencoders*, 2016).

    The discriminator D learns to tell the two apart, the encoder to be taken for the prior::

        max over D of E log D(z) + E log(1 - D(encoder(x))),  z ~ Normal(0, 1)
        max over the encoder of E log D(encoder(x))

    while encoder and decoder learn to give the image back. The arguments are the autoencoder's, and
    `discriminator_size`, the units of each of the two layers of D.
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_sizes: Sequence[int] = (1000, 1000),
        code_size: int = 8,
        activation: str = "relu",
        loss: str = "cross-entropy",
        discriminator_size: int = 500,
    ) -> None:
        autoencoder = Autoencoder(image_size, hidden_sizes, code_size, activation, loss)
        discriminator = Discriminator(code_size, discriminator_size)
        super().__init__({"autoencoder": autoencoder, "discriminator": discriminator})
        self.autoencoder = autoencoder

    def set_pixel_means(self, means: Any) -> None:
        """See :class:`Autoencoder`."""
        self.autoencoder.set_pixel_means(means)


class DecodedPrior(cavs.VertexFunction):
    """Images that an :class:`Autoencoder` makes of codes drawn from Normal(0, 1), as an adversarial
    one is trained to.

    Outputs per vertex: ``mean``: (image_size,).
    """

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.autoencoder = autoencoder

    def forward(self, v: cavs.Vertex) -> None:
        made = self.autoencoder
        v.push(mean=made.mean(made.decode(v.normal(made.code_size))))
