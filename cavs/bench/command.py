"""Times ``cavs train`` from outside, as users type it, beside the suite's rate."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cavs.bench.measure import Row, Spec, count
from cavs.bench.recipes import find_recipe
from cavs.bench.timing import Rates
from cavs.bench.workloads import Workload, find
from cavs.errors import CavsRuntimeError, InputError

COMMAND = "cavs train"
#: Epochs of the training; in the first one, batches are planned for the first time.
EPOCHS = 3


def measure_command(spec: Spec) -> list[Row]:
    """A row for each batch size: trees a second by epoch, as ``cavs train`` reports them.

    The command gets the data, the number of epochs, sizes that are not its defaults, and a folder
    to write to; all other options keep their defaults.

    Raises:
        InputError: no data directory; CavsRuntimeError: the command failed.
    """
    workload, directory = find(spec.workload), spec.directory
    if directory is None:
        raise InputError(
            f"[bench] expected --data DIR for {COMMAND}, got none; say where the data are"
        )
    rows = []
    for hidden_size in spec.hidden_sizes:
        for batch_size in spec.batch_sizes:
            options = {"epochs": min(EPOCHS, spec.rounds)}
            if batch_size != find_recipe(spec.recipe).batch_size:
                options["batch-size"] = batch_size
            if hidden_size != workload.hidden_sizes[0]:
                options["hidden-size"] = hidden_size
            place = workload.place(directory)
            assert place is not None
            row = _timed(workload, place, options)
            if row["threads"] != spec.threads:
                raise CavsRuntimeError(
                    f"[bench] expected {spec.threads} threads of {COMMAND}, as many as cores, got "
                    f"{row['threads']}; leave --threads and thread settings of the environment out"
                )
            row |= {"hidden_size": hidden_size, "batch_size": batch_size, "mode": "train"}
            row |= workload.facts(leaves=None, kind=spec.kind, recipe=spec.recipe)
            rows.append(row)
            said = f"{row['command']}, {count(spec.threads, 'thread')}"
            rate = f"{row['rates'][COMMAND]['median']:,.0f} {workload.unit}/s"
            print(f"{said}: {rate}", file=sys.stderr, flush=True)
    return rows


def _timed(workload: Workload, folder: Path, options: Mapping[str, Any]) -> Row:
    """Runs the command in a folder of its own; the row has its metrics and its duration."""
    words = ["train", workload.name]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    with tempfile.TemporaryDirectory(prefix="cavs-bench-") as output:
        begin = time.perf_counter()
        _run([*words, "--data", str(folder), "--output", output])
        seconds = time.perf_counter() - begin
        metrics = json.loads((Path(output) / "metrics.json").read_text(encoding="utf-8"))
    rates, history = Rates(), metrics["history"]
    rates.wall = [epoch["graphs_per_second"] for epoch in history]
    rates.cpu = rates.wall  # the processor time of its process is not measured
    training = sum(epoch["seconds"] for epoch in history)
    trees = metrics["data"][workload.unit]["train"]
    return {
        "command": shlex.join(["cavs", *words, "--data", f"DIR/{folder.name}"]),
        "rates": {COMMAND: rates.summary()},
        "turns": {COMMAND: rates.wall},
        "threads": metrics["threads"],
        "data": f"{folder.name.upper()}, training set, {trees:,} trees",
        "seconds": seconds,
        "training_seconds": training,
        "load_average": os.getloadavg()[0],
    }


def _run(words: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cavs", *words], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CavsRuntimeError(
            f"[bench] expected {COMMAND} to finish, got exit code {done.returncode} "
            f"({done.stderr.strip()[-500:]}); mend what it says"
        )
