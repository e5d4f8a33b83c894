"""The tables that publications on dynamic neural networks show, drawn in full.

    python benchmarks/published.py --data DIR --output OUT             # measures all of them
    python benchmarks/published.py memory --data DIR --output OUT      # some
    python benchmarks/published.py --redraw --output OUT               # draws earlier results
    python benchmarks/published.py --quick --output OUT                # does it all run?

DIR holds sst/ and ptb/. OUT gets a JSON file for each part, and published.md. Parts:

- ``trees``: `suite.py tree-lstm` at batch sizes 1, 16, 32, 64, 128 and 256: rates, and the share of
  a training step that makes graphs, batches and schedules.
- ``sequences``: `sequences.py`, beside static frameworks.
- ``memory``: time and bytes of memory operations by batch size, beside dynamic declaration.
- ``ablation``: lazy batching, hoisting and fusion apart and together.

The table of frameworks has construction as ``trees`` and ``sequences`` have found it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from published_parts import ablation, memory_operations, tables

from cavs.bench.runner import pinned, usable_cores
from cavs.bench.workloads import find
from cavs.errors import CavsError

HERE = Path(__file__).parent
PARTS = ("trees", "sequences", "memory", "ablation")
SIZES = (1, 16, 32, 64, 128, 256)
#: Workloads of the ablation, with their batch sizes.
ABLATED = {"tree-lstm": (16, 64), "fixed-lstm": (16, 64)}
QUICK_SIZES, QUICK_HIDDEN, QUICK_SAMPLES = (1, 8), 16, 64


def path(output: Path, part: str) -> Path:
    """The file of a part's results."""
    return output / ("tree-lstm.json" if part == "trees" else f"{part}.json")


def read(output: Path, part: str) -> Any:
    """A part's results; None: there are none."""
    file = path(output, part)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def run(program: str, *arguments: Any) -> None:
    """Runs another benchmark.

    Raises:
        CavsError: it failed, having said why.
    """
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise CavsError(f"[published] expected {program} to succeed; see its message above")


def measure(part: str, options: argparse.Namespace) -> None:
    """Writes a part's results."""
    data = [] if options.data is None else ["--data", options.data]
    quick = ["--quick"] if options.quick else []
    threads = ["--threads", *options.threads]
    if part == "trees":
        sizes = QUICK_SIZES if options.quick else SIZES
        turns = ["--seconds", options.seconds, "--rounds", options.rounds]
        peers = [] if options.peers is None else ["--peers", *options.peers]
        common = [*data, *quick, *threads, *turns, *peers, "--output", options.output]
        run("suite.py", "tree-lstm", "--batch-sizes", *sizes, *common)
    elif part == "sequences":
        eager = ["--eager"] if options.eager else []
        run("sequences.py", *data, *quick, *threads, *eager, "--output", path(options.output, part))
    else:
        with pinned(1):
            rows = list(one_thread(part, options))
        path(options.output, part).write_text(json.dumps(rows, indent=1), encoding="utf-8")


def one_thread(part: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the parts that are measured here."""
    samples = QUICK_SAMPLES if options.quick else 4096
    workloads = ("tree-lstm",) if part == "memory" else tuple(ABLATED)
    for name in workloads:
        workload = find(name)
        corpus = workload.data(options.data, samples)
        hidden = QUICK_HIDDEN if options.quick else workload.hidden_sizes[0]
        sizes = QUICK_SIZES if options.quick else SIZES if part == "memory" else ABLATED[name]
        if part == "memory":
            yield from memory_operations.rows(workload, corpus, hidden, sizes)
        else:
            turns = (0.0, 1) if options.quick else (options.seconds, options.rounds)
            yield from ablation.rows(workload, corpus, hidden, sizes, *turns)


def document(output: Path) -> Iterator[str]:
    """The tables of all parts that have results."""
    yield "# Tables as published\n"
    trees = read(output, "trees")
    sequences = read(output, "sequences") or []
    yield from ("## Frameworks\n", *tables.frameworks(trees, sequences), "")
    if trees:
        yield from ("## Tree-LSTM by batch size\n", *tables.trees(trees))
        yield from ("## Graph construction in a training step\n", *tables.construction(trees))
    if sequences:
        from chains.measures import Row, grouped

        for title, rows in grouped([Row(**row) for row in sequences]):
            yield from (f"## {title}\n", *rows, "")
    found = read(output, "memory")
    if found:
        yield from ("## Memory operations of the Tree-LSTM by batch size\n", *tables.memory(found))
    found = read(output, "ablation")
    if found:
        yield from ("## Lazy batching, hoisting and fusion, one thread\n", *tables.ablation(found))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"among {', '.join(PARTS)} (all)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds sst/ and ptb/")
    parser.add_argument("--output", type=Path, metavar="OUT", required=True)
    parser.add_argument("--redraw", action="store_true", help="measure nothing")
    cores = list(range(1, min(2, usable_cores()) + 1))
    parser.add_argument("--threads", type=int, nargs="+", default=cores, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.2, metavar="X", help="of a turn (.2)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each (5)")
    parser.add_argument("--peers", nargs="*", metavar="NAME", help="of trees (all)")
    parser.add_argument("--eager", action="store_true", help="of sequences: compile nothing")
    parser.add_argument("--quick", action="store_true", help="generated samples, tiny sizes")
    return parser


def main() -> int:
    parser = make_parser()
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"expected parts among {', '.join(PARTS)}, got {part}")
    if options.data is None and not options.quick and not options.redraw:
        parser.error("expected --data DIR, got none; --quick does without")
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        for part in () if options.redraw else options.parts or PARTS:
            print(f"[published] {part}", file=sys.stderr, flush=True)
            measure(part, options)
    except CavsError as error:
        print(error, file=sys.stderr)
        return 1
    if memory_operations.missing() and not options.redraw:
        print(f"[published] dynamic skipped: {memory_operations.missing()}", file=sys.stderr)
    text = "\n".join([*document(options.output), ""])
    (options.output / "published.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
