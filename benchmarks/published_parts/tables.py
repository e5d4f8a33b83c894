"""The tables, from the results of the parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from cavs.bench.contenders import OURS, PAPER
from cavs.bench.measure import SGEMM, count
from cavs.bench.report import table
from published_parts.ablation import NONE

Row = dict[str, Any]
#: Parts of a step that make graphs, batches and schedules.
_MAKING = ("construction", "batching", "assembly", "schedule")
_TITLES = {OURS: "cavs", PAPER: "cavs, the paper's policy"}
_MODES = {"train": "training", "infer": "inference"}


def _groups(rows: Sequence[Row], *keys: str) -> Iterator[tuple[tuple[Any, ...], list[Row]]]:
    def key(row: Row) -> tuple[Any, ...]:
        return tuple(row[k] for k in keys)

    for found, group in groupby(sorted(rows, key=key, reverse=True), key):
        yield found, sorted(group, key=lambda row: int(row["batch_size"]))


def _names(rows: Sequence[Row], part: str) -> list[str]:
    """Contenders in the order in which they first come."""
    return [n for n in dict.fromkeys(n for row in rows for n in row[part]) if n != SGEMM]


def _sizes(rows: Sequence[Row]) -> list[str]:
    return [str(row["batch_size"]) for row in rows]


def trees(result: Row) -> Iterator[str]:
    """Rates by batch size, and how many times as fast cavs is."""
    rows = [row for row in result["rows"] if row["kind"] == "speed"]
    for (mode, threads), group in _groups(rows, "mode", "threads"):
        body = []
        for name in _names(group, "rates"):
            cells = []
            for row in group:
                rate = row["rates"].get(name)
                over = row["cavs_over"].get(name)
                text = "" if rate is None else f"{rate['median']:,.0f}"
                cells.append(f"{text} ({over['median']:.2f}x)" if over else text)
            body.append([_TITLES.get(name, name), *cells])
        yield f"{_MODES[mode].capitalize()}, {count(threads, 'thread')}, trees/s by batch size:\n"
        yield from table(["", *_sizes(group)], body)
        yield ""


def construction(result: Row) -> Iterator[str]:
    """The share of a training step that makes graphs, batches and schedules, by batch size."""
    rows = [row for row in result["rows"] if row["kind"] == "speed" and row["mode"] == "train"]
    for (threads,), group in _groups(rows, "threads"):
        body = []
        for name in _names(group, "shares"):
            shares = [making(row, name) for row in group]
            cells = ["" if share is None else f"{share:.1%}" for share in shares]
            body.append([_TITLES.get(name, name), *cells])
        yield f"{count(threads, 'thread').capitalize()}, by batch size:\n"
        yield from table(["", *_sizes(group)], body)
        yield ""


def memory(rows: Sequence[Row]) -> Iterator[str]:
    """Time, share and bytes of memory operations, by batch size."""
    for (mode,), group in _groups(rows, "mode"):
        sizes = sorted({int(row["batch_size"]) for row in group})
        found = {(row["contender"], row["batch_size"]): row for row in group}
        body = []
        for name in dict.fromkeys(row["contender"] for row in group):
            cells = []
            for size in sizes:
                row = found[name, size]
                share = row["memory_ms"] / row["all_ms"]
                cells.append(f"{row['memory_ms']:.2f} ms ({share:.0%}), {row['megabytes']:,.1f} MB")
            body.append([_TITLES.get(name, name), *cells])
        yield f"{_MODES[mode].capitalize()}, of a step without the update, one thread:\n"
        yield from table(["", *map(str, sizes)], body)
        yield ""


def ablation(rows: Sequence[Row]) -> Iterator[str]:
    """Rates of sets of passes, and relative to none."""
    head, body = ["passes"], {name: [name] for name in _names(rows, "rates")}
    for row in rows:
        head.append(f"{row['workload']}, {row['batch_size']}, {_MODES[row['mode']]}")
        for name, cells in body.items():
            rate, over = row["rates"][name], row["over_none"][name]
            cells.append(f"{rate:,.0f}" if name == NONE else f"{rate:,.0f} ({over:.2f}x)")
    yield f"{' and '.join(sorted({row['unit'] + '/s' for row in rows}))}, relative to none:\n"
    yield from table(head, body.values())


#: Way, contenders of it, what it can express, how it batches, how graphs are made, what of the
#: execution is optimised.
_FRAMEWORKS = (
    (
        "static unrolling",
        "`torch.nn.LSTM` static or in buckets, `torch.compile`",
        "sequences, padded to lengths known before",
        "yes; padding is computed too",
        "once for each length, compiled",
        "the whole graph",
        ("torch.nn.LSTM, static", "torch.nn.LSTM, buckets"),
    ),
    (
        "dynamic unrolling",
        "`torch.nn.LSTM` padded or packed",
        "sequences",
        "yes; padded to the minibatch's longest, or sorted",
        "padding of each minibatch",
        "the library's own cells",
        ("torch.nn.LSTM, padded",),
    ),
    (
        "eager, vertex by vertex",
        "`torch nodes`",
        "any program",
        "none",
        "none: operations run as they are called",
        "each operation by itself",
        ("torch nodes",),
    ),
    (
        "batched by hand",
        "`torch levels`",
        "one model, written for its graphs",
        "by level, by the user",
        "index arrays, by the user",
        "by the user",
        ("torch levels",),
    ),
    (
        "message passing",
        "`dgl topological`",
        "one function over a graph",
        "by level",
        "graphs made before",
        "each operation by itself",
        ("dgl topological",),
    ),
    (
        "dynamic declaration",
        "`dynamic`, DyNet",
        "any program",
        "operations of like signature, found in each step",
        "a graph for each sample, in each step",
        "none over operations; operands are copied together",
        ("dynamic agenda", "dynamic depth"),
    ),
    (
        "a function of vertices",
        "cavs",
        "functions by vertex type over graphs, which may grow",
        "ready vertices, by a policy; all operations of a vertex at once",
        "structures are data; a schedule for each minibatch",
        "F, compiled once: hoisted, deferred, fused, by distinct id",
        (OURS,),
    ),
)


def frameworks(trees: Row | None, sequences: Sequence[Row]) -> Iterator[str]:
    """Ways of running dynamic networks, beside what was measured of construction with the fewest
    threads."""
    head = ["way", "here", "expressiveness", "batching", "graph construction", "optimisation"]
    head += ["construction in a training step"]
    body = ([*texts, _measured(trees, sequences, names)] for *texts, names in _FRAMEWORKS)
    yield from table(head, body)


def _measured(trees: Row | None, sequences: Sequence[Row], names: Sequence[str]) -> str:
    """Shares of construction at the smallest and the largest batch size, of the first of these
    contenders that took part."""
    found: list[tuple[int, str, int, float]] = []
    for row in [] if trees is None else trees["rows"]:
        if row["kind"] == "speed" and row["mode"] == "train":
            for name in names[:1]:
                share = making(row, name)
                if share is not None:
                    found.append((row["threads"], "Tree-LSTM", row["batch_size"], share))
    for row in sequences:
        if row["contender"] in names[:1] and row["contender"] != OURS:
            where = row["threads"], row["workload"], row["batch_size"]
            found.append((*where, row["construction"][1]))
    if not found:
        return _measured(trees, sequences, names[1:]) if names else ""
    fewest = [each for each in found if each[0] == min(found)[0]]
    fewest.sort(key=lambda each: each[2])
    ends = dict.fromkeys((fewest[0], fewest[-1]))
    return ", ".join(f"{share:.1%} ({name}, {size})" for _, name, size, share in ends)


def making(row: Row, name: str) -> float | None:
    """The share of making graphs, batches and schedules in a contender's step; None: not known."""
    shares = row["shares"].get(name)
    return None if shares is None else sum(shares.get(part, 0.0) for part in _MAKING)
