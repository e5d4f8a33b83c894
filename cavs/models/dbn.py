"""Deep belief networks of binary images (Hinton, Osindero and Teh 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cavs
from cavs import nn, ops
from cavs._arguments import boolean, items
from cavs.models._shared import check_sizes
from cavs.models.rbm import RBM
from cavs.nn.distributions import Bernoulli


class DirectedLayer(nn.Module):
    """A layer of bits h above one of bits x: ``down`` makes logits of x given h, as the network
    generates them, and ``up`` logits of h given x, as they are recognised."""

    def __init__(self, below: int, above: int) -> None:
        self.up, self.down = nn.Linear(below, above), nn.Linear(above, below)

    def set_rbm(self, rbm: RBM) -> None:
        """Begins as an RBM of x and h, of as many bits: both ways with its weights."""
        up, down = self.up.bias, self.down.bias
        assert up is not None
        assert down is not None
        for parameter, values in (
            (self.up.weight, (1 + (rbm.doubled == "up")) * rbm.weight.numpy()),
            (self.down.weight, (1 + (rbm.doubled == "down")) * rbm.weight.numpy().T),
            (up, rbm.hidden_bias.numpy()),
            (down, rbm.visible_bias.numpy()),
        ):
            with parameter.writing() as array:
                array[...] = values

    def set_top(self, rbm: RBM) -> bool:
        """Has the RBM above, of h, begin as this layer turned over, where it has bits for that;
        whether it has. Where this layer is as an RBM of x and h learnt it, h then has the
        distribution that it had in this one, and the bound of a :class:`DBN` begins at its
        likelihood (Hinton, Osindero and Teh 2006, section 4). Further bits of the RBM above begin
        without a bias, by the small weights that they have.
        """
        below, up, down = self.up.weight.shape[1], self.up.bias, self.down.bias
        assert up is not None
        assert down is not None
        if rbm.doubled != "none" or rbm.hidden_size < below:
            return False
        with rbm.weight.writing() as array:
            array[:below] = self.down.weight.numpy()
        with rbm.hidden_bias.writing() as array:
            array[:below], array[below:] = down.numpy(), 0.0
        with rbm.visible_bias.writing() as array:
            array[...] = up.numpy()
        return True

    def recognised(self, x: Any) -> Bernoulli:
        """q(h | x)."""
        return Bernoulli(self.up(x))

    def generated(self, h: Any) -> Bernoulli:
        """p(x | h)."""
        return Bernoulli(self.down(h))


class DBN(cavs.VertexFunction):
    """Layers of hidden bits h_1 .. h_L, of which an RBM draws the last, and each other layer is
    drawn given the one above it; a vertex is an image x = h_0::

        p(x, h) = p(x | h_1) .. p(h_{L-1} | h_L) p_top(h_L)
        p(h_l | h_{l+1}) = Bernoulli(sigmoid(D_l h_{l+1} + b_l))
        q(h_{l+1} | h_l) = Bernoulli(sigmoid(U_l h_l + c_l))

    Greedy learning keeps the layers below the RBM, each of which was one before, with D = U', and
    teaches the RBM the h_L that q draws of the images, by contrastive divergence.
    With `probabilities` it learns from the probabilities of h_L instead, all layers below being
    probabilities too, as the layers of an autoencoder do (Hinton and Salakhutdinov 2006).

    With `up_down` all layers learn (section 5: contrastive wake-sleep). Awake, q draws h of an
    image, and the way down learns to draw what was below; `steps` steps of Gibbs sampling in the
    RBM, which learns too, lead from h_L to k_L; asleep, k is drawn down to an image, and the way up
    learns to recognise what was above. The gradient of ``loss`` is that of ::

        - sum_l log p(h_l | h_{l+1}) + F_top(h_L) - F_top(k_L) - sum_l log q(k_{l+1} | k_l)

    Of the likelihood there is a bound, here by one h of q for each image::

        log p(x) >= E sum_l log p(h_l | h_{l+1}) - log q(h_{l+1} | h_l) - F_top(h_L) - log Z_top

    `doubled` is that of the :class:`RBM`.

    Inputs: ``image``: (image_size,) of 0 and 1.
    Outputs: ``free_energy``: () what of the bound depends on x, negative; ``loss``: () F_top(h_L)
    less F_top of where the steps lead to, and what `up_down` adds; ``error``: () that of the RBM,
    where its weights are used twice.
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_sizes: Sequence[int] = (500,),
        top_size: int = 500,
        steps: int = 1,
        *,
        probabilities: bool = False,
        up_down: bool = False,
        doubled: str = "none",
    ) -> None:
        sizes = [image_size, *items("models", "hidden_sizes", hidden_sizes, int, "integers")]
        check_sizes(image_size=image_size, top_size=top_size)
        for size in sizes[1:] or [0]:
            check_sizes(hidden_sizes=size)
        self.lower = [DirectedLayer(a, b) for a, b in pairwise(sizes)]
        self.top = RBM(sizes[-1], top_size, steps, doubled)
        self.image_size = image_size
        self.probabilities = boolean("models", "probabilities", probabilities)
        self.up_down = boolean("models", "up_down", up_down)

    def forward(self, v: cavs.Vertex) -> None:
        x, top = v.pull("image", self.image_size), self.top
        h, of_lower, awake = x, ops.constant(0.0), ops.constant(0.0)
        for layer in self.lower:
            q, below = layer.recognised(h), h
            h = q.sample()
            log_p = ops.sum(layer.generated(h).log_prob(below))
            of_lower, awake = of_lower + log_p - ops.sum(q.log_prob(h)), awake + log_p
        free_energy = top.free_energy(h)
        v.push(free_energy=free_energy - ops.stop_gradient(of_lower))
        seen = self.means(x) if self.probabilities else h
        dreamt = top.gibbs(seen, top.steps)
        loss = top.free_energy(seen) - top.free_energy(dreamt)
        v.push(loss=loss - awake + self.asleep(dreamt) if self.up_down else loss)
        if top.doubled != "none":
            v.push(error=top.error(seen))

    def means(self, x: Any) -> Any:
        """The probabilities of the bits of h_L, from layer to layer, without gradient."""
        for layer in self.lower:
            x = layer.recognised(x).mean
        return ops.stop_gradient(x)

    def asleep(self, k: Any) -> Any:
        """-log q of what is drawn from k = k_L down to an image, ()."""
        loss = 0.0
        for layer in reversed(self.lower):
            above = k
            k = layer.generated(above).sample()
            loss = loss - ops.sum(layer.recognised(k).log_prob(above))
        return loss


class DBNDream(cavs.VertexFunction):
    """Images of a :class:`DBN`: each vertex is one, given bits h_L that its top RBM drew.

    Inputs: ``hidden``: (size of h_L,).
    Outputs: ``mean``: (image_size,) probabilities of the pixels.
    """

    def __init__(self, dbn: DBN) -> None:
        self.dbn = dbn

    def forward(self, v: cavs.Vertex) -> None:
        h = v.pull("hidden", self.dbn.top.image_size)
        *above, last = reversed(self.dbn.lower)
        for layer in above:
            h = layer.generated(h).sample()
        v.push(mean=last.generated(h).mean)
