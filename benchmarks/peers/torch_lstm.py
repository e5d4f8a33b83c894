"""PyTorch's LSTMs as peers of the language models: `torch.nn.LSTM` and a cell called in a loop.

- ``padded``: `torch.nn.LSTM` over a minibatch padded to its longest sample.
- ``packed``: the same over a packed sequence.
- ``static``: the same, all minibatches padded to the longest sample of all.
- ``by-hand``: a cell called step by step, padded, the states of ended samples masked.
- ``by-hand-static``: the same, all minibatches padded to the longest sample of all.

``benchmarks/sequences.py`` has more: buckets, and compiled loops.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np
from peers.protocol import Array, Peer, PeerBatch, UnsuitableError, check_known, check_plain

from cavs.bench.recipes import Recipe

VARIANTS = ("padded", "packed", "static", "by-hand", "by-hand-static")
WORKLOADS = ("fixed-lstm", "var-lstm")


def available(threads: int) -> str | None:
    """PyTorch runs with any number of threads if it is installed."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed (pip install torch)"
    return None


def flush_denormals() -> None:
    """Makes denormals zeros for this thread, and for threads that PyTorch then starts from it."""
    if available(1) is None:
        import torch

        torch.set_flush_denormal(True)


def make(
    workload: str,
    variant: str,
    state: dict[str, Array],
    batches: Sequence[PeerBatch],
    recipe: Recipe,
    threads: int,
) -> Peer:
    """A contender that starts from the weights `state`; see `protocol`."""
    check_known(workload, variant, WORKLOADS, VARIANTS)
    check_plain(recipe)
    lengths = np.concatenate([np.diff(batch.ptr) for batch in batches])
    if variant not in ("padded", "by-hand") and (lengths == lengths[0]).all():
        raise UnsuitableError("all samples are of one length, so that it is what padded is")
    import torch
    from peers import torch_sequences as ways

    torch.set_num_threads(threads)
    kinds = {"padded": ways.LIBRARY, "static": ways.LIBRARY, "packed": ways.PACKED}
    steps = ways.to(int(lengths.max())) if variant.endswith("static") else ways.longest
    way = kinds.get(variant, ways.BY_HAND)
    return ways.TorchSequences(state, batches, recipe, way, steps)
