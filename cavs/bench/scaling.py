"""How the cost of a training step grows with the vertices of a batch."""

from __future__ import annotations

import os
import sys

import numpy as np

import cavs
from cavs.bench.contenders import Contender, Weights
from cavs.bench.corpora import Array, Corpus
from cavs.bench.measure import Row, Spec
from cavs.bench.recipes import find_recipe
from cavs.bench.timing import interleave
from cavs.bench.workloads import find
from cavs.core.passes import PASSES

# A larger batch has fewer distinct words per vertex, hence less to do: here every word is counted.
_PASSES = tuple(p for p in PASSES if p != "unique_pulls")
# Steps of one size run over this number of batches in turn, or over one if it is large.
_BATCHES = 8


def measure_linear(spec: Spec) -> list[Row]:
    """Training steps over batches of about `spec.batch_sizes` vertices each, in turns."""
    cavs.set_num_threads(spec.threads)
    workload = find(spec.workload)
    corpus = workload.data(spec.directory, spec.samples)
    (hidden_size,) = spec.hidden_sizes
    weights, recipe = Weights(workload, corpus, hidden_size), find_recipe(spec.recipe)
    contenders = {}
    for vertices in spec.batch_sizes:
        batches = _batches(corpus, vertices)
        contender = Contender(weights, _PASSES, batches, spec.threads, recipe)
        peak = contender.bytes_per_vertex() * vertices
        if peak > os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2:
            print(
                f"[bench] {vertices:,} vertices skipped: they take {peak / 2**30:.1f} GB, "
                "more than half of what is free",
                file=sys.stderr,
            )
            continue
        contenders[vertices] = contender
    rates = interleave(
        {str(n): c.train_step for n, c in contenders.items()},
        {str(n): c.vertices for n, c in contenders.items()},
        seconds=spec.seconds,
        rounds=spec.rounds,
    )
    rows = []
    for vertices, contender in contenders.items():
        found = rates[str(vertices)].summary()
        row: Row = {"kind": spec.kind, "workload": workload.name, "threads": spec.threads}
        row |= {"recipe": spec.recipe}
        row |= {"hidden_size": hidden_size, "data": corpus.what, "vertices": contender.vertices(0)}
        row |= {"vertices_per_second": found, "shares": contender.shares()}
        row |= {"load_average": os.getloadavg()[0]}
        rows.append(row)
        print(
            f"{workload.name}, {row['vertices']:,.0f} vertices: "
            f"{1e6 / found['median']:.3f} us per vertex",
            file=sys.stderr,
            flush=True,
        )
    return rows


def _batches(corpus: Corpus, vertices: int) -> list[Array]:
    """Batches of about `vertices` vertices, samples drawn with repetition."""
    mean = float(corpus.dataset.sizes.mean())
    size = max(1, round(vertices / mean))
    generator = np.random.default_rng(vertices)
    count = max(1, min(_BATCHES, 100_000 // vertices))
    return [generator.integers(0, len(corpus.dataset), size) for _ in range(count)]
