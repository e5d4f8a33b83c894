"""The work of trees whose phrases are of 1 to 8 types: operations, batches and time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import cavs
from cavs.bench.flops import program_flops
from cavs.bench.report import table
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


def contender(folder: Path, samples: int, count: int, used: int | None = None) -> Whole:
    """Trees of `count` types of phrases, of which the graphs have the first `used`."""
    corpus = corpora.trees(folder, names(used or count), samples)
    whole = Whole(functions.tree(names(count), **corpus.sizes), corpus.typed)
    whole.see(np.arange(len(corpus.typed)))
    return whole


def counted(count: int, ours: Whole) -> list[str]:
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
    expected = {name: f * len(graphs.vertices(name)) for name, f in of_f.items()}
    if run != known or by_type != expected:
        raise RuntimeError(
            f"[types] expected {known} operations, {expected} of phrases, got {run}, {by_type}; "
            "the engine's count and the programs differ"
        )
    each = "/".join(f"{x:,}" for x in sorted(set(of_f.values())))
    total = sum(by_type.values())
    return [str(count), str(profile.num_batches), f"{run:,}", f"{known:,}", each, f"{total:,}"]


def rows(folder: Path, turns: Turns, quick: bool) -> Iterator[list[str] | Row]:
    """Rows of operations, then of time: all in turns, and beside them a function of 8 types over
    graphs of one."""
    samples = 8 if quick else 64
    counts = (1, 2) if quick else (1, 2, 4, 8)
    found = {}
    for count in counts:
        cavs.nn.init.manual_seed(0)
        found[f"{count} types"] = contender(folder, samples, count)
        yield counted(count, found[f"{count} types"])
    last = counts[-1]
    found[f"{last} types, one in use"] = contender(folder, samples, last, used=1)
    steps = {name: again(c.train) for name, c in found.items()}
    batches = {name: c.batches() for name, c in found.items()}
    yield measure("tree", samples, "train", steps, turns, None, batches)


def as_table(found: list[list[str]]) -> list[str]:
    """Markdown."""
    return table(HEAD, found)
