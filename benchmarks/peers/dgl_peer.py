"""DGL as a peer: messages along the levels of the batched trees, differentiated by autograd.

- ``topological``: ``dgl.prop_nodes_topo`` with message, reduce and apply functions, as DGL computes
  a Tree-LSTM.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Sequence

from peers.protocol import Array, Peer, PeerBatch, check_known, check_plain

from cavs.bench.recipes import Recipe

VARIANTS = ("topological",)
WORKLOADS = ("tree-lstm",)


def available(threads: int) -> str | None:
    """DGL runs with any number of threads if it and PyTorch are installed."""
    for name, title in (("torch", "PyTorch"), ("dgl", "DGL")):
        if importlib.util.find_spec(name) is None:
            return f"{title} is not installed (pip install torch==2.13.0 dgl==1.1.3)"
    return None


def versions() -> dict[str, str]:
    """DGL's version, if it is installed."""
    return {} if available(1) else {"DGL": importlib.metadata.version("dgl")}


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
    os.environ.setdefault("DGLBACKEND", "pytorch")
    import torch
    from peers.dgl_tree_lstm import DGLTreeLSTM

    torch.set_num_threads(threads)
    return DGLTreeLSTM(state, batches, recipe)
