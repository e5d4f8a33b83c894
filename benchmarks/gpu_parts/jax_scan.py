"""The child-sum Tree-LSTM of treebanks in JAX: scans over levels padded to one width, compiled
once.

The levels of all batches are padded to the widest of their height, rounded up to a power of two;
levels of one width are one scan. Leaves with one word are one row; the embedding is read and
updated by rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from peers.tree_levels import TreeLevels

Array = npt.NDArray[Any]
EPSILON = 1e-10


def _power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


def shape_of(plans: Sequence[TreeLevels]) -> tuple[int, list[tuple[int, int]]]:
    """Words, and (width, number of levels) of each scan, for all batches."""
    words = max(plan.num_words for plan in plans)
    height = max(len(plan.levels) for plan in plans)
    widths = [
        _power_of_two(max(p.levels[k][2] - p.levels[k][0] for p in plans if k < len(p.levels)))
        for k in range(height)
    ]
    return words, [(width, len(list(group))) for width, group in groupby(widths)]


def padded(plan: TreeLevels, shape: tuple[int, list[tuple[int, int]]]) -> dict[str, Any]:
    """The arrays of a batch; row 0 is of zeros, and children that are not there."""
    words, scans = shape
    widths = [width for width, count in scans for _ in range(count)]
    starts = 1 + words + np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
    place = np.zeros(plan.num_rows, np.int32)
    place[: plan.num_words] = 1 + np.arange(plan.num_words)
    children = []
    for k, width in enumerate(widths):
        rows = np.zeros((width, 2), np.int32)
        if k < len(plan.levels):
            first, _, last = plan.levels[k]
            place[first:last] = starts[k] + np.arange(last - first)
            ptr = plan.child_ptr[first - plan.num_words : last - plan.num_words + 1]
            rows[: last - first] = place[plan.child_rows[ptr[0] : ptr[-1]]].reshape(-1, 2)
        children.append(rows)
    counts = np.zeros((int(starts[-1]), plan.label_counts.shape[1]), np.float32)
    counts[place] = plan.label_counts
    known = np.zeros(words, np.int32)
    known[: plan.num_words] = plan.words
    there = (np.arange(words) < plan.num_words).astype(np.float32)
    stacked, at = [], 0
    for _, count in scans:
        stacked.append(np.stack(children[at : at + count]))
        at += count
    return {"words": known, "there": there, "children": stacked, "counts": counts}


def _loss(p: dict[str, Any], x: Any, batch: dict[str, Any], scans: list[tuple[int, int]]) -> Any:
    size = p["u_f.weight"].shape[0]
    rows = len(batch["counts"])
    # For each row h, c and f, the gate of its memory as its parent sees it.
    states, c_all = jnp.zeros((rows, size)), jnp.zeros((rows, size))

    def cell(sums: Any, kept: Any) -> tuple[Any, Any]:
        i, o, u = jnp.split(sums + p["w_iou.bias"], 3, 1)
        c = jax.nn.sigmoid(i) * jnp.tanh(u) + kept
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    h, c = cell(x @ p["w_iou.weight"].T, 0.0)
    there = batch["there"][:, None]
    first = 1 + len(x)
    states, c_all = states.at[1:first].set(h * there), c_all.at[1:first].set(c * there)
    for (width, count), children in zip(scans, batch["children"], strict=True):

        def level(carry: Any, below: Any, width: int = width) -> tuple[Any, None]:
            states, c_all, place = carry
            h = states[below]
            f = jax.nn.sigmoid(h @ p["u_f.weight"].T + p["w_f.bias"])
            known = (below[:, :1] > 0).astype(h.dtype)
            kept = (f * c_all[below]).sum(1)
            h, c = cell(h.sum(1) @ p["u_iou.weight"].T, kept)
            put = jax.lax.dynamic_update_slice
            states = put(states, h * known, (place, 0))
            return (states, put(c_all, c * known, (place, 0)), place + width), None

        carry = (states, c_all, jnp.int32(first))
        (states, c_all, _), _ = jax.lax.scan(level, carry, children)
        first += width * count
    logits = states @ p["classifier.weight"].T + p["classifier.bias"]
    return -(batch["counts"] * jax.nn.log_softmax(logits, 1)).sum()


class JaxTrees:
    """Trains and runs the model; the arguments are those of `TorchTrees`."""

    def __init__(
        self, state: Mapping[str, Array], plans: Sequence[TreeLevels], device: str, rate: float
    ) -> None:
        jax.config.update("jax_default_matmul_precision", "highest")
        self._place = jax.devices("cpu" if device == "cpu" else "gpu")[0]
        with jax.default_device(self._place):
            self._p = {n: jnp.asarray(a) for n, a in state.items() if n != "embedding.weight"}
            self._sums = {name: jnp.zeros_like(value) for name, value in self._p.items()}
            self._table = jnp.asarray(state["embedding.weight"])
            self._table_sum = jnp.zeros_like(self._table)
            shape = shape_of(plans)
            self._batches = [jax.tree.map(jnp.asarray, padded(plan, shape)) for plan in plans]
        scans = shape[1]
        self._infer = jax.jit(lambda p, table, b: _loss(p, table[b["words"]], b, scans))

        def step(p: Any, sums: Any, table: Any, table_sum: Any, b: Any) -> Any:
            grad = jax.value_and_grad(_loss, (0, 1))
            loss, (g, dx) = grad(p, table[b["words"]], b, scans)
            sums = jax.tree.map(lambda s, d: s + d * d, sums, g)
            move = lambda w, d, s: w - rate * d / (jnp.sqrt(s) + EPSILON)  # noqa: E731
            p = jax.tree.map(move, p, g, sums)
            dx = dx * b["there"][:, None]
            rows = table_sum[b["words"]] + dx * dx
            table = table.at[b["words"]].add(-rate * dx / (jnp.sqrt(rows) + EPSILON))
            return p, sums, table, table_sum.at[b["words"]].add(dx * dx), loss

        self._step = jax.jit(step, donate_argnums=(0, 1, 2, 3))
        self._last: Any = None

    def train(self, number: int) -> None:
        state = self._p, self._sums, self._table, self._table_sum
        found = self._step(*state, self._batches[number])
        self._p, self._sums, self._table, self._table_sum, self._last = found

    def infer(self, number: int) -> None:
        self._last = self._infer(self._p, self._table, self._batches[number])

    def loss(self, number: int) -> float:
        self.infer(number)
        return float(self._last)

    def synchronize(self) -> None:
        if self._last is not None:
            self._last.block_until_ready()
