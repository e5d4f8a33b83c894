"""Memory and views of a level-batched Tree-LSTM in PyTorch, all made before the clock starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peers.tree_levels import TreeLevels

Tensor = Any

# From this size on, tanh(x) = 2 sigmoid(2x) - 1 in three passes is twice as fast: below it, the
# overhead of calls counts more.
TANH_BY_SIGMOID = 4096


class Buffers:
    """Memory for the largest batch; R rows, W of them leaf cells, N inner vertices."""

    def __init__(self, batches: Sequence[TreeLevels], embedding: int, hidden: int) -> None:
        rows = max(b.num_rows for b in batches)
        words = max(b.num_words for b in batches)
        inner = max(b.num_rows - b.num_words for b in batches)
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
        self.ones = torch.ones(rows)


class Level:
    """Views of one level, or of the leaf cells, into the buffers."""

    def __init__(self, b: Buffers, bounds: tuple[int, int, int], num_words: int) -> None:
        first, split, last = bounds
        hidden = b.f.shape[1]
        self.inner = first >= num_words
        self.below = split - first  # rows that have a parent
        every, below = slice(first, last), slice(first, split)
        self.iou, self.diou = b.iou[every], b.diou[every]
        self.i, self.o, self.u = self.iou.split(hidden, 1)
        self.di, self.do, self.du = self.diou.split(hidden, 1)
        self.io = self.iou[:, : 2 * hidden]
        self.by_sigmoid = self.u.numel() >= TANH_BY_SIGMOID
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


class Batch:
    """A planned batch: index tensors and the views of its levels."""

    def __init__(self, b: Buffers, plan: TreeLevels) -> None:
        rows, words = plan.num_rows, plan.num_words
        hidden = b.f.shape[1]
        self.num_trees = plan.num_trees
        self.words = torch.from_numpy(plan.words)
        self.repeated = len(plan.vocabulary) < words
        self.vocabulary = torch.from_numpy(plan.vocabulary)
        self.leaf_rows = torch.arange(words)
        self.word_offsets = torch.from_numpy(plan.word_ptr[:-1])
        self.leaf_parents = torch.from_numpy(plan.leaf_parents)
        self.leaf_offsets = torch.from_numpy(plan.leaf_ptr[:-1])
        self.leaves = Level(b, (0, words, words), words)
        self.levels: list[tuple[Level, Tensor, Tensor, Tensor]] = []
        for first, split, last in plan.levels:
            ptr = plan.child_ptr[first - words : last - words + 1]
            self.levels.append(
                (
                    Level(b, (first, split, last), words),
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
        self.df, self.dh, self.ones = b.df[:rows], b.dh[:rows], b.ones[:rows]
