"""PyTorch as a peer, in three ways.

- ``nodes``: vertex by vertex with autograd, as a user writes it first.
- ``levels``: batched by level by hand, the backward written out, everything preallocated.
- ``levels-distinct``: the same, and a leaf's cell runs once per distinct word of the batch.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence

from peers.protocol import Array, Peer, PeerBatch, UnsuitableError, check_known

from cavs.bench.recipes import CLASSIFIER_MASKS, ID_MASKS, NO_MASKS, VERTEX_MASKS, Recipe

VARIANTS = ("nodes", "levels", "levels-distinct")
MASKS = {
    "nodes": (CLASSIFIER_MASKS, VERTEX_MASKS),
    "levels": (CLASSIFIER_MASKS, VERTEX_MASKS),
    # A leaf's cell runs once per distinct word only if each distinct word has one mask.
    "levels-distinct": (CLASSIFIER_MASKS, ID_MASKS),
}
WORKLOADS = ("tree-lstm",)


def available(threads: int) -> str | None:
    """PyTorch runs with any number of threads if it is installed."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed (pip install torch)"
    return None


def versions() -> dict[str, str]:
    """PyTorch's version, if it is installed."""
    return {} if available(1) else {"PyTorch": importlib.metadata.version("torch")}


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
    if recipe.masks not in (NO_MASKS, *MASKS[variant]):
        raise UnsuitableError(f"{variant} knows no {recipe.masks} masks")
    import torch
    from peers.torch_nodes import TorchNodes
    from peers.torch_tree_lstm import TorchTreeLSTM
    from peers.tree_levels import tree_levels

    torch.set_num_threads(threads)
    if variant == "nodes":
        return TorchNodes(state, batches, recipe)
    distinct = variant == "levels-distinct"
    classes = len(state["classifier.bias"])
    plans = [
        tree_levels(
            batch.child_ptr,
            batch.children,
            batch.inputs["word"],
            batch.inputs["label"],
            classes,
            distinct=distinct,
        )
        for batch in batches
    ]
    return TorchTreeLSTM(state, plans, recipe)
