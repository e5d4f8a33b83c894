"""Classifiers of images: layers of hidden units, which may begin as those of generative models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cavs
from cavs import nn, ops
from cavs._arguments import items
from cavs.errors import InputError
from cavs.models._shared import check_sizes
from cavs.models.dbm import DBM


class ImageClassifier(cavs.VertexFunction):
    """Layers of sigmoid units, and a softmax above them; a vertex is an image::

        h_0 = x,  h_l = sigmoid(W_l h_{l-1} + b_l),  logits = V h_L + c

    The layers can begin as those of a deep belief network (Hinton, Osindero and Teh 2006), whose
    units h_l then are the probabilities of its hidden bits.

    A graph is an image, one vertex.

    Inputs: ``image``: (image_size,) per graph, in 0..1; ``label``: int32 per graph.
    Outputs: ``loss``: () the cross-entropy; ``logits``: (num_classes,).
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_sizes: Sequence[int] = (500, 500),
        num_classes: int = 10,
    ) -> None:
        sizes = items("models", "hidden_sizes", hidden_sizes, int, "integers")
        check_sizes(image_size=image_size, num_classes=num_classes)
        for size in sizes:
            check_sizes(hidden_sizes=size)
        self.image_size, self.num_classes = image_size, num_classes
        self.hidden = [nn.Linear(a, b) for a, b in pairwise([self.input_size(sizes), *sizes])]
        self.classes = nn.Linear([image_size, *sizes][-1], num_classes)

    def input_size(self, hidden_sizes: Sequence[int]) -> int:
        """How many numbers the first layer reads."""
        del hidden_sizes
        return self.image_size

    def features(self, x: Any) -> Any:
        """What the first layer reads of an image, (input_size,)."""
        return x

    def forward(self, v: cavs.Vertex) -> None:
        x, label = v.pull_graph("image", self.image_size), v.pull_graph("label", dtype="int32")
        h = self.features(x)
        for layer in self.hidden:
            h = ops.sigmoid(layer(h))
        logits = self.classes(h)
        v.push(loss=ops.cross_entropy(logits, label), logits=logits)


class MeanFieldClassifier(ImageClassifier):
    """The same of two layers, which begin as those of a :class:`DBM` of as many bits (Salakhutdinov
    and Hinton 2009, section 3.3). With m the means of its top bits t given x by mean field, which
    is an input beside x, and stays as it is while the layers learn::

        h_1 = sigmoid(W x + V'm + c),  h_2 = sigmoid(V h_1 + d),  logits = U h_2 + e

    so that h_2 = m at first, where mean field has settled: its next update.
    """

    def __init__(
        self,
        image_size: int = 784,
        hidden_sizes: Sequence[int] = (500, 500),
        num_classes: int = 10,
        updates: int = 10,
    ) -> None:
        sizes = items("models", "hidden_sizes", hidden_sizes, int, "two integers")
        if len(sizes) != 2:
            raise InputError(
                f"[models] expected two integers as hidden_sizes, got {len(sizes)}; pass one for "
                "each layer of the machine"
            )
        super().__init__(image_size, sizes, num_classes)
        self.machine = DBM(image_size, sizes[0], sizes[1], updates=updates)

    def input_size(self, hidden_sizes: Sequence[int]) -> int:
        return self.image_size + hidden_sizes[-1]

    def features(self, x: Any) -> Any:
        return ops.concat([x, ops.sigmoid(self.machine.mean_field(x))])

    def set_machine(self, dbm: DBM) -> None:
        """Begins with the machine and its layers."""
        self.machine.load_state_dict(dbm.state_dict())
        joint, size = dbm.joint, self.image_size
        weight, bias = joint.weight.numpy(), joint.visible_bias.numpy()
        for layer, values in (
            (self.hidden[0], (weight, joint.hidden_bias.numpy())),
            (self.hidden[1], (weight[:, size:].T, bias[size:])),
        ):
            layer.load_state_dict(dict(zip(("weight", "bias"), values, strict=True)))
