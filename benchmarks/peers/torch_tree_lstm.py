"""The child-sum Tree-LSTM in PyTorch, batched by level by hand, its backward written out.

The rival to beat: the best that a patient user can get from PyTorch on a CPU for this one model on
treebanks. Nothing is recorded for autograd; the plan of every batch and the views of every level
into preallocated buffers are made before the clock starts; children hand their parents h and f * c,
so that a level's gather and sum is one embedding bag, and U_f h runs on contiguous rows; parameter
gradients are one product each over all rows; Adagrad is fused over one flat vector, and the
embedding is read and updated by rows. If the plan says so, a leaf's cell runs once per distinct
word. Masks of words are drawn by cell: by vertex if each leaf has a cell, by id if leaves share
cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peers.protocol import Array
from peers.torch_levels import TANH_BY_SIGMOID, Batch, Buffers, Level
from peers.torch_masks import Masks
from peers.torch_readout import Readout, sum_of_bags
from peers.tree_levels import TreeLevels

from cavs.bench.recipes import STATE, WORD, Recipe

Tensor = Any

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_MANY_ROWS = 2048
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
# Kept as (in, out): MKL multiplies by them faster, forward and for their gradients. The classifier
# has few outputs, and is not kept so.
_TRANSPOSED = ("w_iou.weight", "u_iou.weight", "u_f.weight")
# w_f.weight is not among them: inner vertices have no word, so its gradient is zero.
_DENSE = (
    "w_iou.weight",
    "w_iou.bias",
    "u_iou.weight",
    "w_f.bias",
    "u_f.weight",
    "classifier.weight",
    "classifier.bias",
)


def _sum_rows(x: Tensor, ones: Tensor, out: Tensor) -> None:
    """The sum over many rows is faster as a product, over few as a sum."""
    if len(x) < _MANY_ROWS:
        torch.sum(x, 0, out=out)
    else:
        torch.mv(x.t(), ones, out=out)


def _by_word(batch: Batch) -> Tensor:
    """The embedding's gradient as rows of the batch's distinct words."""
    return (
        sum_of_bags(batch.dx, batch.leaf_rows, batch.word_offsets) if batch.repeated else batch.dx
    )


def _tanh(x: Tensor, out: Tensor, one: Tensor) -> None:
    if x.numel() < TANH_BY_SIGMOID:
        torch.tanh(x, out=out)
    else:
        torch.mul(x, 2, out=out)
        out.sigmoid_()
        torch.sub(torch.mul(out, 2, out=out), one, out=out)


class TorchTreeLSTM:
    """Trains and runs the model on batches planned beforehand.

    Args:
        state: parameters by the names of `cavs.models.ChildSumTreeLSTM`; copied.
        plans: all batches that will come; their buffers are shared.
        recipe: how it trains.
    """

    def __init__(
        self, state: Mapping[str, Array], plans: Sequence[TreeLevels], recipe: Recipe
    ) -> None:
        self.recipe = recipe
        self._plans = plans
        with torch.inference_mode():
            self._embedding = torch.from_numpy(state["embedding.weight"].copy())
            self._embedding_sum = torch.zeros_like(self._embedding)
            arrays = {n: state[n].T if n in _TRANSPOSED else state[n] for n in _DENSE}
            flat = np.concatenate([array.reshape(-1) for array in arrays.values()])
            self._dense = torch.from_numpy(flat)
            self._grads, self._dense_sum = (torch.zeros_like(self._dense) for _ in range(2))
            self._step = torch.zeros(())
            sizes = [array.size for array in arrays.values()]
            self._p, self._g = (
                {
                    name: part.view(array.shape)
                    for (name, array), part in zip(arrays.items(), vector.split(sizes), strict=True)
                }
                for vector in (self._dense, self._grads)
            )
            hidden = state["u_f.weight"].shape[0]
            buffers = Buffers(plans, self._embedding.shape[1], hidden)
            self._batches = [Batch(buffers, plan) for plan in plans]
            self._one = torch.ones(())
            self._scales = [1 / plan.num_trees if recipe.mean else 1.0 for plan in plans]
            self._readout = Readout(plans, hidden, recipe.dropout, self._scales)
            self._word_masks = Masks(recipe.embedding_dropout, buffers.x.shape)
            self._dropped_words = torch.empty_like(self._word_masks.memory)

    def train_step(self, number: int) -> float:
        """Forward, backward and Adagrad over batch `number`; returns the number of trees."""
        with torch.inference_mode():
            self._draw(number)
            return self._train(number)

    def train_with(self, number: int, masks: Mapping[str, Array]) -> float:
        """A training step with masks by vertex from the caller."""
        with torch.inference_mode():
            self._take(number, masks)
            return self._train(number)

    def _train(self, number: int) -> float:
        dropped = self._readout.drops
        self._forward(number, dropped).item()
        self._backward(number, dropped)
        self._update(self._batches[number])
        return float(self._batches[number].num_trees)

    def _draw(self, number: int) -> None:
        if self._word_masks.p:
            self._word_masks.draw(len(self._batches[number].x))
        if self._readout.drops:
            self._readout.draw(number)

    def _take(self, number: int, masks: Mapping[str, Array]) -> None:
        plan = self._plans[number]
        if self._word_masks.p:
            first_leaves = plan.vertices[plan.cell_ptr[:-1]]
            self._word_masks.take(torch.from_numpy(masks[WORD][first_leaves]))
        if self._readout.drops:
            self._readout.take(number, masks[STATE])

    def infer_step(self, number: int) -> float:
        """Forward alone; returns the number of trees."""
        self.loss(number)
        return float(self._batches[number].num_trees)

    def loss(self, number: int, masks: Mapping[str, Array] | None = None) -> float:
        """The sum of the losses over all vertices, of inference or of training with these masks."""
        with torch.inference_mode():
            if masks is not None:
                self._take(number, masks)
            return float(self._forward(number, masks is not None))

    def gradients(
        self, number: int, masks: Mapping[str, Array] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Gradients of that sum; of the embedding, the rows of its distinct words."""
        with torch.inference_mode():
            self.loss(number, masks)
            self._backward(number, masks is not None)
            found = {
                name: (grad.t() if name in _TRANSPOSED else grad).numpy() / self._scales[number]
                for name, grad in self._g.items()
            }
            rows = _by_word(self._batches[number]).numpy()
            return found | {"embedding.weight": rows / self._scales[number]}

    def _forward(self, number: int, dropped: bool) -> Tensor:
        p, batch = self._p, self._batches[number]
        w_iou, b_iou, u_iou = p["w_iou.weight"], p["w_iou.bias"], p["u_iou.weight"]
        b_f, u_f = p["w_f.bias"], p["u_f.weight"]
        hidden = u_f.shape[0]
        leaves = batch.leaves
        torch.index_select(self._embedding, 0, batch.words, out=batch.x)
        x, scale = self._words(batch, dropped)
        if x is not batch.x:
            torch.mul(batch.x, self._word_masks.last, out=x)
        torch.addmm(b_iou, x, w_iou, alpha=scale, out=leaves.iou)
        self._cell(leaves, None, b_f, u_f)
        collected = []
        for level, children, offsets, _ in batch.levels:
            sums = sum_of_bags(batch.state, children, offsets)
            collected.append(sums)
            torch.addmm(b_iou, sums[:, :hidden], u_iou, out=level.iou)
            self._cell(level, sums[:, hidden:], b_f, u_f)
        if collected:
            torch.cat(collected, out=batch.sums)
        weight, bias = p["classifier.weight"], p["classifier.bias"]
        return self._readout.loss(number, batch.h, weight, bias, dropped)

    def _words(self, batch: Batch, dropped: bool) -> tuple[Tensor, float]:
        """The embeddings of the leaf cells' words, and the factor of their product with W."""
        if dropped and self._word_masks.p:
            return self._dropped_words[: len(batch.x)], self._word_masks.scale
        return batch.x, 1.0

    def _cell(self, v: Level, sum_fc: Tensor | None, b_f: Tensor, u_f: Tensor) -> None:
        """Computes v.h and v.fc from the sums in v.iou and the children's f * c."""
        if v.by_sigmoid:
            v.u.mul_(2)
            v.iou.sigmoid_()
            torch.sub(v.u.mul_(2), self._one, out=v.u)
        else:
            v.io.sigmoid_()
            v.u.tanh_()
        if sum_fc is None:
            torch.mul(v.i, v.u, out=v.c)
        else:
            torch.addcmul(sum_fc, v.i, v.u, out=v.c)
        _tanh(v.c, v.t, self._one)
        torch.mul(v.o, v.t, out=v.h)
        if v.below:
            torch.addmm(b_f, v.h_below, u_f, out=v.f)
            v.f.sigmoid_()
            torch.mul(v.f, v.c_below, out=v.fc)

    def _backward(self, number: int, dropped: bool) -> None:
        p, g, batch = self._p, self._g, self._batches[number]
        w_c, u_iou, u_f = p["classifier.weight"], p["u_iou.weight"].t(), p["u_f.weight"].t()
        grads = g["classifier.weight"], g["classifier.bias"]
        self._readout.backward(number, batch.h, w_c, grads, batch.dh, dropped)
        for level, _, _, parents in reversed(batch.levels):
            if level.below:
                torch.index_select(batch.dsums, 0, parents, out=level.up)
            self._cell_backward(level, level.dh_up, level.dfc, u_f)
            torch.mm(level.diou, u_iou, out=level.dsum_h)
        if batch.levels:
            up = sum_of_bags(batch.dsums, batch.leaf_parents, batch.leaf_offsets)
        else:
            up = batch.leaves.up.zero_()
        dh_up, dfc = up.split(u_f.shape[0], 1)
        self._cell_backward(batch.leaves, dh_up, dfc, u_f)
        torch.mm(batch.sum_h.t(), batch.diou_inner, out=g["u_iou.weight"])
        torch.mm(batch.h.t(), batch.df, out=g["u_f.weight"])
        _sum_rows(batch.df, batch.ones, g["w_f.bias"])
        _sum_rows(batch.diou, batch.ones, g["w_iou.bias"])
        x, scale = self._words(batch, dropped)
        w, dw = p["w_iou.weight"].t(), g["w_iou.weight"]
        torch.addmm(dw, x.t(), batch.diou_leaves, beta=0, alpha=scale, out=dw)
        torch.addmm(batch.dx, batch.diou_leaves, w, beta=0, alpha=scale, out=batch.dx)
        if x is not batch.x:
            batch.dx.mul_(self._word_masks.last)

    def _cell_backward(self, v: Level, dh_up: Tensor, dfc: Tensor, u_f: Tensor) -> None:
        """Computes v.diou, v.df and v.dc, which the children get, from cotangents of h and f *
        c."""
        if v.below:
            torch.mul(dfc, v.c_below, out=v.tmp_below)
            _sigmoid_backward(v.tmp_below, v.f, grad_input=v.df)
            v.dh_below.add_(dh_up)
            v.dh_below.addmm_(v.df, u_f)
            torch.mul(dfc, v.f, out=v.dc_below)
        if len(v.df_roots):
            v.df_roots.zero_()
            v.dc_roots.zero_()
        tmp, dc = v.tmp, v.dc
        torch.mul(v.dh, v.t, out=tmp)
        _sigmoid_backward(tmp, v.o, grad_input=v.do)
        torch.mul(v.dh, v.o, out=tmp)
        _tanh_backward(tmp, v.t, grad_input=tmp)
        dc.add_(tmp)
        torch.mul(dc, v.u, out=tmp)
        _sigmoid_backward(tmp, v.i, grad_input=v.di)
        torch.mul(dc, v.i, out=tmp)
        _tanh_backward(tmp, v.u, grad_input=v.du)

    def _update(self, batch: Batch) -> None:
        self._step += 1
        torch._fused_adagrad_(
            [self._dense],
            [self._grads],
            [self._dense_sum],
            [self._step],
            lr=self.recipe.lr,
            lr_decay=0.0,
            weight_decay=self.recipe.weight_decay,
            eps=1e-10,
            maximize=False,
        )
        grads = _by_word(batch)
        rows = batch.x
        if batch.repeated:
            rows = self._embedding.index_select(0, batch.vocabulary)
        sums = self._embedding_sum.index_select(0, batch.vocabulary)
        sums.addcmul_(grads, grads)
        self._embedding_sum.index_copy_(0, batch.vocabulary, sums)
        rows.addcdiv_(grads, sums.sqrt_().add_(1e-10), value=-self.recipe.embedding_lr)
        self._embedding.index_copy_(0, batch.vocabulary, rows)
