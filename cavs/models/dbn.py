"""Deep belief networks of binary images (Hinton, Osindero and Teh 2006)."""

from __future__ import annotations

import cavs
from cavs import ops
from cavs.models._shared import check_sizes
from cavs.models.rbm import RBM
from cavs.nn.distributions import Bernoulli


class DBN(cavs.VertexFunction):
    """An RBM of the hidden bits h of another one, whose pixels are then drawn given h; a vertex is
    an image::

        p(x, h) = p_lower(x | h) p_top(h)        q(h | x) = Bernoulli(sigmoid(W x + c))

    Greedy learning keeps the lower RBM, which has learnt already, and teaches the top one the h
    that q draws of the images, by contrastive divergence: ``loss`` is its. No gradient reaches the
    lower one. With an h of q each::

        log p(x) >= E log p_lower(x | h) - log q(h | x) - F_top(h) - log Z_top

    Inputs: ``image``: (image_size,) of 0 and 1.
    Outputs: ``free_energy``: () what of the bound depends on x, negative; ``loss``: () F_top(h)
    less that of where `steps` steps of Gibbs sampling lead to from h.
    """

    def __init__(
        self, image_size: int = 784, hidden_size: int = 500, top_size: int = 500, steps: int = 1
    ) -> None:
        check_sizes(top_size=top_size)
        self.lower = RBM(image_size, hidden_size)
        self.top = RBM(hidden_size, top_size, steps)
        self.image_size = image_size

    def forward(self, v: cavs.Vertex) -> None:
        lower, top = self.lower, self.top
        x = v.pull("image", self.image_size)
        q = Bernoulli(lower.hidden(x))
        h = q.sample()
        of_lower = ops.sum(Bernoulli(lower.visible(h)).log_prob(x)) - ops.sum(q.log_prob(h))
        free_energy = top.free_energy(h)
        v.push(
            free_energy=free_energy - ops.stop_gradient(of_lower),
            loss=free_energy - top.free_energy(top.gibbs(h, top.steps)),
        )


class DBNDream(cavs.VertexFunction):
    """Images of a :class:`DBN`: each vertex is one, given hidden bits that its top RBM drew.

    Inputs: ``hidden``: (hidden_size,).
    Outputs: ``mean``: (image_size,) probabilities of the pixels.
    """

    def __init__(self, dbn: DBN) -> None:
        self.dbn = dbn

    def forward(self, v: cavs.Vertex) -> None:
        lower = self.dbn.lower
        v.push(mean=Bernoulli(lower.visible(v.pull("hidden", lower.hidden_size))).mean)
