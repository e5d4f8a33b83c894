"""PyTorch's LSTMs as peers of the language models: `torch.nn.LSTM` and a cell called in a loop.

- ``padded``: `torch.nn.LSTM` over a minibatch padded to its longest sample.
- ``packed``: the same over a packed sequence.
- ``static``: the same, all minibatches padded to the longest sample of all.
- ``by-hand``: a cell called step by step, padded, the states of ended samples masked.
- ``by-hand-static``: the same, all minibatches padded to the longest sample of all.

``benchmarks/sequences.py`` has more: buckets, and compiled loops.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from peers.protocol import Array, Peer, PeerBatch, UnsuitableError, check_known, check_plain
from peers.torch_peer import available, flush_denormals

from cavs.bench.recipes import Recipe

__all__ = ["VARIANTS", "WORKLOADS", "available", "flush_denormals", "make"]
VARIANTS = ("padded", "packed", "static", "by-hand", "by-hand-static")
WORKLOADS = ("fixed-lstm", "var-lstm")


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
