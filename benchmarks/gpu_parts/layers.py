"""One layer alone, forward and with all gradients: attention beside PyTorch's
`scaled_dot_product_attention`, convolutions beside cuDNN's.

Inputs and the result's cotangent are on the device; values and gradients must be those of cavs on
the CPU, and PyTorch's those of cavs, before the clock starts. PyTorch multiplies in float32, not in
TF32, as cavs does, and cuDNN tries its algorithms beforehand.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from attention import text, typed_model

import cavs
from cavs import nn
from gpu_parts.trees import per_step
from gpu_parts.turns import PEER, Budget, Work, rates, waiting_for

Arrays = dict[str, npt.NDArray[Any]]
MODES = ("train", "infer")
TOLERANCE = 1e-4  # of the largest value


class Attention(NamedTuple):
    """Causal texts; with a memory, segments with scores by distance as in Transformer-XL."""

    batch: int
    words: int
    memory: int
    heads: int
    size: int

    def __str__(self) -> str:
        memory = f", memory {self.memory}, positions" if self.memory else ""
        return (
            f"attention, {self.batch} x {self.words} words{memory}, {self.heads} heads of "
            f"{self.size}"
        )

    def model(self, device: str) -> cavs.Model:
        places = self.memory + 1 if self.memory else 0
        return typed_model(self.heads, self.size, places, device=device)

    def graphs(self) -> cavs.GraphBatch:
        return cavs.batch([text(self.words, self.memory, self.memory or self.words)] * self.batch)

    def arrays(self) -> Arrays:
        """Inputs, and `d`, the cotangent of the result."""
        widths = {"q": self.size, "d": self.size, "k": self.size, "v": self.size}
        keys = self.words + self.memory
        counts = {"k": keys, "v": keys}
        if self.memory:
            widths["position"] = self.memory + 1
        draw = np.random.default_rng(0)
        return {
            name: draw.standard_normal(
                (self.batch * counts.get(name, self.words), self.heads, width), np.float32
            )
            for name, width in widths.items()
        }

    def arranged(self, rows: Any) -> Any:
        """Rows as PyTorch has them: (batch, heads, words, features)."""
        return rows.reshape(self.batch, -1, *rows.shape[1:]).swapaxes(1, 2)

    def rows(self, arranged: Any) -> Any:
        """The reverse."""
        return arranged.swapaxes(1, 2).reshape(-1, self.heads, arranged.shape[-1])

    def peer(self, t: Mapping[str, Any]) -> Any:
        import torch
        from torch.nn import functional

        attention = functional.scaled_dot_product_attention
        if not self.memory:
            return attention(t["q"], t["k"], t["v"], is_causal=True)
        words, keys = self.words, self.words + self.memory
        ones = torch.ones(words, keys, dtype=torch.bool, device=t["q"].device)
        outside = ones.triu(1 + self.memory) | ones.tril(-1)
        padded = functional.pad(t["position"], (0, words)).flatten(2)[..., : words * keys]
        laid = padded.view(self.batch, self.heads, words, keys)
        return attention(t["q"], t["k"], t["v"], attn_mask=laid.masked_fill(outside, float("-inf")))


class Layer(cavs.VertexFunction):
    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        self.layer, self.shape = layer, shape

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.layer(v.pull("x", self.shape)))


class Convolution(NamedTuple):
    """A batch of images of `size` x `size`; transposed, from few pixels to many."""

    channels: int
    size: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    transposed: bool = False
    images: int = 64

    def __str__(self) -> str:
        return (
            f"{'transposed ' * self.transposed}convolution, {self.channels} -> {self.outputs}, "
            f"{self.kernel} x {self.kernel}{f' / {self.stride}' * (self.stride > 1)}, "
            f"{self.images} images of {self.size} x {self.size}"
        )

    @property
    def padding(self) -> int:
        return (self.kernel - 1) // 2

    def model(self, device: str) -> cavs.Model:
        cavs.manual_seed(0)
        kind = nn.ConvTranspose2d if self.transposed else nn.Conv2d
        layer = kind(self.channels, self.outputs, self.kernel, self.stride, self.padding)
        return cavs.compile(Layer(layer, (self.channels, self.size, self.size)), device=device)

    def graphs(self) -> cavs.GraphBatch:
        return cavs.batch([cavs.InputGraph([[]])] * self.images)

    def arrays(self) -> Arrays:
        """The input, and `d`, the cotangent of the result."""
        reach = self.kernel - 2 * self.padding
        if self.transposed:
            wide = (self.size - 1) * self.stride + reach
        else:
            wide = (self.size - reach) // self.stride + 1
        draw = np.random.default_rng(0)
        shapes = {"x": (self.channels, self.size, self.size), "d": (self.outputs, wide, wide)}
        return {
            name: draw.standard_normal((self.images, *shape), np.float32)
            for name, shape in shapes.items()
        }

    def arranged(self, rows: Any) -> Any:
        return rows

    rows = arranged

    def peer(self, t: Mapping[str, Any]) -> Any:
        from torch.nn import functional

        call: Any = functional.conv_transpose2d if self.transposed else functional.conv2d
        given = (t["x"], t["layer.weight"], t["layer.bias"])
        return call(*given, stride=self.stride, padding=self.padding)


Kind = Attention | Convolution
LAYERS: tuple[Kind, ...] = (
    Attention(8, 512, 0, 8, 64),
    Attention(20, 64, 64, 4, 32),
    Convolution(64, 14, 64),
    Convolution(1, 28, 64, 5, 2),
    Convolution(64, 14, 128, 5, 2),
    Convolution(128, 7, 64, 4, 2, True),
    Attention(32, 64, 0, 8, 64),
    Convolution(32, 28, 32),
)
QUICK: tuple[Kind, ...] = (
    Attention(2, 9, 0, 2, 4),
    Attention(2, 5, 3, 2, 4),
    Convolution(2, 6, 3, 5, 2, False, 4),
    Convolution(3, 3, 2, 4, 2, True, 4),
)


class Ours:
    """The layer in cavs."""

    def __init__(self, layer: Kind, device: str) -> None:
        arrays, self._graphs = layer.arrays(), layer.graphs()
        self.model = layer.model(device)
        self.weights = {n: np.array(p.numpy()) for n, p in self.model.named_parameters()}
        there = {name: cavs.tensor(a).to(device) for name, a in arrays.items()}
        self._d = there.pop("d").data
        self._x = {name: x.requires_grad_() for name, x in there.items()}

    def infer(self, _: int) -> Any:
        with cavs.no_grad():
            return self.model(self._graphs, **self._x)["y"]

    def train(self, _: int) -> Any:
        leaves = {**self._x, **dict(self.model.named_parameters())}
        for leaf in leaves.values():
            leaf.grad = None
        y = self.model(self._graphs, **self._x)["y"]
        y.backward(self._d)
        return {"y": y.data} | {name: leaf.grad for name, leaf in leaves.items()}

    def arrays(self) -> Arrays:
        found = self.train(0) | {"y alone": self.infer(0).data}
        return {name: cavs.Tensor(a).numpy() for name, a in found.items()}


class Peer:
    """The layer in PyTorch, with the weights of cavs."""

    def __init__(self, layer: Kind, weights: Arrays, device: str) -> None:
        import torch

        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        given = {name: layer.arranged(a) for name, a in layer.arrays().items()} | weights
        there = {name: torch.from_numpy(a).to(device) for name, a in given.items()}
        self._d = there.pop("d")
        self._x = {name: x.requires_grad_() for name, x in there.items()}
        self._layer, self._of_rows = layer, given.keys() - weights.keys()

    def infer(self, _: int) -> Any:
        import torch

        with torch.no_grad():
            return self._layer.peer(self._x)

    def train(self, _: int) -> Any:
        import torch

        y = self._layer.peer(self._x)
        found = torch.autograd.grad(y, list(self._x.values()), self._d)
        return {"y": y.detach()} | dict(zip(self._x, found, strict=True))

    def arrays(self) -> Arrays:
        rows = self._of_rows | {"y", "y alone"}
        found = self.train(0) | {"y alone": self.infer(0)}
        return {
            name: (self._layer.rows(t) if name in rows else t).cpu().numpy()
            for name, t in found.items()
        }


def agree(found: Arrays, expected: Arrays) -> None:
    """Raises ArithmeticError where arrays differ."""
    for name, array in expected.items():
        most = float(np.abs(array).max())
        error = float(np.abs(found[name] - array).max())
        if not error <= TOLERANCE * most:
            raise ArithmeticError(f"expected equal arrays, got {name} that differs by {error:.1e}")


def figures(layer: Kind, options: argparse.Namespace, budget: Budget) -> Iterator[dict[str, Any]]:
    """Figures of a layer, and of PyTorch where it can take part."""
    contenders: dict[str, Any] = {"cavs": Ours(layer, options.device)}
    found = contenders["cavs"].arrays()
    if options.device != "cpu":
        agree(found, Ours(layer, "cpu").arrays())

    def add_peer() -> None:
        theirs = Peer(layer, contenders["cavs"].weights, options.device)
        agree(theirs.arrays(), found)
        contenders[PEER] = theirs

    budget.attempt(f"{layer}, {PEER}", add_peer)
    wait = waiting_for(options.device, *contenders)
    for mode in MODES:
        works: dict[str, Work] = {name: getattr(x, mode) for name, x in contenders.items()}
        for contender, turns in rates(works, wait, 8, options.seconds).items():
            row = {"layer": str(layer), "mode": mode, "contender": contender}
            row["ms_per_step"] = 1e3 / float(np.median(turns))
            own = waiting_for(options.device)
            yield row | (per_step(own, works["cavs"], 8) if contender == "cavs" else {})
