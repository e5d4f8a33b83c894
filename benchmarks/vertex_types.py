"""Functions of types beside what users write without them, and beside dynamic declaration.

    python benchmarks/vertex_types.py --data DIR [PART ...] [--output FILE]
    python benchmarks/vertex_types.py --quick         # does it all run? Figures of no use

DIR holds sst/, lattice/, tags/ and ptb/. Parts, each a table with its goals:

- ``batches``: how many batches each policy needs on real minibatches.
- ``trees``, ``lattices``, ``tagger``: forward and backward over one minibatch again and again,
  inference, and whole steps over batches made anew, beside the same model without types.
- ``threads``: two threads beside one.
- ``peers``: whole steps and inference beside dynamic declaration (``build_dynamic.py``) and, where
  ``CAVS_DYNET_PYTHON`` names an interpreter that has it, DyNet.
- ``schedule``: the share of a step that its schedule takes.
- ``work``: operations, batches and time of 1 to 8 types.
- ``memory``: what is predicted beside what a process takes.

All contenders of a row take turns in one process, on one thread pinned to a core (``threads``: on
two); times are medians, a ratio is the median over turns of one round, with quartiles. Contenders
must have equal losses, or the run stops. On a machine that others use, ``--clock cpu`` counts the
processor time of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from typed import batches, generated, memory, peers, schedule_cost, speed, work
from typed.measures import HEAD, Row, Turns, as_table

import cavs

TITLES = {
    "batches": "Batches by policy, means of 4 minibatches",
    "trees": "Trees whose phrases are of several types, 64 of them",
    "lattices": "Lattice LSTM, words as vertices",
    "tagger": "Tagger with characters",
    "threads": "Two threads",
    "peers": "Dynamic declaration: steps with batch, schedule and update",
    "schedule": "Cost of the schedule in a training step, milliseconds",
    "work": "Work of 1 to 8 types, 64 trees",
    "memory": "Memory of a first call",
}


def run(part: str, options: argparse.Namespace, found: list[Row]) -> Iterator[str]:
    """The lines of a part; rows of times are also added to `found`."""
    folder, quick = options.data, options.quick

    def timed(rows: Iterable[Row]) -> Iterator[list[str]]:
        for row in rows:
            found.append(row)
            yield row.cells()

    turns = Turns(options.seconds, options.rounds, options.clock)
    if part == "batches":
        yield from as_table(batches.HEAD, batches.rows(folder, [8] if quick else [8, 64]))
    elif part == "schedule":
        yield from as_table(schedule_cost.HEAD, schedule_cost.rows(folder, turns, quick))
    elif part == "memory":
        yield from as_table(memory.HEAD, memory.rows(folder, quick))
        yield ""
        yield from as_table(memory.TYPES_HEAD, memory.types_rows(folder, quick))
    elif part == "work":
        contenders = work.contenders(folder, quick)
        yield from as_table(work.HEAD, work.counts(contenders))
        yield ""
        yield from as_table(HEAD, timed([work.times(contenders, turns)]))
    else:
        missing = peers.missing() if part == "peers" else None
        if missing:
            yield f"{missing}\n"
        each = peers.rows if part == "peers" else speed.PARTS[part]
        yield from as_table(HEAD, timed(each(folder, turns, quick)))


def pin(threads: int, cores: list[int]) -> None:
    """On the last cores: the first ones serve interrupts."""
    os.sched_setaffinity(0, cores[-threads:])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"among {', '.join(TITLES)} (all)")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON of all rows of times")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn (.3)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (9)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--quick", action="store_true", help="few small samples, short turns")
    parser.add_argument("--take-memory", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in TITLES]
    if unknown:
        parser.error(f"expected parts among {', '.join(TITLES)}, got {unknown[0]}")
    if options.data is None and not options.quick:
        parser.error("expected --data DIR, got none; --quick does without")
    if options.take_memory:
        name, samples, mode = options.take_memory
        memory.main(options.data, name, int(samples), mode)
        return
    if options.quick:
        options.seconds, options.rounds = 0.0, 2
    cores = sorted(os.sched_getaffinity(0))
    cavs.set_num_threads(1)
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="cavs-types-") as made:
        if options.data is None:
            options.data = generated.write(Path(made))
        for part in options.parts or TITLES:
            pin(2 if part == "threads" else 1, cores)
            print(f"## {TITLES[part]}\n", flush=True)
            for line in run(part, options, found):
                print(line, flush=True)
            print(flush=True)
    if options.output:
        rows = [row.as_json() for row in found]
        options.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
