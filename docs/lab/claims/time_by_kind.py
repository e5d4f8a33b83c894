"""A training step over 256 trees of SST with one thread, its instructions added up by kind.

python docs/lab/claims/time_by_kind.py SST [REPEATS]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

import cavs
from cavs import data
from cavs.bench.corpora import choose_batches
from cavs.execution.profile import InstructionProfile
from cavs.models import ChildSumTreeLSTM


def kind(record: InstructionProfile) -> str:
    if record.kernel.startswith("matmul_reduce"):
        return "gradients of weights"
    if record.kernel.startswith("matmul"):
        if "classifier" in record.text:
            return "classifier, by row"
        if "unique" in record.text:
            return f"leaves once per distinct word, {record.direction}"
        return f"levels, {'U_iou' if 'u_iou' in record.text else 'U_f'}, {record.direction}"
    if record.moves:
        return "moves"
    if record.kernel.startswith(("cross_entropy", "reduce_rows")):
        return "loss and its gradient, sums of biases"
    return f"groups {'on levels' if record.place == 'levels' else 'elsewhere'}, {record.direction}"


def main() -> None:
    cavs.set_num_threads(1)
    trees = data.load_sst(Path(sys.argv[1])).train
    words = data.tree_vocabulary(trees)
    dataset = data.tree_dataset(trees, words)
    graphs, arrays = dataset.batch(choose_batches(dataset, 256)[0])
    model = cavs.compile(ChildSumTreeLSTM(len(words), 300, 150, 5))
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    profile = model.explain(graphs, loss="loss", repeats=repeats, **dict(arrays))
    kinds: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))
    for record in profile.records:
        if record.direction != "inference":
            kinds[kind(record)] += (record.seconds, record.flops, record.bytes)
    for name, (seconds, flops, size) in sorted(kinds.items(), key=lambda item: -item[1][0]):
        rates = f"{flops / seconds / 1e9:6.1f} GFLOP/s {size / seconds / 1e9:6.1f} GB/s"
        print(f"{name:40} {1e3 * seconds:7.2f} ms {rates}")
    print(f"all: {1e3 * sum(profile.seconds['training'].values()):.1f} ms, {profile.batch}")


if __name__ == "__main__":
    main()
