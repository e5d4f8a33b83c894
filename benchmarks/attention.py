"""Attention over children beside PyTorch's scaled_dot_product_attention, forward and backward.

    python benchmarks/attention.py [chains positions lists] [--threads N] [--repeats N]
    python benchmarks/attention.py --quick            # does it all run? Figures of no use

- chains: a causal text, each word a vertex of keys and one of queries.
- positions: a segment with memory and relative positions as in Transformer-XL, whose scores by
  distance are given. PyTorch lays them out by a pad and a view.
- lists: up to 16 children that stand anywhere; PyTorch gathers and pads.

All go through a compiled model and its outer tensors. Values and gradients must agree before the
clock starts. With one thread time is the process's own. A ratio is PyTorch's time by cavs's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import cavs
from cavs import ops
from cavs.core.passes import PASSES

ON_EDGES = tuple(name for name in PASSES if name != "fuse_attention")
Calls = Mapping[str, Callable[[], Any]]
KINDS = ("chains", "positions", "lists")


class Key(cavs.VertexFunction):
    def __init__(self, heads: int, size: int) -> None:
        self.shape = heads, size

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(k=v.pull("k", self.shape), v=v.pull("v", self.shape))


class Query(cavs.VertexFunction):
    def __init__(self, heads: int, size: int, places: int = 0) -> None:
        self.shape, self.places = (heads, size), places

    def forward(self, v: cavs.Vertex) -> None:
        kids = v.gather(k=self.shape, v=self.shape)
        position = v.pull("position", (self.shape[0], self.places)) if self.places else None
        v.push(y=ops.attention(v.pull("q", self.shape), kids.k, kids.v, position=position))


def text(length: int, memory: int, window: int) -> cavs.InputGraph:
    """Keys of the memory and of the words, then queries of the words, which see themselves and up
    to `window` before."""
    own = memory + np.arange(length)
    first = np.maximum(0, own - window)
    none, types = [0] * (memory + length), ["key"] * (memory + length) + ["query"] * length
    return cavs.InputGraph.windows([*none, *first], [*none, *(own - first + 1)], types=types)


def medians(calls: Calls, repeats: int, threads: int) -> dict[str, float]:
    """Milliseconds of a call, taken in turns."""
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            begin = clock()
            call()
            if turn:
                times[name].append(1e3 * (clock() - begin))
    return {name: statistics.median(found) for name, found in times.items()}


def typed_model(heads: int, size: int, places: int = 0, **options: Any) -> Any:
    functions = {"key": Key(heads, size), "query": Query(heads, size, places)}
    return cavs.compile(cavs.TypedFunction(functions), **options)


def both(model: Any, graphs: cavs.GraphBatch, x: dict[str, np.ndarray], d: np.ndarray) -> Any:
    """A forward and a backward; gives the output and gradients."""

    def call() -> list[np.ndarray]:
        t = {name: cavs.tensor(a, requires_grad=True) for name, a in x.items()}
        y = model(graphs, **t)["y"]
        y.backward(d)
        return [y.numpy(), *(np.asarray(a.grad) for a in t.values())]

    return call


def agree(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(found, expected, strict=True):
        error = float(np.abs(a - b).max()) / max(1.0, float(np.abs(b).max()))
        if error > 1e-4:
            raise SystemExit(f"values differ by {error:.1e}")


def report(name: str, calls: Calls, options: argparse.Namespace) -> None:
    found = medians(calls, options.repeats, options.threads)
    ratio = found["torch"] / found["cavs"]
    others = ", ".join(f"{key} {ms:.2f} ms" for key, ms in found.items())
    print(f"  {name}: {others}; torch / cavs {ratio:.2f}", flush=True)


def chains(options: argparse.Namespace) -> None:
    import torch
    from torch.nn import functional

    sizes = [(32, 64, 8, 64), (8, 256, 8, 64), (2, 1024, 8, 64), (20, 64, 4, 32)]
    print("causal texts")
    for batch, length, heads, size in [(2, 16, 2, 16)] if options.quick else sizes:
        rng = np.random.default_rng(1)
        q, k, v, d = (
            rng.normal(size=(batch * length, heads, size)).astype(np.float32) for _ in range(4)
        )
        graphs = cavs.batch([text(length, 0, length)] * batch)
        t = [
            torch.tensor(a.reshape(batch, length, heads, size)).transpose(1, 2).requires_grad_()
            for a in (q, k, v)
        ]
        dt = torch.tensor(d.reshape(batch, length, heads, size)).transpose(1, 2)

        def torch_both(t: Any = t, dt: Any = dt) -> list[Any]:
            y = functional.scaled_dot_product_attention(*t, is_causal=True)
            return [y, *torch.autograd.grad(y, t, dt)]

        x = {"q": q, "k": k, "v": v}
        calls: dict[str, Any] = {
            "torch": torch_both,
            "cavs": both(typed_model(heads, size), graphs, x, d),
        }
        if length <= 64:
            calls["on edges"] = both(typed_model(heads, size, passes=ON_EDGES), graphs, x, d)
        expected = [a.detach().transpose(1, 2).numpy().reshape(q.shape) for a in torch_both()]
        for name in set(calls) - {"torch"}:
            agree(calls[name](), expected)
        report(f"{batch} x {length} words, {heads} heads of {size}", calls, options)


def positions(options: argparse.Namespace) -> None:
    import torch
    from torch.nn import functional

    print("segments with memory and relative positions")
    sizes = [(20, 64, 64, 4, 32), (4, 128, 128, 8, 64)]
    for batch, length, memory, heads, size in [(2, 8, 8, 2, 16)] if options.quick else sizes:
        rng = np.random.default_rng(2)
        keys = length + memory
        k, v = (rng.normal(size=(batch, keys, heads, size)).astype(np.float32) for _ in range(2))
        q, d = (rng.normal(size=(batch, length, heads, size)).astype(np.float32) for _ in range(2))
        scores = rng.normal(size=(batch, length, heads, memory + 1)).astype(np.float32)
        graphs = cavs.batch([text(length, memory, memory)] * batch)
        tq, tk, tv, tp = (
            torch.tensor(a).transpose(1, 2).contiguous().requires_grad_() for a in (q, k, v, scores)
        )
        dt = torch.tensor(d).transpose(1, 2)
        ones = torch.ones(length, keys, dtype=torch.bool)
        outside = torch.triu(ones, 1 + memory) | torch.tril(ones, -1)

        def torch_both(
            t: Any = (tq, tk, tv, tp), dt: Any = dt, outside: Any = outside, keys: int = keys
        ) -> list[Any]:
            rows = t[3].shape[2]
            padded = functional.pad(t[3], (0, rows)).flatten(2)[..., : rows * keys]
            laid = padded.view(*t[3].shape[:2], rows, keys).masked_fill(outside, float("-inf"))
            y = functional.scaled_dot_product_attention(*t[:3], attn_mask=laid)
            return [y, *torch.autograd.grad(y, t, dt)]

        x = {"q": q, "k": k, "v": v, "position": scores}
        flat = {name: a.reshape(-1, *a.shape[2:]) for name, a in x.items()}
        call = both(typed_model(heads, size, memory + 1), graphs, flat, d.reshape(-1, heads, size))
        found = torch_both()
        agree(
            call(),
            [a.detach().transpose(1, 2).flatten(0, 1).numpy() for a in found],
        )
        name = f"{batch} x {length} words, memory of {memory}, {heads} heads of {size}"
        report(name, {"torch": torch_both, "cavs": call}, options)


class Lists(cavs.VertexFunction):
    def __init__(self, heads: int, size: int) -> None:
        self.shape = heads, size

    def forward(self, v: cavs.Vertex) -> None:
        kids = v.gather(k=self.shape, v=self.shape)
        v.scatter(k=v.pull("k", self.shape), v=v.pull("v", self.shape))
        v.push(y=ops.attention(v.pull("q", self.shape), kids.k, kids.v))


def lists(options: argparse.Namespace) -> None:
    import torch
    from torch.nn import functional

    print("lists of children that stand anywhere")
    for graphs, n, most, heads, size in [(4 if options.quick else 32, 64, 16, 4, 32)]:
        rng = np.random.default_rng(3)
        count = graphs * n
        children = [
            [rng.integers(0, i, rng.integers(1, most + 1)).tolist() if i else [] for i in range(n)]
            for _ in range(graphs)
        ]
        batch = cavs.batch([cavs.InputGraph(c) for c in children])
        index = np.zeros((count, most), np.int64)
        there = np.zeros((count, most), bool)
        for g, lists_of_graph in enumerate(children):
            for i, own in enumerate(lists_of_graph):
                index[g * n + i, : len(own)] = np.array(own) + g * n
                there[g * n + i, : len(own)] = True
        q, k, v, d = (rng.normal(size=(count, heads, size)).astype(np.float32) for _ in range(4))
        t = [torch.tensor(a).requires_grad_() for a in (q, k, v)]
        rows, mask = torch.tensor(index).view(-1), torch.tensor(there)[:, None, None]
        some, dt = torch.tensor(there.any(axis=1))[:, None, None], torch.tensor(d)

        def torch_both(
            t: Any = t, rows: Any = rows, mask: Any = mask, some: Any = some, dt: Any = dt
        ) -> list[Any]:
            tk, tv = (
                a.index_select(0, rows).view(-1, mask.shape[-1], *a.shape[1:]).transpose(1, 2)
                for a in t[1:]
            )
            y = functional.scaled_dot_product_attention(
                t[0][:, :, None], tk, tv, attn_mask=mask | ~some[..., None]
            )
            y = y[:, :, 0] * some
            return [y, *torch.autograd.grad(y, t, dt)]

        x = {"q": q, "k": k, "v": v}
        calls: dict[str, Any] = {
            "torch": torch_both,
            "cavs": both(cavs.compile(Lists(heads, size)), batch, x, d),
            "on edges": both(cavs.compile(Lists(heads, size), passes=ON_EDGES), batch, x, d),
        }
        expected = [a.detach().numpy() for a in torch_both()]
        agree(calls["cavs"](), expected)
        agree(calls["on edges"](), expected)
        report(f"{count} vertices, 1..{most} children, {heads} heads of {size}", calls, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"among {', '.join(KINDS)} (all)")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--repeats", type=int, default=15, metavar="N")
    parser.add_argument("--quick", action="store_true", help="small sizes, few repeats")
    options = parser.parse_args()
    unknown = set(options.kinds) - set(KINDS)
    if unknown:
        parser.error(f"expected kinds among {', '.join(KINDS)}, got {min(unknown)}")
    options.repeats = 2 if options.quick else options.repeats
    import torch

    torch.set_num_threads(options.threads)
    cavs.set_num_threads(options.threads)
    for name in options.kinds or KINDS:
        {"chains": chains, "positions": positions, "lists": lists}[name](options)


if __name__ == "__main__":
    main()
