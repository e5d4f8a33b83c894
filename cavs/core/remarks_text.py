"""What the passes say of their own work, as text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from cavs.core.passes import PASSES
from cavs.core.remarks import Remark

MOST = 5
"""How many lines of a pass are shown unless all are asked for."""

BATCHING = "batching"

_DOES = {
    "commute_gather": "the child multiplies its state, once, instead of each edge",
    "specialize_leaves": "vertices without children compute nothing with zeros",
    "unique_pulls": "what depends on ids alone runs once per distinct id",
    "remember_pulls": "inference keeps what depends on one id for later calls",
    "read_parents": "gradients of states are read from parents, with no row per edge",
    "skip_missing": "products leave out rows of the id -1",
    "skip_masked": "products leave out edges where a float input is 0",
    "merge_matmuls": "sums over all rows go on from each other",
    "hoist": "what waits for no child runs once, before the levels",
    "defer": "what no parent gathers runs once, after the levels",
    "fuse": "elementwise operations go through memory together",
    BATCHING: "vertices that are ready run together",
}

_Remarks = Mapping[str, Sequence[Remark]]


def remarks_lines(refused: _Remarks, saved: _Remarks, most: int | None) -> Iterator[str]:
    """Lines by pass, what holds in all modes first: of each pass what it saved, and what it did not
    do, `most` lines of it, None for all."""
    modes = list(refused)
    every = {mode: {*refused[mode], *saved[mode]} for mode in modes}
    common = set.intersection(*every.values())
    yield from _section(f"=== not done, in {' and '.join(modes)}", refused, saved, common, modes[0], most)
    for mode in modes if len(modes) > 1 else ():
        alone = every[mode] - common
        yield from _section(f"=== not done, in {mode} alone", refused, saved, alone, mode, most)


def _section(
    title: str,
    refused: _Remarks,
    saved: _Remarks,
    shown: set[Remark],
    mode: str,
    most: int | None,
) -> Iterator[str]:
    stopped = [x for x in refused[mode] if x in shown]
    did = [x for x in saved[mode] if x in shown]
    yield f"{title}: {len(stopped)}, and what was done"
    for name in (BATCHING, *PASSES):
        own, done = [x for x in stopped if x.name == name], [x for x in did if x.name == name]
        if not own and not done:
            continue
        yield f"  {name}: {_DOES.get(name, '')}".rstrip(": ")
        for x in done:
            yield f"    done     {_amount(x)}  {_words(x)}"
        for x in own[:most]:
            yield f"    not done {_amount(x)}  {_words(x)}{_where(x)}"
        if most is not None and len(own) > most:
            yield f'    and {len(own) - most} more with less work: why="all" shows them'


def _amount(remark: Remark) -> str:
    if remark.rows:
        return f"{remark.work / 1e6:12,.2f} MFLOP"
    return f"{remark.flops:12,} FLOP a row" if remark.flops else " " * 18


def _words(remark: Remark) -> str:
    of = f"type {remark.type!r}: " if remark.type else ""
    rows = f" ({remark.flops:,} FLOP x {remark.rows:,} rows)" if remark.rows else ""
    return f"{of}{remark.words}{rows}"


def _where(remark: Remark) -> str:
    if not remark.file:
        return ""
    text = f" ({remark.text})" if remark.text else ""
    return f", at {os.path.basename(remark.file)}:{remark.line}{text}"
