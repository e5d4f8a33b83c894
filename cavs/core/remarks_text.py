"""What the passes say of their own work, as text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from cavs.core.passes import PASSES
from cavs.core.remarks import Remark, counted

MOST = 5
"""How many lines of a pass are shown unless all are asked for."""

BATCHING = "batching"

_DOES = {
    "simplify": "equal operations are done once, and what does nothing goes",
    "split_states": "layers that are types need no levels",
    "commute_gather": "the child multiplies its state, once, instead of each edge",
    "specialize_leaves": "vertices without children compute nothing with zeros",
    "fuse_attention": "attention over children needs no row per edge",
    "unique_pulls": "what depends on ids alone runs once per distinct id",
    "remember_pulls": "inference keeps what depends on one id for later calls",
    "read_parents": "gradients of states are read from parents, with no row per edge",
    "skip_missing": "products leave out rows of the id -1",
    "skip_masked": "products leave out edges where a float input is 0",
    "merge_matmuls": "sums over all rows go on from each other",
    "hoist": "what waits for no child runs once, before the levels",
    "defer": "what no parent gathers runs once, after the levels",
    "fuse": "elementwise operations go through memory together",
    "stream": "segments that do not need each other go side by side, on a GPU",
    BATCHING: "vertices that are ready run together",
}

_Remarks = Mapping[str, Sequence[Remark]]


def remarks_lines(
    refused: _Remarks, saved: _Remarks, most: int | None, whole: int = 0
) -> Iterator[str]:
    """Lines by pass, what holds in all modes first: of each pass what it saved, and what it did not
    do, `most` lines of it, None for all. `whole`: FLOPs of F as typed over the batch, if there is
    one, of which they are a share."""
    modes = list(refused)
    every = {mode: {*refused[mode], *saved[mode]} for mode in modes}
    common = set.intersection(*every.values())
    parts = [(" and ".join(modes), modes[0], common)]
    if len(modes) > 1:
        parts += [(f"{mode} alone", mode, every[mode] - common) for mode in modes]
    for number, (words, mode, shown) in enumerate(parts):
        stopped = [x for x in refused[mode] if x in shown]
        if shown or number == 0:
            yield f"=== not done, in {words}: {len(stopped)}, and what was done"
        if whole and number == 0:
            yield f"  shares are of F as typed over this batch: {_in_units(whole)} with no pass"
        yield from _by_pass(stopped, [x for x in saved[mode] if x in shown], most, whole)


def _by_pass(
    stopped: Sequence[Remark], did: Sequence[Remark], most: int | None, whole: int
) -> Iterator[str]:
    for name in (BATCHING, *PASSES):
        own, done = [x for x in stopped if x.name == name], [x for x in did if x.name == name]
        if not own and not done:
            continue
        yield f"  {name}: {_DOES[name]}"
        for x in done:
            yield f"    done     {_amount(x, whole)}  {_words(x)}"
        for x in own[:most]:
            yield f"    not done {_amount(x, whole)}  {_words(x)}{_where(x)}"
        if most is not None and len(own) > most:
            yield f'    and {len(own) - most} more with less work: why="all" shows them'


def _amount(remark: Remark, whole: int) -> str:
    if remark.rows:
        return f"{_in_units(remark.work):>11} {remark.work / max(1, whole):4.0%}"
    return f"{_in_units(remark.flops) + ' a row':>16}" if remark.flops else " " * 16


def _in_units(flops: int) -> str:
    for unit, size in (("GFLOP", 10**9), ("MFLOP", 10**6), ("kFLOP", 10**3)):
        if flops >= size:
            return f"{flops / size:,.1f} {unit}"
    return f"{flops} FLOP"


def _words(remark: Remark) -> str:
    of = f"type {remark.type!r}: " if remark.type else ""
    rows = f" ({remark.flops:,} FLOP x {counted(remark.rows, 'row')})" if remark.rows else ""
    return f"{of}{remark.words}{rows}"


def _where(remark: Remark) -> str:
    if not remark.file:
        return ""
    text = f" ({remark.text})" if remark.text else ""
    return f", at {os.path.basename(remark.file)}:{remark.line}{text}"
