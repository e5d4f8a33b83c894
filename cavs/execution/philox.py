"""The counter-based generator of random operations, in NumPy, with which native kernels agree.

Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A sample
depends on (seed, step, operation, graph, vertex or edge, element) and on nothing else, so it is the
same for any batching, executor and number of threads. Dropout by id draws by ids in place of graph
and vertex.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["BATCH_LOCAL", "GRAPH_LOCAL", "philox4x32", "uniform", "uniform_by_id"]

#: The local index of samples that belong to a graph as a whole.
GRAPH_LOCAL, BATCH_LOCAL = 0xFFFFFFFF, 0xFFFFFFFE

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF


def philox4x32(
    counter: npt.NDArray[np.uint64], key: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint32]:
    """Random words (..., 4) for counters (..., 4) and keys (..., 2) of 32-bit words."""
    mask, half = np.uint64(_MASK), np.uint64(32)
    words = [counter[..., i] & mask for i in range(4)]
    keys = [key[..., i] & mask for i in range(2)]
    for _ in range(10):
        even = np.uint64(_MULTIPLIERS[0]) * words[0]
        odd = np.uint64(_MULTIPLIERS[1]) * words[2]
        words = [
            (odd >> half) ^ words[1] ^ keys[0],
            odd & mask,
            (even >> half) ^ words[3] ^ keys[1],
            even & mask,
        ]
        keys = [(keys[i] + np.uint64(_WEYL[i])) & mask for i in range(2)]
    return np.stack(words, axis=-1).astype(np.uint32)


def uniform(
    seed: int,
    step: int,
    op_key: int,
    graph_key: npt.ArrayLike,
    local: npt.ArrayLike,
    width: int,
) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1) of 24 random bits, shape (rows, width), float64.

    ``graph_key`` (rows,) int64 is the key of each row's graph, ``local`` (rows,) the row's index
    within its graph (:data:`GRAPH_LOCAL` for rows that are graphs, and
        :data:`BATCH_LOCAL`, of the key 0, for what has no rows).
    """
    mask = np.uint64(_MASK)
    graphs = np.asarray(graph_key, np.int64).astype(np.uint64)
    rows = graphs.shape[0]
    blocks = (width + 3) // 4
    counter = np.empty((rows, blocks, 4), np.uint64)
    counter[..., 0] = np.arange(blocks, dtype=np.uint64)
    counter[..., 1] = (np.asarray(local).astype(np.int64) & _MASK).astype(np.uint64)[:, None]
    counter[..., 2] = (graphs & mask)[:, None]
    counter[..., 3] = op_key & _MASK
    words = philox4x32(counter, _keys(seed, step, graphs)[:, None]).reshape(rows, blocks * 4)
    return (words[:, :width] >> np.uint32(8)).astype(np.float64) * 2.0**-24


def uniform_by_id(
    seed: int, step: int, op_key: int, ids: npt.ArrayLike, width: int
) -> npt.NDArray[np.float64]:
    """Uniform numbers as of :func:`uniform`, drawn by ids: equal where the ids are equal.

    ``ids`` (rows, n) int32, n >= 1. The first id stands for the vertex and the second, or 0, for
    the graph. Each further one is folded in: both become the first two words that Philox gives for
    the counter (id, vertex, graph, operation).
    """
    words = (np.asarray(ids, np.int32).astype(np.int64) & _MASK).astype(np.uint64)
    rows, count = words.shape
    local = words[:, 0]
    graph = words[:, 1] if count > 1 else np.zeros(rows, np.uint64)
    key = _keys(seed, step, np.zeros(rows, np.uint64))
    operation = np.full(rows, op_key & _MASK, np.uint64)
    for number in range(2, count):
        counter = np.stack([words[:, number], local, graph, operation], axis=-1)
        folded = philox4x32(counter, key).astype(np.uint64)
        local, graph = folded[:, 0], folded[:, 1]
    return uniform(seed, step, op_key, graph.astype(np.int64), local, width)


def _keys(seed: int, step: int, graphs: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The key of each graph's samples, (graphs, 2)."""
    mask, half = np.uint64(_MASK), np.uint64(32)
    key = np.empty((len(graphs), 2), np.uint64)
    key[:, 0] = (seed & _MASK) ^ ((step & _MASK) * _WEYL[0] & _MASK)
    high = ((graphs >> half) + np.uint64((step >> 32 & _MASK) * _WEYL[1] & _MASK)) & mask
    key[:, 1] = np.uint64(seed >> 32 & _MASK) ^ high
    return key
