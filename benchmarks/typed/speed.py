"""Types beside what users do without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from words_on_edges import sharing_layers

import cavs
from typed import corpora, functions, untyped
from typed.contenders import Contender, FourPrograms, Indices, Whole
from typed.measures import Row, Turns, measure

TYPES, BATCHES = "types", 8
Goals = Mapping[int, float]
#: By number of types.
TREE_GOALS = {"train": {2: 1.7, 4: 2.8, 8: 5.0}, "infer": {2: 1.6, 4: 2.8, 8: 4.8}}
#: By number of samples.
LATTICE_GOALS = {8: 1.3, 32: 1.2, 128: 1.2}
TAGGER_GOALS = {1: 1.3, 8: 1.0, 32: 1.0}
THREADS_GOAL = 1.4
OTHER = {
    "tree": "every cell at every vertex",
    "lattice": "words on edges",
    "tagger": "four programs",
}


def names(count: int) -> tuple[str, ...]:
    """Of types of phrases."""
    return tuple(f"phrase{k}" for k in range(count))


def minibatches(count: int, size: int) -> list[Indices]:
    """Numbers of samples, up to a few minibatches."""
    starts = range(0, max(count - size, 0) + 1, size)
    return [np.arange(start, start + size) for start in starts][:BATCHES]


def check(contenders: Mapping[str, Contender], indices: Indices) -> None:
    """All compute the same loss.

    Raises:
        RuntimeError: they do not.
    """
    for contender in contenders.values():
        contender.see(indices)
    losses = {name: contender.loss() for name, contender in contenders.items()}
    if not np.allclose(list(losses.values()), next(iter(losses.values())), rtol=2e-4):
        raise RuntimeError(f"[types] expected equal losses, got {losses}; the models differ")


def again(run: Callable[[], None]) -> Callable[[int], object]:
    """The same in each step."""
    return lambda _: run()


def over(step: Callable[[Indices], None], chosen: list[Indices]) -> Callable[[int], object]:
    """Steps over these minibatches in turn."""
    return lambda number: step(chosen[number % len(chosen)])


def compare(
    what: str,
    contenders: Mapping[str, Contender],
    size: int,
    count: int,
    turns: Turns,
    goals: Mapping[str, float | None],
) -> Iterator[Row]:
    """Rows of the modes: `train` and `infer` over one minibatch again and again, `step` over
    minibatches that are made anew."""
    check(contenders, np.arange(size))
    batches = {name: c.batches() for name, c in contenders.items() if isinstance(c, Whole)}
    for mode in ("train", "infer"):
        steps = {name: again(getattr(c, mode)) for name, c in contenders.items()}
        yield measure(what, size, mode, steps, turns, goals.get(mode), batches)
    chosen = minibatches(count, size)
    steps = {name: over(c.step, chosen) for name, c in contenders.items()}
    yield measure(what, size, "step", steps, turns)


def trees(folder: Path, turns: Turns, quick: bool) -> Iterator[Row]:
    """2, 4 and 8 types of phrases; 64 trees."""
    size = 8 if quick else 64
    for count in (2,) if quick else (2, 4, 8):
        cavs.nn.init.manual_seed(0)
        corpus = corpora.trees(folder, names(count), size * BATCHES)
        function = functions.tree(names(count), **corpus.sizes)
        assert corpus.plain is not None
        contenders = {
            TYPES: Whole(function, corpus.typed),
            OTHER["tree"]: Whole(untyped.EveryCell(function), corpus.plain),
        }
        goals = {mode: by_count[count] for mode, by_count in TREE_GOALS.items()}
        what = f"tree, {count} types of phrases"
        yield from compare(what, contenders, size, len(corpus.typed), turns, goals)


def lattices(folder: Path, turns: Turns, quick: bool) -> Iterator[Row]:
    """8, 32 and 128 lattices."""
    sizes = {4: 1.0} if quick else LATTICE_GOALS
    cavs.nn.init.manual_seed(0)
    corpus = corpora.lattices(folder, max(sizes) * BATCHES)
    function = functions.lattice(**corpus.sizes)
    assert corpus.plain is not None
    for size, goal in sizes.items():
        contenders = {
            TYPES: Whole(function, corpus.typed),
            OTHER["lattice"]: Whole(sharing_layers(function), corpus.plain),
        }
        goals = {"train": goal}
        yield from compare("lattice LSTM", contenders, size, len(corpus.typed), turns, goals)


def taggers(folder: Path, turns: Turns, quick: bool) -> Iterator[Row]:
    """1, 8 and 32 sentences."""
    sizes = {4: 1.0} if quick else TAGGER_GOALS
    cavs.nn.init.manual_seed(0)
    corpus = corpora.tagger(folder, max(sizes) * BATCHES)
    function = functions.tagger(**corpus.sizes)
    for size, goal in sizes.items():
        contenders: dict[str, Contender] = {
            TYPES: Whole(function, corpus.typed),
            OTHER["tagger"]: FourPrograms(function, corpus),
        }
        goals = {"train": goal}
        what = "tagger with characters"
        yield from compare(what, contenders, size, len(corpus.typed), turns, goals)


def threads(folder: Path, turns: Turns, quick: bool) -> Iterator[Row]:
    """Two threads beside one: 64 trees of two types of phrases."""
    size = 8 if quick else 64
    cavs.nn.init.manual_seed(0)
    corpus = corpora.trees(folder, names(2), size * BATCHES)
    contender = Whole(functions.tree(names(2), **corpus.sizes), corpus.typed)
    contender.see(np.arange(size))

    def train(count: int) -> None:
        if cavs.get_num_threads() != count:
            cavs.set_num_threads(count)
        contender.train()

    steps: Mapping[str, Callable[[int], object]] = {
        "two threads": lambda _: train(2),
        "one thread": lambda _: train(1),
    }
    batches = {TYPES: contender.batches()}
    turns = replace(turns, clock="wall")
    yield measure("tree, 2 types of phrases", size, "train", steps, turns, THREADS_GOAL, batches)
    cavs.set_num_threads(1)


PARTS = {"trees": trees, "lattices": lattices, "tagger": taggers, "threads": threads}
