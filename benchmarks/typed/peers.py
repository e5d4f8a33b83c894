"""Types beside dynamic declaration: that of ``benchmarks/dynamic`` by both policies, and DyNet.

Ours makes its batch and schedule in each step; the others get their samples as Python objects
before the clock starts, and declare their operations in each step.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from typed import corpora, dynet_tagger, functions
from typed.contenders import Contender, Whole
from typed.measures import Row, Turns, measure
from typed.speed import BATCHES, TYPES, again, check, minibatches, names, over

DYNET, POLICIES = "DyNet", ("agenda", "depth")
Made = tuple[corpora.Corpus, cavs.TypedFunction, int]


def _tree(folder: Path, samples: int) -> Made:
    corpus = corpora.trees(folder, names(2), samples)
    return corpus, functions.tree(names(2), **corpus.sizes), 150


def _lattice(folder: Path, samples: int) -> Made:
    corpus = corpora.lattices(folder, samples)
    return corpus, functions.lattice(**corpus.sizes), 200


def _tagger(folder: Path, samples: int) -> Made:
    corpus = corpora.tagger(folder, samples)
    return corpus, functions.tagger(**corpus.sizes), 256


def _attention(folder: Path, samples: int) -> Made:
    corpus = corpora.attention(folder, samples)
    return corpus, functions.attention(**corpus.sizes), 256


#: Data, function and hidden size of each model, by the folder of the data and how many samples.
MODELS: Mapping[str, Callable[[Path, int], Made]] = {
    "tree": _tree,
    "lattice": _lattice,
    "tagger": _tagger,
    "attention": _attention,
}


def missing() -> str | None:
    """Why dynamic declaration cannot run here; None if it can."""
    try:
        importlib.import_module("dynamic")
    except ImportError as error:
        return f"dynamic declaration is not built: python benchmarks/build_dynamic.py ({error})"
    return None


def rows(folder: Path, turns: Turns, quick: bool) -> Iterator[Row]:
    """Each model with 1, 8 and 64 samples."""
    for name, make in MODELS.items():
        for size in (2,) if quick else (1, 8, 64):
            cavs.nn.init.manual_seed(0)
            corpus, function, hidden = make(folder, size * BATCHES)
            yield from _compare(name, Whole(function, corpus.typed), hidden, size, turns)


def _compare(name: str, ours: Whole, hidden: int, size: int, turns: Turns) -> Iterator[Row]:
    contenders: dict[str, Contender] = {TYPES: ours}
    if missing() is None:
        from typed.declared import Declared

        contenders |= {policy: Declared(name, ours, hidden, policy) for policy in POLICIES}
    if name == "tagger" and dynet_tagger.available(1) is None:
        contenders[DYNET] = dynet_tagger.DyNet(ours, len(ours.dataset))
    check(contenders, np.arange(size))
    counting: dict[str, Any] = {n: c for n, c in contenders.items() if hasattr(c, "batches")}
    batches = {n: c.batches() for n, c in counting.items()}
    chosen = minibatches(len(ours.dataset), size)
    elsewhere = {
        n: c.cpu_seconds for n, c in contenders.items() if isinstance(c, dynet_tagger.DyNet)
    }
    runs: dict[str, dict[str, Callable[[int], object]]] = {
        "step": {n: over(c.step, chosen) for n, c in contenders.items()},
        "infer": {n: again(c.infer) for n, c in contenders.items()},
    }
    for mode, steps in runs.items():
        yield measure(name, size, mode, steps, turns, None, batches, elsewhere)
