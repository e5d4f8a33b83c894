"""Classifier and loss of a level-batched Tree-LSTM in PyTorch, with dropout before it or without.

Without dropout, the leaves that share a cell share their logits, and each of their labels counts.
With dropout, each vertex has a mask of its own, so that shared states are copied first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from peers.protocol import Array
from peers.torch_masks import Masks
from peers.tree_levels import TreeLevels

Tensor = Any


class Labels:
    """The labels of some rows, and the loss and gradient computed from them. Each class is a row,
    so that the softmax runs along memory.

    Args:
        counts: float32 [rows, classes]: how often a row has a label.
        memory: three flat buffers.
        scale: the factor of the loss that is differentiated.
    """

    def __init__(self, counts: Array, memory: Sequence[Tensor], scale: float) -> None:
        self._counts = torch.from_numpy(np.ascontiguousarray(counts.T))
        self._scaled = self._counts * scale
        self._scaled_rows = self._scaled.sum(0, keepdim=True)
        self.logits, self._logp, self._dlogits = (
            flat[: self._counts.numel()].view_as(self._counts) for flat in memory
        )

    def loss(self) -> Tensor:
        """The sum of the losses, from the logits that were written."""
        torch.log_softmax(self.logits, 0, out=self._logp)
        return -torch.dot(self._counts.view(-1), self._logp.view(-1))

    def gradient(self) -> Tensor:
        """The gradient of the loss, times the scale, by the logits."""
        torch.exp(self._logp, out=self._dlogits)
        return self._dlogits.mul_(self._scaled_rows).sub_(self._scaled)


class Readout:
    """The classifier and loss of all batches, which share memory.

    Args:
        plans: the plans of the batches.
        hidden: size of a state.
        p: dropout's probability.
        scales: the factor of each batch's loss, when it is differentiated.
    """

    def __init__(
        self, plans: Sequence[TreeLevels], hidden: int, p: float, scales: Sequence[float]
    ) -> None:
        classes = plans[0].label_counts.shape[1]
        rows = max(len(plan.vertices) for plan in plans)
        memory = [torch.empty(classes * rows) for _ in range(3)]
        self._masks = Masks(p, (rows, hidden))
        self._h, self._dh = (torch.empty(rows if p else 0, hidden) for _ in range(2))
        self.by_row = [
            Labels(plan.label_counts, memory, scale)
            for plan, scale in zip(plans, scales, strict=True)
        ]
        self._by_vertex = self.by_row
        self._vertices = [plan.vertices for plan in plans]
        if p:
            self._by_vertex = [
                Labels(_one_hot(plan.labels, classes), memory, scale)
                for plan, scale in zip(plans, scales, strict=True)
            ]
        self._cells = [_cells(plan) for plan in plans]

    @property
    def drops(self) -> bool:
        """Whether there is dropout."""
        return self._masks.p > 0

    def draw(self, number: int) -> None:
        """Masks for a step over batch `number`."""
        self._masks.draw(len(self._vertices[number]))

    def take(self, number: int, mask: Array) -> None:
        """A mask by vertex in place of a drawn one."""
        self._masks.take(torch.from_numpy(mask[self._vertices[number]]))

    def loss(self, number: int, h: Tensor, weight: Tensor, bias: Tensor, dropped: bool) -> Tensor:
        """The sum of the losses over all vertices, from the states of all rows."""
        labels, scale = self.by_row[number], 1.0
        if dropped:
            labels, scale = self._by_vertex[number], self._masks.scale
            h = self._drop(number, h)
        torch.addmm(bias[:, None], weight, h.t(), alpha=scale, out=labels.logits)
        return labels.loss()

    def _drop(self, number: int, h: Tensor) -> Tensor:
        mask, cells = self._masks.last, self._cells[number]
        found = self._h[: len(mask)]
        if cells is None:
            return torch.mul(h, mask, out=found)
        leaves, first = len(cells.index), len(cells.offsets)
        torch.index_select(h[:first], 0, cells.index, out=found[:leaves])
        found[:leaves].mul_(mask[:leaves])
        torch.mul(h[first:], mask[leaves:], out=found[leaves:])
        return found

    def backward(
        self,
        number: int,
        h: Tensor,
        weight: Tensor,
        grads: tuple[Tensor, Tensor],
        dh: Tensor,
        dropped: bool,
    ) -> None:
        """Writes the gradients of weight and bias, and into `dh` the gradients of the rows'
        states."""
        dweight, dbias = grads
        dlogits = (self._by_vertex if dropped else self.by_row)[number].gradient()
        torch.sum(dlogits, 1, out=dbias)
        if not dropped:
            torch.mm(dlogits.t(), weight, out=dh)
            torch.mm(dlogits, h, out=dweight)
            return
        mask, scale, cells = self._masks.last, self._masks.scale, self._cells[number]
        torch.addmm(dweight, dlogits, self._h[: len(mask)], beta=0, alpha=scale, out=dweight)
        if cells is None:
            torch.addmm(dh, dlogits.t(), weight, beta=0, alpha=scale, out=dh)
            dh.mul_(mask)
            return
        leaves, first = len(cells.index), len(cells.offsets)
        found = self._dh[: len(mask)]
        torch.addmm(found, dlogits.t(), weight, beta=0, alpha=scale, out=found)
        found[:leaves].mul_(mask[:leaves])
        dh[:first].copy_(sum_of_bags(found, cells.rows, cells.offsets))
        torch.mul(found[leaves:], mask[leaves:], out=dh[first:])


class _Cells:
    """The cell of each leaf, with leaves in the order of `TreeLevels.vertices`."""

    def __init__(self, plan: TreeLevels) -> None:
        counts = np.diff(plan.cell_ptr)
        self.index = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        self.rows = torch.arange(len(self.index))
        self.offsets = torch.from_numpy(plan.cell_ptr[:-1])


def _cells(plan: TreeLevels) -> _Cells | None:
    """The cells of a plan; None if each leaf has a row of its own."""
    return None if len(plan.vertices) == plan.num_rows else _Cells(plan)


def _one_hot(labels: Array, classes: int) -> Array:
    found = np.zeros((len(labels), classes), np.float32)
    known = np.flatnonzero(labels >= 0)
    found[known, labels[known]] = 1
    return found


def sum_of_bags(table: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
    """Sums of the rows of each bag: gather and segment sum in one pass."""
    return torch._embedding_bag_forward_only(
        table, rows, offsets, False, 0, False, None, False, -1
    )[0]
