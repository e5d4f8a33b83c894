"""The child-sum Tree-LSTM in PyTorch, batched by level by hand, its backward written out.

The rival to beat: what a patient user can get from PyTorch on a CPU for this one model on
treebanks. Nothing is recorded for autograd; the plan of every batch and the views of every level
into preallocated buffers are made before the clock starts; a leaf's cell runs once per distinct
word; children hand their parents h and f * c, so that a level's gather and sum is one embedding
bag, and U_f h runs on contiguous rows; parameter gradients are one product each over all rows;
Adagrad is fused over one flat vector, and the embedding is read and updated by rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peers.tree_levels import TreeLevels

Tensor = Any

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
# Where a call is not all overhead, tanh(x) = 2 sigmoid(2x) - 1 in three passes is twice as fast.
_TANH_BY_SIGMOID = 4096
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


def _bag(table: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
    """Sums of the rows of each bag: gather and segment sum in one pass."""
    return torch._embedding_bag_forward_only(
        table, rows, offsets, False, 0, False, None, False, -1
    )[0]


def _tanh(x: Tensor, out: Tensor, one: Tensor) -> None:
    if x.numel() < _TANH_BY_SIGMOID:
        torch.tanh(x, out=out)
    else:
        torch.mul(x, 2, out=out)
        out.sigmoid_()
        torch.sub(torch.mul(out, 2, out=out), one, out=out)


class _Buffers:
    """Memory for the largest batch; R rows, W of them leaf cells, N inner vertices."""

    def __init__(self, batches: Sequence[TreeLevels], embedding: int, hidden: int) -> None:
        rows = max(b.num_rows for b in batches)
        words = max(b.num_words for b in batches)
        inner = max(b.num_rows - b.num_words for b in batches)
        classes = batches[0].label_counts.shape[1]
        self.x = torch.empty(words, embedding)
        self.dx = torch.empty(words, embedding)
        self.state = torch.empty(rows, 2 * hidden)  # h, f * c
        self.dsums = torch.empty(inner, 2 * hidden)  # of the children's summed states
        self.sums = torch.empty(inner, 2 * hidden)
        self.iou = torch.empty(rows, 3 * hidden)
        self.diou = torch.empty(rows, 3 * hidden)
        self.f = torch.empty(rows, hidden)
        self.df = torch.empty(rows, hidden)
        self.c = torch.empty(rows, hidden)
        self.t = torch.empty(rows, hidden)  # tanh(c)
        self.dh = torch.empty(rows, hidden)
        self.dc = torch.empty(words, hidden)
        self.up = torch.empty(rows, 2 * hidden)
        self.tmp = torch.empty(rows, hidden)
        self.logits = torch.empty(rows, classes)
        self.logp = torch.empty(rows, classes)
        self.dlogits = torch.empty(rows, classes)


class _Level:
    """Views of one level, or of the leaf cells, into the buffers."""

    def __init__(self, b: _Buffers, bounds: tuple[int, int, int], num_words: int) -> None:
        first, split, last = bounds
        hidden = b.f.shape[1]
        self.inner = first >= num_words
        self.below = split - first  # rows that have a parent
        every, below = slice(first, last), slice(first, split)
        self.iou, self.diou = b.iou[every], b.diou[every]
        self.i, self.o, self.u = self.iou.split(hidden, 1)
        self.di, self.do, self.du = self.diou.split(hidden, 1)
        self.io = self.iou[:, : 2 * hidden]
        self.by_sigmoid = self.u.numel() >= _TANH_BY_SIGMOID
        self.c, self.t, self.h = b.c[every], b.t[every], b.state[every, :hidden]
        self.h_below, self.fc = b.state[below, :hidden], b.state[below, hidden:]
        self.f, self.df, self.c_below = b.f[below], b.df[below], b.c[below]
        self.df_roots = b.df[split:last]
        self.dh, self.dh_below = b.dh[every], b.dh[below]
        self.tmp, self.tmp_below = b.tmp[: last - first], b.tmp[: split - first]
        self.up = b.up[: split - first]
        self.dh_up, self.dfc = self.up.split(hidden, 1)
        if self.inner:
            dsums = b.dsums[first - num_words : last - num_words]
            self.dsum_h, self.dc = dsums.split(hidden, 1)
        else:
            self.dc = b.dc[every]
        self.dc_below, self.dc_roots = self.dc[: split - first], self.dc[split - first :]


class _Batch:
    """A planned batch: index tensors and the views of its levels."""

    def __init__(self, b: _Buffers, plan: TreeLevels) -> None:
        rows, words = plan.num_rows, plan.num_words
        hidden = b.f.shape[1]
        self.num_trees = plan.num_trees
        self.words = torch.from_numpy(plan.words)
        self.counts = torch.from_numpy(plan.label_counts)
        self.row_counts = self.counts.sum(1, keepdim=True)
        self.leaf_parents = torch.from_numpy(plan.leaf_parents)
        self.leaf_offsets = torch.from_numpy(plan.leaf_ptr[:-1])
        self.leaves = _Level(b, (0, words, words), words)
        self.levels: list[tuple[_Level, Tensor, Tensor, Tensor]] = []
        for first, split, last in plan.levels:
            ptr = plan.child_ptr[first - words : last - words + 1]
            self.levels.append(
                (
                    _Level(b, (first, split, last), words),
                    torch.from_numpy(plan.child_rows[ptr[0] : ptr[-1]]),
                    torch.from_numpy(ptr[:-1] - ptr[0]),
                    torch.from_numpy(plan.parent[first - words : split - words]),
                )
            )
        self.x, self.dx = b.x[:words], b.dx[:words]
        self.state, self.h = b.state[:rows], b.state[:rows, :hidden]
        self.sums, self.sum_h = b.sums[: rows - words], b.sums[: rows - words, :hidden]
        self.dsums = b.dsums[: rows - words]
        self.diou, self.diou_leaves, self.diou_inner = (
            b.diou[:rows],
            b.diou[:words],
            b.diou[words:rows],
        )
        self.df, self.dh = b.df[:rows], b.dh[:rows]
        self.logits, self.logp, self.dlogits = b.logits[:rows], b.logp[:rows], b.dlogits[:rows]


class TorchTreeLSTM:
    """Trains and runs the model on batches planned beforehand.

    Args:
        state: parameters by the names of `cavs.models.ChildSumTreeLSTM`; copied.
        plans: all batches that will come; their buffers are shared.
    """

    def __init__(
        self, state: Mapping[str, npt.NDArray[Any]], plans: Sequence[TreeLevels], lr: float
    ) -> None:
        self._lr = lr
        with torch.inference_mode():
            self._embedding = torch.from_numpy(state["embedding.weight"].copy())
            self._embedding_sum = torch.zeros_like(self._embedding)
            flat = np.concatenate([state[name].reshape(-1) for name in _DENSE])
            self._dense = torch.from_numpy(flat)
            self._grads, self._dense_sum = (torch.zeros_like(self._dense) for _ in range(2))
            self._step = torch.zeros(())
            sizes = [state[name].size for name in _DENSE]
            self._p, self._g = (
                {
                    name: part.view(state[name].shape)
                    for name, part in zip(_DENSE, vector.split(sizes), strict=True)
                }
                for vector in (self._dense, self._grads)
            )
            hidden = state["u_f.weight"].shape[0]
            buffers = _Buffers(plans, self._embedding.shape[1], hidden)
            self.batches = [_Batch(buffers, plan) for plan in plans]
            self._one = torch.ones(())

    def train_step(self, number: int) -> float:
        """Forward, backward and Adagrad over batch `number`; its loss before the step."""
        with torch.inference_mode():
            loss = self._forward(self.batches[number])
            self._backward(self.batches[number])
            self._update(self.batches[number])
            return float(loss)

    def loss(self, number: int) -> float:
        """Forward alone."""
        with torch.inference_mode():
            return float(self._forward(self.batches[number]))

    def gradients(self, number: int) -> dict[str, npt.NDArray[Any]]:
        """Gradients over batch `number`; of the embedding, the rows of its distinct words."""
        with torch.inference_mode():
            batch = self.batches[number]
            self._forward(batch)
            self._backward(batch)
            found = {name: grad.numpy().copy() for name, grad in self._g.items()}
            found["embedding.weight"] = batch.dx.numpy().copy()
            return found

    def _forward(self, batch: _Batch) -> Tensor:
        p = self._p
        torch.index_select(self._embedding, 0, batch.words, out=batch.x)
        w_iou, b_iou, u_iou = p["w_iou.weight"].t(), p["w_iou.bias"], p["u_iou.weight"].t()
        b_f, u_f = p["w_f.bias"], p["u_f.weight"].t()
        hidden = u_f.shape[0]
        leaves = batch.leaves
        torch.addmm(b_iou, batch.x, w_iou, out=leaves.iou)
        self._cell(leaves, None, b_f, u_f)
        collected = []
        for level, children, offsets, _ in batch.levels:
            sums = _bag(batch.state, children, offsets)
            collected.append(sums)
            torch.addmm(b_iou, sums[:, :hidden], u_iou, out=level.iou)
            self._cell(level, sums[:, hidden:], b_f, u_f)
        if collected:
            torch.cat(collected, out=batch.sums)
        w_c = p["classifier.weight"]
        torch.addmm(p["classifier.bias"], batch.h, w_c.t(), out=batch.logits)
        torch.log_softmax(batch.logits, 1, out=batch.logp)
        return -torch.dot(batch.counts.view(-1), batch.logp.view(-1))

    def _cell(self, v: _Level, sum_fc: Tensor | None, b_f: Tensor, u_f: Tensor) -> None:
        """From the sums in v.iou and the children's f * c to v.h and v.fc."""
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

    def _backward(self, batch: _Batch) -> None:
        p, g = self._p, self._g
        w_c, u_iou, u_f = p["classifier.weight"], p["u_iou.weight"], p["u_f.weight"]
        dlogits = torch.exp(batch.logp, out=batch.dlogits)
        dlogits.mul_(batch.row_counts).sub_(batch.counts)
        torch.mm(dlogits, w_c, out=batch.dh)
        for level, _, _, parents in reversed(batch.levels):
            if level.below:
                torch.index_select(batch.dsums, 0, parents, out=level.up)
            self._cell_backward(level, level.dh_up, level.dfc, u_f)
            torch.mm(level.diou, u_iou, out=level.dsum_h)
        if batch.levels:
            up = _bag(batch.dsums, batch.leaf_parents, batch.leaf_offsets)
        else:
            up = batch.leaves.up.zero_()
        dh_up, dfc = up.split(u_f.shape[0], 1)
        self._cell_backward(batch.leaves, dh_up, dfc, u_f)
        torch.mm(dlogits.t(), batch.h, out=g["classifier.weight"])
        torch.sum(dlogits, 0, out=g["classifier.bias"])
        torch.mm(batch.diou_inner.t(), batch.sum_h, out=g["u_iou.weight"])
        torch.mm(batch.df.t(), batch.h, out=g["u_f.weight"])
        torch.sum(batch.df, 0, out=g["w_f.bias"])
        torch.sum(batch.diou, 0, out=g["w_iou.bias"])
        torch.mm(batch.diou_leaves.t(), batch.x, out=g["w_iou.weight"])
        torch.mm(batch.diou_leaves, p["w_iou.weight"], out=batch.dx)

    def _cell_backward(self, v: _Level, dh_up: Tensor, dfc: Tensor, u_f: Tensor) -> None:
        """From cotangents of h and f * c to v.diou, v.df and v.dc, which the children get."""
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

    def _update(self, batch: _Batch) -> None:
        self._step += 1
        torch._fused_adagrad_(
            [self._dense],
            [self._grads],
            [self._dense_sum],
            [self._step],
            lr=self._lr,
            lr_decay=0.0,
            weight_decay=0.0,
            eps=1e-10,
            maximize=False,
        )
        sums = self._embedding_sum.index_select(0, batch.words)
        sums.addcmul_(batch.dx, batch.dx)
        self._embedding_sum.index_copy_(0, batch.words, sums)
        batch.x.addcdiv_(batch.dx, sums.sqrt_().add_(1e-10), value=-self._lr)
        self._embedding.index_copy_(0, batch.words, batch.x)
