"""Deep Boltzmann machines of binary images (Salakhutdinov and Hinton 2009)."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import ops
from cavs.models._shared import check_sizes
from cavs.models.dbn import DBN
from cavs.models.rbm import RBM
from cavs.nn.distributions import Bernoulli


class DBM(cavs.VertexFunction):
    """Pixels x and two layers of hidden bits, h next to the pixels and t above h, with connections
    between neighbouring layers in both directions; a vertex is an image::

        p(x, h, t) = exp(h'W x + t'V h + b'x + c'h + d't) / Z

    Given h, x and t are independent, and given x and t the bits of h are: the machine is an RBM,
    ``joint``, whose pixels are x and t together, so that its chains and its Z are those of an RBM.
    Of an image t is not known. With q(t) = Bernoulli(m) and h at its best for it::

        log p(x) >= H(q) - F_joint(x, m) - log Z
        m = sigmoid(V sigmoid(W x + V'm + c) + d)

    The second line, repeated `updates` times, climbs the bound (mean field), from where W x stands
    in the place of V'm too: the weights upwards are used twice while nothing is known of t (section
    3.1). From an m of 1/2 it may come to rest where all of h is off. The gradient is that of the
    bound with m held.

    It begins best with layers that learnt one after the other: :meth:`set_layers`.

    Inputs: ``image``: (image_size,) of 0 and 1.
    Outputs: ``free_energy``: () what of the bound depends on x, negative; ``loss``: () that less
    F_joint of where `steps` steps of Gibbs sampling lead to from x and a t of q.
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_size: int = 500,
        top_size: int = 500,
        steps: int = 1,
        updates: int = 10,
    ) -> None:
        check_sizes(image_size=image_size, top_size=top_size, updates=updates)
        self.image_size, self.top_size, self.updates = image_size, top_size, updates
        self.joint = RBM(image_size + top_size, hidden_size, steps)

    def forward(self, v: cavs.Vertex) -> None:
        x, joint = v.pull("image", self.image_size), self.joint
        top = Bernoulli(self.mean_field(x))
        both = ops.concat([x, top.mean])
        free_energy = joint.free_energy(both) - ops.sum(top.entropy())
        y = joint.gibbs(ops.concat([x, top.sample()]), joint.steps)
        v.push(free_energy=free_energy, loss=free_energy - joint.free_energy(y))

    def mean_field(self, x: Any) -> Any:
        """Logits of t by mean field given x, (top_size,); no gradient flows through them."""
        joint, sizes = self.joint, [self.image_size, self.top_size]
        of_image, of_top = ops.split(joint.weight, sizes)
        _, bias = ops.split(joint.visible_bias, sizes)
        below = ops.linear(x, of_image)  # the same in all updates
        above = below
        for _ in range(self.updates + 1):
            hidden = ops.sigmoid(below + above + joint.hidden_bias)
            logits = ops.matmul(hidden, of_top) + bias
            above = ops.linear(ops.sigmoid(logits), of_top)
        return ops.stop_gradient(logits)

    def set_pixel_means(self, means: Any) -> None:
        """Sets b so that pixels are 1 as often as in the data where W is 0: `means` is
        (image_size,)."""
        self.joint.set_pixel_means(np.concatenate([means, np.full(self.top_size, 0.5)]))

    def set_layers(self, learnt: DBN) -> None:
        """Begins with the layers of a :class:`DBN` of as many bits: an RBM of pixels and h whose
        weights W were used twice upwards, and one of h and t whose weights V were used twice
        downwards (section 3.1). Between the two h has two inputs, 2 W x + c and 2 V't + c', in the
        place of which comes their mean."""
        (lower,), top = learnt.lower, learnt.top
        joint, size = self.joint, self.image_size
        of_up, of_down = lower.up.bias, lower.down.bias
        assert of_up is not None
        assert of_down is not None
        with joint.weight.writing() as weight:
            weight[:, :size] = lower.down.weight.numpy().T
            weight[:, size:] = top.weight.numpy().T
        with joint.visible_bias.writing() as bias:
            bias[:size], bias[size:] = of_down.numpy(), top.hidden_bias.numpy()
        with joint.hidden_bias.writing() as bias:
            bias[...] = (of_up.numpy() + top.visible_bias.numpy()) / 2
