"""The work of trees whose phrases are of 1 to 8 types: operations, batches and time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

import cavs
from cavs.bench.flops import program_flops
from typed import corpora, functions
from typed.contenders import Whole
from typed.measures import Row, Turns, measure
from typed.speed import again, names

HEAD = [
    "types of phrases",
    "batches",
    "operations",
    "by the programs",
    "by phrase",
    "of all phrases",
]
_RESULT = re.compile(r"%\d+(?:@\S+)?:inner:(\w+)\[")


def contender(folder: Path, samples: int, count: int, used: int) -> Whole:
    """Trees of `count` types of phrases, of which the graphs have the first `used`."""
    corpus = corpora.trees(folder, names(used), samples)
    whole = Whole(functions.tree(names(count), **corpus.sizes), corpus.typed)
    whole.see(np.arange(len(corpus.typed)))
    return whole


def counted(name: str, ours: Whole) -> list[str]:
    """A row: the engine's operations of training beside those of the programs, and those of phrases
    in forward.

    Raises:
        RuntimeError: the engine counts others than the programs have, or phrases of one type take
            others than its vertices times its F.
    """
    graphs, inputs = ours.graphs, ours.inputs
    profile = ours.model.explain(graphs, repeats=1, **inputs)
    run = sum(r.flops for r in profile.records if r.direction != "inference")
    compiler = ours.model._compiler
    losses = frozenset(["loss"]), frozenset[str]()
    known = int(program_flops(compiler, losses, graphs, inputs))
    by_type: dict[str, int] = {}
    for record in profile.records:
        result = _RESULT.match(record.text)
        if record.direction == "forward" and result:
            by_type[result[1]] = by_type.get(result[1], 0) + record.flops
    of_f: dict[str, int] = {}
    for segment in compiler.training(frozenset()).segments:
        for instruction in segment.instructions:
            if str(instruction.space).startswith("inner:"):
                kind = instruction.space.type
                of_f[kind] = of_f.get(kind, 0) + int(instruction.flops)
    expected = {kind: f * len(graphs.vertices(kind)) for kind, f in of_f.items()}
    if run != known or by_type != expected:
        raise RuntimeError(
            f"[types] expected {known} operations, {expected} of phrases, got {run}, {by_type}; "
            "the engine's count and the programs differ"
        )
    each = "/".join(f"{x:,}" for x in sorted(set(of_f.values())))
    total = sum(by_type.values())
    return [name, str(profile.num_batches), f"{run:,}", f"{known:,}", each, f"{total:,}"]


def contenders(folder: Path, quick: bool) -> dict[str, Whole]:
    """By name: 1 to 8 types, and last a function of most types over graphs of one."""
    samples = 8 if quick else 64
    found = {}
    for count, used in [(1, 1), (2, 2)] if quick else [(1, 1), (2, 2), (4, 4), (8, 8), (8, 1)]:
        cavs.nn.init.manual_seed(0)
        name = f"{count} types" + ("" if used == count else f", {used} in use")
        found[name] = contender(folder, samples, count, used)
    return found


def counts(found: Mapping[str, Whole]) -> Iterator[list[str]]:
    """Rows of operations."""
    return (counted(name, ours) for name, ours in found.items())


def times(found: Mapping[str, Whole], turns: Turns) -> Row:
    """Training of all in turns, beside the first."""
    steps = {name: again(ours.train) for name, ours in found.items()}
    batches = {name: ours.batches() for name, ours in found.items()}
    samples = next(iter(found.values())).graphs.num_graphs
    return measure("tree", samples, "train", steps, turns, None, batches)
