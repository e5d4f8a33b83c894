"""The lattice LSTM with words as vertices of a type, beside the same function with words on edges.

`python benchmarks/lattices.py --data lattice`: both start from the same weights, and losses are
compared first. Then they take turns: training steps (batch, schedule, forward, backward, Adagrad)
and inference over the same minibatches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from words_on_edges import WordsOnEdges, edge_dataset, weights_on_edges

import cavs
from cavs import data
from cavs.models import LatticeLSTM

TYPES, EDGES = "types", "words on edges"
EMBEDDING, TOLERANCE = 50, 1e-5


class Contender:
    """A model over a data set of the same lattices."""

    def __init__(self, function: cavs.VertexFunction, dataset: data.Dataset) -> None:
        self.model = cavs.compile(function)
        self.dataset = dataset
        self._optimizer = cavs.optim.Adagrad(self.model.parameters(), lr=0.05)

    def train(self, numbers: Any) -> None:
        """A training step over a batch of these lattices."""
        graphs, inputs = self.dataset.batch(numbers)
        self.model.step(graphs, self._optimizer, **inputs).item()

    def infer(self, numbers: Any) -> float:
        """The loss of a batch of these lattices."""
        graphs, inputs = self.dataset.batch(numbers)
        with cavs.no_grad():
            total: float = self.model(graphs, outputs=["loss"], **inputs)["loss"].sum().item()
        return total

    def batches(self, numbers: Any) -> int:
        """The batches of vertices that run one after the other."""
        graphs, inputs = self.dataset.batch(numbers)
        return int(self.model.explain(graphs, repeats=1, **inputs).num_batches)


def contenders(directory: str, hidden_size: int) -> dict[str, Contender]:
    """Both, with the same weights."""
    corpus = data.load_lattices(directory)
    cavs.nn.init.manual_seed(0)
    sizes = EMBEDDING, hidden_size, corpus.num_tags
    typed = LatticeLSTM(corpus.num_characters, corpus.num_words, *sizes)
    on_edges = WordsOnEdges(corpus.num_characters + corpus.num_words, *sizes)
    on_edges.load_state_dict(weights_on_edges(typed.state_dict()))
    return {
        TYPES: Contender(typed, data.lattice_dataset(corpus.train)),
        EDGES: Contender(on_edges, edge_dataset(corpus.train, corpus.num_characters)),
    }


def turns(
    both: Mapping[str, Contender], batches: Sequence[Any], use: str, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each contender over all batches, a number for each round but the first; with one
    thread of the processor's time, which other processes do not count in."""
    clock = time.process_time if cavs.get_num_threads() == 1 else time.perf_counter
    spent: dict[str, list[float]] = {name: [] for name in both}
    for turn in range(rounds + 1):
        for name, contender in list(both.items())[:: 1 if turn % 2 else -1]:
            run: Callable[[Any], Any] = getattr(contender, use)
            begin = clock()
            for numbers in batches:
                run(numbers)
            if turn:
                spent[name].append(clock() - begin)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with train.txt and dev.txt")
    parser.add_argument("--hidden-size", type=int, default=200)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cavs.set_num_threads(options.threads)
    both = contenders(options.data, options.hidden_size)
    for size in options.batch_sizes:
        order = np.random.default_rng(0).permutation(len(both[TYPES].dataset))
        batches = [order[i : i + size] for i in range(0, min(len(order), 8 * size), size)]
        losses = [contender.infer(batches[0]) for contender in both.values()]
        if abs(losses[0] - losses[1]) > TOLERANCE * abs(losses[0]):
            raise SystemExit(f"[bench] expected equal losses, got {losses}; mend one of the two")
        counts = {name: contender.batches(batches[0]) for name, contender in both.items()}
        print(f"{size} lattices; batches of the first minibatch: {counts}")
        start = {
            name: {k: x.copy() for k, x in contender.model.state_dict().items()}
            for name, contender in both.items()
        }
        for use in ("train", "infer"):
            spent = turns(both, batches, use, options.rounds)
            ratios = np.array(spent[EDGES]) / np.array(spent[TYPES])
            each = {k: 1e3 * float(np.median(x)) / len(batches) for k, x in spent.items()}
            low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
            print(
                f"  {use}: {each[TYPES]:.1f} ms {TYPES}, {each[EDGES]:.1f} ms {EDGES}: "
                f"{middle:.2f}x ({low:.2f} .. {high:.2f})"
            )
        for name, contender in both.items():
            contender.model.load_state_dict(start[name])


if __name__ == "__main__":
    main()
