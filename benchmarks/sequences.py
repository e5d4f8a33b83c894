"""LSTM language models of fixed and of variable length, beside what static frameworks do.

    python benchmarks/sequences.py --data DIR [fixed-lstm var-lstm] [--output FILE]
    python benchmarks/sequences.py --quick            # does it all run? Figures of no use

DIR holds ptb/. The contenders have the same weights and samples; losses and gradients must agree
before the clock starts. Real words alone are counted, and have logits; W x is one product.

- padded: the samples of a minibatch to its longest one (dynamic unroll); static: to the longest of
  the data (static unroll); buckets: minibatches of samples of like length, to the end of a bucket;
  packed: `torch.nn.utils.rnn.PackedSequence`.
- "torch by hand" calls a cell step by step; states of samples that have ended are masked.
- "compiled": the readout by torch.compile, and a loop by hand in blocks of a
  few steps.
- cavs pads too, with vertices of a type that computes nothing, or with vertices without word and
  label at which the cell runs on.

Each number of threads has a process of its own, pinned to as many cores. Where a goal is missed
profiles of both sides follow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cavs
from cavs.bench.runner import pinned, usable_cores
from cavs.bench.workloads import find
from cavs.errors import CavsError

WORKLOADS = ("fixed-lstm", "var-lstm")
QUICK = {"hidden": 16, "samples": 40, "rounds": 1}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"among {', '.join(WORKLOADS)} (all)"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds ptb/")
    parser.add_argument("--batch-sizes", type=int, nargs="+", metavar="N", help="(the workload's)")
    cores = list(range(1, min(2, usable_cores()) + 1))
    parser.add_argument("--threads", type=int, nargs="+", default=cores, metavar="N")
    parser.add_argument("--hidden", type=int, metavar="N", help="size of the states (256)")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of each (5)")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: processor time, for one thread where other processes are busy",
    )
    parser.add_argument("--eager", action="store_true", help="compile nothing")
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON of all rows")
    parser.add_argument("--quick", action="store_true", help="few generated samples, one turn")
    parser.add_argument("--samples", type=int, default=2000, help=argparse.SUPPRESS)
    parser.add_argument("--one-process", action="store_true", help=argparse.SUPPRESS)
    return parser


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends with a line where something cannot be had; fills in what was left open."""
    for name in options.workloads:
        if name not in WORKLOADS:
            parser.error(f"expected workloads among {', '.join(WORKLOADS)}, got {name}")
    if options.data is None and not options.quick:
        parser.error("expected --data DIR, got none; --quick does without")
    for name in ("batch_sizes", "threads", "hidden", "rounds"):
        given = getattr(options, name)
        if any(x < 1 for x in (given if isinstance(given, list) else [given]) if x is not None):
            parser.error(f"expected --{name.replace('_', '-')} of 1 or more, got {given}")
    if max(options.threads) > usable_cores():
        parser.error(
            f"expected at most {usable_cores()} threads, the cores that can be used, got "
            f"{max(options.threads)}"
        )
    if options.clock == "cpu" and options.threads != [1]:
        parser.error("expected --threads 1 with --clock cpu, got others; idle threads spin")
    options.workloads = options.workloads or list(WORKLOADS)
    if options.quick:
        options.threads, options.samples = options.threads[:1], QUICK["samples"]
    options.hidden = options.hidden or (QUICK["hidden"] if options.quick else 256)
    options.rounds = options.rounds or (QUICK["rounds"] if options.quick else 5)


def lines(options: argparse.Namespace, threads: int, found: list[Any]) -> Iterator[str]:
    """The tables of one number of threads; rows are also added to `found`."""
    from chains.contenders import OURS, make_field
    from chains.measures import grouped, measure
    from chains.profiles import of_cavs, of_torch

    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    for name in options.workloads:
        workload = find(name)
        corpus = workload.data(options.data, options.samples)
        sizes = options.batch_sizes or ([4] if options.quick else workload.batch_sizes)
        for size in sizes:
            if len(corpus.dataset) < 2 * size:
                raise CavsError(
                    f"[sequences] expected {2 * size} samples or more for minibatches of {size}, "
                    f"got {len(corpus.dataset)}; use smaller ones"
                )
            contenders = make_field(
                workload, corpus, options.hidden, size, threads, not options.eager
            )
            differences = contenders.check()
            rows = measure(
                name, size, threads, contenders.entries, differences, options.rounds, clock
            )
            found += rows
            ((title, body),) = grouped(rows)
            yield f"## {title}\n"
            yield f"{corpus.what}; hidden {options.hidden}; training steps with Adagrad.\n"
            yield from body
            yield from (f"\n{who}: {why}." for who, why in contenders.left_out.items())
            yield ""
            if any(row.missed for row in rows):
                yield from of_cavs(contenders.entries[OURS].contender)
                yield ""
            for row in rows:
                if row.missed:
                    yield from of_torch(contenders.entries[row.contender].contender)
                    yield ""


def one_process(options: argparse.Namespace) -> None:
    """Measures with one number of threads, here."""
    import torch

    (threads,) = options.threads
    torch.set_flush_denormal(True)  # before threads start: they inherit the mode
    torch.set_num_threads(threads)
    cavs.set_num_threads(threads)
    found: list[Any] = []
    for line in lines(options, threads, found):
        print(line, flush=True)
    if options.output:
        rows = [row.as_json() for row in found]
        options.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def each_process(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """A process for each number of threads; gives the exit code."""
    rows: list[Any] = []
    for threads in options.threads:
        with tempfile.TemporaryDirectory(prefix="cavs-sequences-") as folder:
            output = Path(folder) / "rows.json"
            command = [sys.executable, __file__, *arguments, "--one-process"]
            command += ["--threads", str(threads), "--output", str(output)]
            environment = os.environ | {
                "OMP_NUM_THREADS": str(threads),
                "KINETO_LOG_LEVEL": "99",  # the profiler is silent
                # Nothing compiled earlier is found again: compilation is measured.
                "TORCHINDUCTOR_CACHE_DIR": folder,
            }
            with pinned(threads):
                code = subprocess.run(command, env=environment, check=False).returncode
            if code:
                return code
            rows += json.loads(output.read_text(encoding="utf-8"))
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


def main(arguments: Sequence[str]) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)
    check_options(parser, options)
    try:
        import torch  # noqa: F401
    except ImportError:
        print("[sequences] expected PyTorch, got none; pip install torch", file=sys.stderr)
        return 1
    if not options.one_process:
        return each_process(options, arguments)
    try:
        one_process(options)
    except CavsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
