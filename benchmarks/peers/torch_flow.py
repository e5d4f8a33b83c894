"""`cavs.models.Flow` of the kind realnvp in PyTorch, with the same weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from cavs.models import Flow


def _copied(layer: Any) -> nn.Linear:
    out, size = layer.weight.shape
    copy = nn.Linear(size, out)
    with torch.no_grad():
        copy.weight.copy_(torch.from_numpy(layer.weight.data))
        copy.bias.copy_(torch.from_numpy(layer.bias.data))
    return copy


def _parameter(ours: Any) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(ours.data.copy()))


class Coupling(nn.Module):
    """A norm and a coupling: y and log |det dy/dx| of rows x."""

    def __init__(self, norm: Any, coupling: Any) -> None:
        super().__init__()
        self.mean, self.log_std = _parameter(norm.mean), _parameter(norm.log_std)
        self.bound = _parameter(coupling.bound)
        network, relu = coupling.network, nn.ReLU
        layers = [_copied(x) for x in (network.hidden1, network.hidden2, network.output)]
        self.network = nn.Sequential(layers[0], relu(), layers[1], relu(), layers[2])
        self.first, self.flipped = coupling.first, coupling.flipped

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = (x - self.mean) * torch.exp(-self.log_std)
        a, b = x[:, : self.first], x[:, self.first :]
        if self.flipped:
            a, b = b, a
        s, t = self.network(a).chunk(2, 1)
        s = self.bound * torch.tanh(s)
        b = b * torch.exp(s) + t
        y = torch.cat([b, a] if self.flipped else [a, b], 1)
        return y, s.sum(1) - self.log_std.sum()


class TorchRealNVP(nn.Module):
    """-log p of rows of images of grey levels, in nats, (rows,)."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        reordered, *layers = flow.layers
        self.order = torch.from_numpy(reordered.order).long()
        pairs = zip(layers[::2], layers[1::2], strict=True)
        self.couplings = nn.ModuleList(Coupling(*pair) for pair in pairs)
        self.levels, self.margin = flow.levels, flow.margin

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x, log_det = self.data(image)
        x = x[:, self.order]
        for coupling in self.couplings:
            x, added = coupling(x)
            log_det = log_det + added
        return 0.5 * (x.square() + math.log(2 * math.pi)).sum(1) - log_det

    def data(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Numbers of any size, and log of how the volume grows."""
        if self.levels is None:
            return image, torch.zeros(len(image))
        share = 1 - 2 * self.margin
        p = self.margin + share * (image + torch.rand_like(image)) / (self.levels + 1)
        log_p, log_rest = torch.log(p), torch.log1p(-p)
        constant = image.shape[1] * math.log(share / (self.levels + 1))
        return log_p - log_rest, constant - (log_p + log_rest).sum(1)
