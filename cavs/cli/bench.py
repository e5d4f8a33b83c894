"""``cavs bench``: how fast this machine trains and runs the workloads."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cavs.bench import plots
from cavs.bench.output import write_part, write_report
from cavs.bench.plan import LINEAR_COST, Request, make_plan
from cavs.bench.recipes import RECIPES
from cavs.bench.report import report
from cavs.bench.runner import WORKER, run_part
from cavs.bench.workloads import WORKLOADS
from cavs.cli._options import add_device, integer, number
from cavs.device import find_device
from cavs.errors import InputError


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "bench",
        help="measure speed on this machine",
        description="Measures training and inference of the workloads with all passes and with the "
        "policy of the paper alone, each pass on its own for some, and how cost grows with the "
        "batch. Run it on an idle machine.",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that `make_request` reads."""
    parser.add_argument(
        "workloads",
        nargs="*",
        metavar="WORKLOAD",
        type=_workload,
        help=f"among {', '.join(WORKLOADS)}, {LINEAR_COST} (default: all)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="holds sst/, ptb/, lattice/, tags/ and mnist/, or is one of them (default: generated "
        "samples)",
    )
    for name in ("batch", "hidden"):
        parser.add_argument(
            f"--{name}-sizes",
            type=integer(1),
            nargs="+",
            metavar="N",
            help="(default: by workload)",
        )
    add_device(parser)
    parser.add_argument(
        "--threads", type=integer(1), nargs="+", metavar="N", help="(default: all cores, and 1)"
    )
    parser.add_argument(
        "--modes", nargs="+", choices=("train", "infer"), default=["train", "infer"]
    )
    parser.add_argument(
        "--passes",
        choices=("all", "paper", "ablation"),
        help="all: all passes only; paper: also the paper's policy; ablation: also each pass alone "
        "off and alone on (default: paper, and ablation for some)",
    )
    parser.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help="how it is trained; sst: as `cavs train` trains on a treebank, with dropout and "
        "decay, beside the same without, and that command itself (default: plain, and in a run of "
        "everything both)",
    )
    parser.add_argument(
        "--seconds",
        type=number(0),
        default=0.3,
        metavar="X",
        help="length of a turn (default: 0.3)",
    )
    parser.add_argument(
        "--rounds", type=integer(1), default=5, metavar="N", help="turns of each (default: 5)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="for a JSON file a part, report.md, and plots"
    )
    parser.add_argument(
        "--redraw", action="store_true", help="measure nothing; report and plots of DIR anew"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it all run?")


def _workload(name: str) -> str:
    known = [*WORKLOADS, LINEAR_COST]
    if name not in known:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(known)}, got {name!r}")
    return name


def make_request(options: argparse.Namespace) -> Request:
    """The request that the options make."""
    return Request(
        workloads=tuple(dict.fromkeys(options.workloads)),
        data="" if options.data is None else str(options.data.resolve()),
        hidden_sizes=options.hidden_sizes,
        batch_sizes=options.batch_sizes,
        threads=options.threads,
        modes=options.modes,
        passes=options.passes,
        recipe=options.recipe,
        seconds=options.seconds,
        rounds=options.rounds,
        quick=options.quick,
        device=find_device(options.device or "cpu", "bench").name,
    )


def run(options: argparse.Namespace) -> int:
    """Measures, and prints the report."""
    return measure_all(options, "cavs bench", WORKER, {})


def measure_all(
    options: argparse.Namespace, program: str, worker: Sequence[str], extra: Mapping[str, Any]
) -> int:
    """Measures part after part, writes each as soon as it is done, and prints the report."""
    if options.redraw:
        if options.output is None:
            raise InputError(
                "[bench] expected --output DIR with --redraw, got none; name the folder of a run"
            )
        write_report(options.output)
        return 0
    command = command_line(program, options)
    results = []
    for part in make_plan(make_request(options)):
        result = run_part(part, command, worker, extra)
        results.append(result)
        if options.output is not None:
            write_part(options.output, result)
            write_report(options.output)
    print(report(results))
    if options.output is not None and not plots.available():
        print("[bench] plots skipped: matplotlib is not installed (cavs-nn[viz])", file=sys.stderr)
    return 0


_WORDS = ("data", "batch_sizes", "hidden_sizes", "device", "threads", "modes", "passes", "recipe")


def command_line(program: str, options: argparse.Namespace) -> str:
    """The command that was given, directories as DIR."""
    words = [*program.split(), *options.workloads]
    for name in _WORDS:
        value = getattr(options, name)
        if value is None or value == ["train", "infer"]:
            continue
        flag = "--" + name.replace("_", "-")
        words += [flag, *(map(str, value) if isinstance(value, list) else [str(value)])]
        if isinstance(value, Path):
            words[-1] = "DIR"
    words += ["--seconds", f"{options.seconds:g}", "--rounds", str(options.rounds)]
    words += ["--quick"] * options.quick
    return shlex.join(words + ["--output", "DIR"] * (options.output is not None))
