"""The child-sum Tree-LSTM of treebanks in PyTorch on a GPU, by level by hand: the strongest peer.

Backward is written out, nothing is recorded. A leaf's cell runs once for each distinct word; U_f h
runs over contiguous rows; a parent gathers h and f * c of its two children at once; parameter
gradients are one product each over all rows; Adagrad works on one flat vector, and on the embedding
by rows. Nothing waits for the device, so that a step can be captured as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peers.tree_levels import TreeLevels

Array = npt.NDArray[Any]
Tensor = Any
EPSILON = 1e-10
_sigmoid_backward = torch.ops.aten.sigmoid_backward
_tanh_backward = torch.ops.aten.tanh_backward
_DENSE = (
    *("w_iou.weight", "w_iou.bias", "u_iou.weight", "w_f.bias", "u_f.weight"),
    *("classifier.weight", "classifier.bias"),
)


class Batch:
    """The index arrays of a batch on the device, copied at once."""

    def __init__(self, plan: TreeLevels, device: str) -> None:
        self.words_count, self.rows = plan.num_words, plan.num_rows
        if (np.diff(plan.child_ptr) != 2).any():
            raise ValueError("expected binary trees")
        inner = self.rows - self.words_count
        parents_of_leaves = np.repeat(np.arange(self.words_count), np.diff(plan.leaf_ptr))
        counts = plan.label_counts.astype(np.int64).reshape(-1)
        parts = [plan.words, plan.child_rows, plan.parent, parents_of_leaves, plan.leaf_parents]
        parts.append(counts)
        packed = torch.from_numpy(np.concatenate(parts))
        if device != "cpu":
            packed = packed.pin_memory().to(device, non_blocking=True)
        split = packed.split([len(part) for part in parts])
        self.words, children, parent, self.leaf_rows, self.leaf_parents = split[:5]
        self.counts = split[5].view(self.rows, -1).float()
        self.totals = self.counts.sum(1, keepdim=True)
        self.inner = inner
        # first, split (from here on roots) and last row, children, parents
        self.levels = [
            (
                (first, below, last),
                children[2 * (first - self.words_count) : 2 * (last - self.words_count)],
                parent[first - self.words_count : below - self.words_count],
            )
            for first, below, last in plan.levels
        ]


class TorchTrees:
    """Trains and runs the model, from the weights `state` by the names of cavs.models.

    Args:
        state: copied.
        plans: the batches that are kept.
        device: of PyTorch; "cuda" or "cpu".
        rate: of Adagrad.
    """

    def __init__(
        self, state: Mapping[str, Array], plans: Sequence[TreeLevels], device: str, rate: float
    ) -> None:
        self._device, self._rate = device, rate
        self._table = torch.from_numpy(state["embedding.weight"].copy()).to(device)
        self._table_sum = torch.zeros_like(self._table)
        flat = np.concatenate([state[name].reshape(-1) for name in _DENSE])
        self._dense = torch.from_numpy(flat).to(device)
        self._grads, self._dense_sum = (torch.zeros_like(self._dense) for _ in range(2))
        sizes = [state[name].size for name in _DENSE]
        self.p, self.g = (
            {
                name: part.view(state[name].shape)
                for name, part in zip(_DENSE, vector.split(sizes), strict=True)
            }
            for vector in (self._dense, self._grads)
        )
        self._hidden = state["u_f.weight"].shape[0]
        self._batches = [Batch(plan, device) for plan in plans]

    def synchronize(self) -> None:
        if self._device != "cpu":
            torch.cuda.synchronize()

    def train(self, number: int, plan: TreeLevels | None = None) -> None:
        with torch.inference_mode():
            self._train(self._batches[number] if plan is None else Batch(plan, self._device))

    def infer(self, number: int, plan: TreeLevels | None = None) -> None:
        with torch.inference_mode():
            self._forward(self._batches[number] if plan is None else Batch(plan, self._device))

    def loss(self, number: int) -> float:
        with torch.inference_mode():
            return float(self._forward(self._batches[number])[0].item())

    def gradients(self, number: int) -> dict[str, Array]:
        """Of the sum of the losses; those of the embedding by the batch's distinct words."""
        with torch.inference_mode():
            batch = self._batches[number]
            rows = self._backward(batch, *self._forward(batch)[1:])
            found = {name: grad.cpu().numpy().copy() for name, grad in self.g.items()}
            return found | {"embedding.weight": rows.cpu().numpy()}

    def as_graphs(self) -> TorchGraphs:
        """The same steps, each kept batch captured once."""
        return TorchGraphs(self)

    def _train(self, batch: Batch) -> Tensor:
        loss, *kept = self._forward(batch)
        self._update(batch, self._backward(batch, *kept))
        return loss

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        p, size, rows = self.p, self._hidden, batch.rows
        new = lambda *shape: torch.empty(*shape, device=self._device)  # noqa: E731
        v = {"x": self._table.index_select(0, batch.words), "iou": new(rows, 3 * size)}
        v |= {name: new(rows, size) for name in ("c", "t", "f")}
        v |= {"state": new(rows, 2 * size), "sums": new(batch.inner, 2 * size)}
        words = batch.words_count
        torch.addmm(p["w_iou.bias"], v["x"], p["w_iou.weight"].t(), out=v["iou"][:words])
        self._cell(v, (0, words, words), None)
        for bounds, children, _ in batch.levels:
            first, _, last = bounds
            sums = v["sums"][first - words : last - words]
            pairs = v["state"].index_select(0, children).view(last - first, 2, 2 * size)
            torch.sum(pairs, 1, out=sums)
            weight = p["u_iou.weight"].t()
            torch.addmm(p["w_iou.bias"], sums[:, :size], weight, out=v["iou"][first:last])
            self._cell(v, bounds, sums[:, size:])
        h = v["state"][:, :size]
        logits = torch.addmm(p["classifier.bias"], h, p["classifier.weight"].t())
        logs = torch.log_softmax(logits, 1)
        return -(batch.counts * logs).sum(), logs, v

    def _cell(self, v: dict[str, Tensor], bounds: tuple[int, int, int], fc: Tensor | None) -> None:
        """h and, for what has a parent, f * c of rows whose sums are in iou."""
        first, below, last = bounds
        size, every, inner = self._hidden, slice(first, last), slice(first, below)
        iou, c, t = v["iou"][every], v["c"][every], v["t"][every]
        iou[:, : 2 * size].sigmoid_()
        u = iou[:, 2 * size :].tanh_()
        if fc is None:
            torch.mul(iou[:, :size], u, out=c)
        else:
            torch.addcmul(fc, iou[:, :size], u, out=c)
        torch.tanh(c, out=t)
        torch.mul(iou[:, size : 2 * size], t, out=v["state"][every, :size])
        f = v["f"][inner]
        if below > first:
            h = v["state"][inner, :size]
            torch.addmm(self.p["w_f.bias"], h, self.p["u_f.weight"].t(), out=f)
            torch.mul(f.sigmoid_(), v["c"][inner], out=v["state"][inner, size:])

    def _backward(self, batch: Batch, logs: Tensor, v: dict[str, Tensor]) -> Tensor:
        """Gradients into g; returns those of the words' embeddings."""
        p, g, size, words = self.p, self.g, self._hidden, batch.words_count
        h = v["state"][:, :size]
        dlogits = logs.exp().mul_(batch.totals).sub_(batch.counts)
        torch.mm(dlogits.t(), h, out=g["classifier.weight"])
        torch.sum(dlogits, 0, out=g["classifier.bias"])
        dh = dlogits @ p["classifier.weight"]
        diou, df = torch.empty_like(v["iou"]), torch.zeros_like(v["f"])
        dsums = torch.empty_like(v["sums"])  # of h and f * c
        for bounds, _, parent in reversed(batch.levels):
            first, _, last = bounds
            up = dsums.index_select(0, parent)
            dc = self._cell_backward(v, bounds, up, (dh, diou, df))
            rows = dsums[first - words : last - words]
            rows[:, size:] = dc
            torch.mm(diou[first:last], p["u_iou.weight"], out=rows[:, :size])
        up = torch.zeros(words, 2 * size, device=self._device)
        up.index_add_(0, batch.leaf_rows, dsums.index_select(0, batch.leaf_parents))
        self._cell_backward(v, (0, words, words), up, (dh, diou, df))
        torch.mm(diou[words:].t(), v["sums"][:, :size], out=g["u_iou.weight"])
        torch.mm(df.t(), h, out=g["u_f.weight"])
        torch.sum(df, 0, out=g["w_f.bias"])
        torch.sum(diou, 0, out=g["w_iou.bias"])
        torch.mm(diou[:words].t(), v["x"], out=g["w_iou.weight"])
        return diou[:words] @ p["w_iou.weight"]

    def _cell_backward(
        self,
        v: dict[str, Tensor],
        bounds: tuple[int, int, int],
        up: Tensor,
        grads: tuple[Tensor, Tensor, Tensor],
    ) -> Tensor:
        """The gradient of c; `up` is that of h and f * c as the parents see them."""
        first, below, last = bounds
        size, every, inner = self._hidden, slice(first, last), slice(first, below)
        dh, diou, df = (grad[every] for grad in grads)
        i, o, u = v["iou"][every].split(size, 1)
        count = below - first
        if count:
            dfc, f = up[:, size:], v["f"][inner]
            df[:count] = _sigmoid_backward(dfc * v["c"][inner], f)
            dh[:count] += up[:, :size]
            dh[:count].addmm_(df[:count], self.p["u_f.weight"])
        t = v["t"][every]
        dc = _tanh_backward(dh * o, t)
        if count:
            dc[:count].addcmul_(up[:, size:], v["f"][inner])
        diou[:, :size] = _sigmoid_backward(dc * u, i)
        diou[:, size : 2 * size] = _sigmoid_backward(dh * t, o)
        diou[:, 2 * size :] = _tanh_backward(dc * i, u)
        return dc

    def _update(self, batch: Batch, rows: Tensor) -> None:
        self._dense_sum.addcmul_(self._grads, self._grads)
        root = self._dense_sum.sqrt().add_(EPSILON)
        self._dense.addcdiv_(self._grads, root, value=-self._rate)
        sums = self._table_sum.index_select(0, batch.words).addcmul_(rows, rows)
        self._table_sum.index_copy_(0, batch.words, sums)
        step = rows / sums.sqrt().add_(EPSILON)
        self._table.index_add_(0, batch.words, step, alpha=-self._rate)


class TorchGraphs:
    """Steps of a `TorchTrees` over its kept batches as CUDA graphs."""

    def __init__(self, eager: TorchTrees) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError("PyTorch has no CUDA here")
        self._eager, self._pool = eager, None
        self._graphs: dict[tuple[str, int], Any] = {}

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def train(self, number: int) -> None:
        self._replay("train", number, self._eager._train)

    def infer(self, number: int) -> None:
        self._replay("infer", number, self._eager._forward)

    def _replay(self, mode: str, number: int, work: Callable[[Batch], Any]) -> None:
        graph = self._graphs.get((mode, number))
        if graph is None:
            graph = self._graphs[mode, number] = self._capture(work, self._eager._batches[number])
        graph.replay()

    def _capture(self, work: Callable[[Batch], Any], batch: Batch) -> Any:
        with torch.inference_mode():
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                work(batch)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                work(batch)
            self._pool = self._pool or graph.pool()
        return graph
