"""Times ``cavs train`` from outside, as users type it, beside the suite's step."""

from __future__ import annotations

import itertools
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

import numpy as np

from cavs.bench.contenders import OURS, Contender, Weights
from cavs.bench.corpora import choose_batches
from cavs.bench.measure import Row, Spec, count
from cavs.bench.recipes import find_recipe
from cavs.bench.timing import Rates
from cavs.bench.workloads import Workload, find
from cavs.errors import CavsRuntimeError, InputError

COMMAND = "cavs train"
#: Epochs of a training; in the first one, batches are planned for the first time.
EPOCHS = 3
#: Trainings. The step alone is timed for ALONE seconds before and after each.
TURNS, ALONE = 3, 1.5


def measure_command(spec: Spec) -> list[Row]:
    """A row for each batch size: trees a second, as ``cavs train`` reports them, in turns with the
    suite's step alone. A machine that others use is seldom as fast from one minute to the next.

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
    recipe, rows = find_recipe(spec.recipe), []
    corpus = workload.data(directory, spec.samples, None)
    for hidden_size in spec.hidden_sizes:
        for batch_size in spec.batch_sizes:
            options = {"epochs": min(EPOCHS, spec.rounds)}
            if batch_size != recipe.batch_size:
                options["batch-size"] = batch_size
            if hidden_size != workload.hidden_sizes[0]:
                options["hidden-size"] = hidden_size
            place = workload.place(directory)
            assert place is not None
            batches = choose_batches(corpus.dataset, batch_size)
            weights = Weights(workload, corpus, hidden_size)
            alone = Contender(weights, None, batches, spec.threads, recipe)
            row = _in_turns(alone, min(TURNS, spec.rounds), workload, place, options)
            if row["threads"] != spec.threads:
                raise CavsRuntimeError(
                    f"[bench] expected {spec.threads} threads of {COMMAND}, as many as cores, got "
                    f"{row['threads']}; leave --threads and thread settings of the environment out"
                )
            row |= {"hidden_size": hidden_size, "batch_size": batch_size, "mode": "train"}
            row |= workload.facts(leaves=None, kind=spec.kind, recipe=spec.recipe)
            rows.append(row)
            said = f"{row['command']}, {count(spec.threads, 'thread')}"
            found = [f"{row['rates'][name]['median']:,.0f}" for name in (COMMAND, OURS)]
            told = f"{found[0]} {workload.unit}/s, its step alone {found[1]}"
            print(f"{said}: {told}", file=sys.stderr, flush=True)
    return rows


def _in_turns(
    alone: Contender, turns: int, workload: Workload, folder: Path, options: Mapping[str, Any]
) -> Row:
    """A row of `turns` trainings, each between two turns of the step alone."""
    for number in range(alone.num_batches):
        alone.train_step(number)
    rows, steps, by_step = [], Rates(), [_rate(alone)]
    for _ in range(turns):
        rows.append(_timed(workload, folder, options))
        by_step.append(_rate(alone))
    steps.wall = [(a + b) / 2 for a, b in itertools.pairwise(by_step)]
    command = Rates(wall=[float(np.median(row["epochs"])) for row in rows])
    for found in (steps, command):
        found.cpu = found.wall  # the processor time of another process is not measured
    middle: Row = sorted(rows, key=lambda row: row["seconds"])[len(rows) // 2]
    return middle | {
        "rates": {COMMAND: command.summary(), OURS: steps.summary()},
        "turns": {COMMAND: command.wall, OURS: steps.wall},
        "epochs": [row["epochs"] for row in rows],
    }


def _rate(alone: Contender) -> float:
    """Units of work a second over ALONE seconds of whole rounds through the batches."""
    begin, done, elapsed = time.perf_counter(), 0.0, 0.0
    while elapsed < ALONE:
        for number in range(alone.num_batches):
            alone.train_step(number)
            done += alone.units(number)
        elapsed = time.perf_counter() - begin
    return done / elapsed


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
    history, trees = metrics["history"], metrics["data"][workload.unit]["train"]
    return {
        "command": shlex.join(["cavs", *words, "--data", f"DIR/{folder.name}"]),
        "epochs": [epoch["graphs_per_second"] for epoch in history],
        "threads": metrics["threads"],
        "data": f"{folder.name.upper()}, training set, {trees:,} trees",
        "seconds": seconds,
        "training_seconds": sum(epoch["seconds"] for epoch in history),
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
