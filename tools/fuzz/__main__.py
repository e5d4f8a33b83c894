"""Looks for faults of cavs by random trials: ``python tools/fuzz KIND``.

Exit status: 0 if no fault was found, 1 if one was, 2 for a wrong command line. Each trial is one
seed; a seed gives the same trial again.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Callable
from functools import partial

import checkpoints
import datafiles
import differential
import hostile
import kills
import modelfiles
import programs

#: Maps each kind of trial to a function that takes a seed and returns the fault or None, and to a
#: description of the trial.
KINDS: dict[str, tuple[Callable[..., str | None], str]] = {}
#: The kinds whose function takes a device too.
ON_DEVICES = (
    *("differential", "operations", "attention", "convolution"),
    *("checkpoints", "graphs", "kills"),
)
KINDS["differential"] = (
    differential.check,
    "random vertex functions, against an evaluation of their own",
)
KINDS["operations"] = (
    differential.check_newer,
    "the same with operations along axes, of windows, of special functions, and others",
)
KINDS["attention"] = (
    differential.check_attention,
    "the same with attention over children, in forms that are fused and others",
)
KINDS["convolution"] = (
    differential.check_convolution,
    "the same with convolutions, their transposes, and windows of images",
)
KINDS["checkpoints"] = checkpoints.check, "spoilt checkpoints in every command that reads them"
KINDS["models"] = modelfiles.check, "spoilt and hostile files of saved models"
KINDS["data"] = datafiles.check, "spoilt data files by every reader"
KINDS["graphs"] = hostile.check, "hostile graphs, batches and inputs: right results or errors"
KINDS["programs"] = programs.check, "wrong native programs and runs: errors, and no crash"
KINDS["kills"] = kills.check, "trainings that are killed and go on; some seconds each"


#: Seeds and counts are below it, so that their sums are seeds of cavs, below 2^64.
_MOST = 2**62


def _seed(text: str) -> int:
    return _whole(text, 0)


def _count(text: str) -> int:
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    number = int(text) if re.fullmatch("[0-9]{1,19}", text) else -1
    if not least <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"expected a whole number in {least}..2**62, got {text!r}")
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected a finite number >= 0, got {text!r}")
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, (_, meaning) in KINDS.items():
        kind = kinds.add_parser(name, help=meaning, description=meaning)
        kind.add_argument(
            "--seed", type=_seed, default=0, metavar="N", help="first seed (default: 0)"
        )
        kind.add_argument(
            "--count",
            type=_count,
            metavar="N",
            help="trials (default: 1000, or any with --seconds)",
        )
        kind.add_argument("--seconds", type=_seconds, metavar="X", help="begin no trial after")
        if name in ON_DEVICES:
            kind.add_argument(
                "--device", default="cpu", metavar="NAME", help="as cuda (default: cpu)"
            )
    options = parser.parse_args()
    count = options.count
    if count is None:
        count = 1000 if options.seconds is None else _MOST
    check, _ = KINDS[options.kind]
    if "device" in options:
        check = partial(check, device=options.device)
    return run(options.kind, check, options.seed, count, options.seconds)


def run(
    kind: str, check: Callable[[int], str | None], first: int, count: int, seconds: float | None
) -> int:
    """Tries `count` seeds, or tries for `seconds`; prints the findings."""
    start, trials, faults = time.monotonic(), 0, 0
    for seed in range(first, first + count):
        if seconds is not None and time.monotonic() - start > seconds:
            break
        found = check(seed)
        trials += 1
        if found is not None:
            faults += 1
            print(f"-- {kind}, {found}\n", flush=True)
    spent = time.monotonic() - start
    seeds = f"seeds {first}..{first + trials - 1}" if trials else "no seeds"
    print(f"{kind}: {seeds}, {trials} trials in {spent:.0f} s, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
