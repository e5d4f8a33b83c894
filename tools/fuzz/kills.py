"""Trainings that are killed, or asked to stop, at random times and go on. The files that they leave
must be readable and of one run, and in the end the bits must equal those of a training that nobody
stopped.

Each training is a process of its own. A trial starts one and ends it some times, by SIGKILL, SIGINT
or SIGTERM while it trains, or by SIGKILL right before or after a file gets its name. It resumes the
training after each time, and lets it finish at last.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import runs

from cavs.errors import CavsError
from cavs.training import Checkpoint, load_checkpoint
from cavs.training.held import BEST, LAST, METRICS

TREES = ["--num-train", "60", "--max-depth", "3", "--embedding-size", "6", "--hidden-size", "8"]
TRAININGS = {
    "tree-lstm": [*TREES, "--epochs", "6", "--batch-size", "5", "--dropout", "0.2"],
    "lm": ["--epochs", "8", "--batch-size", "4", "--length", "3", "--hidden-size", "8"],
}
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
KILLS, WRITES = 3, 16

#: A training that is killed right before or after the file of a given number gets its name.
KILLED_AT_A_WRITE = """
import os, signal, sys
from cavs.cli import main
number, when = int(sys.argv[1]), sys.argv[2]
replace, done = os.replace, []
def killing(*paths):
    done.append(paths)
    if len(done) == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)
    if len(done) == number:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = killing
sys.exit(main(sys.argv[3:]))
"""
GROUPS = ("parameters", "optimizer", "best", "average", "objective")
TIMES = ("seconds", "graphs_per_second")


class WrongError(Exception):
    """Something is not as it should be."""


CAVS = [sys.executable, "-m", "cavs"]


def options(model: str, device: str) -> list[str]:
    data = ["--data", runs.text()] if model == "lm" else []
    return [*TRAININGS[model], *data, "--device", device]


@cache
def undisturbed(model: str, device: str) -> tuple[Path, float]:
    """The folder of a run that ended by itself, and the seconds that it trained."""
    folder = runs.folder() / f"whole-{model}"
    process = started(model, [*options(model, device), "--output", str(folder)])
    begun = time.monotonic()
    _, said = process.communicate(timeout=300)
    if process.returncode:
        raise WrongError(f"without a kill: {said}")
    return folder, time.monotonic() - begun


def started(model: str, more: list[str], program: list[str] | None = None) -> subprocess.Popen[str]:
    """A training that has read its data and begins."""
    process = subprocess.Popen(
        [*(program or CAVS), "train", model, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def check_left(folder: Path) -> None:
    """Checks that the files that a killed run left can be read and are of one run."""
    identities = set()
    for name in (LAST, BEST):
        if (folder / name).exists():
            identities.add(load_checkpoint(folder / name).training.get("run"))
    if (folder / METRICS).exists():
        identities.add(json.loads((folder / METRICS).read_text()).get("run"))
    if len(identities) > 1 or None in identities:
        raise WrongError(f"files of several runs: {identities}")


def check_end(folder: Path, whole: Path) -> None:
    """Checks that a run ended with the same bits as another, and left no other files."""
    names = sorted(path.name for path in folder.iterdir())
    if names != sorted([LAST, BEST, METRICS]):
        raise WrongError(f"left are {names}")
    check_left(folder)
    for name in (LAST, BEST):
        mine, its = load_checkpoint(folder / name), load_checkpoint(whole / name)
        for group in GROUPS:
            if _bits(mine, group) != _bits(its, group):
                raise WrongError(f"{group} of {name} differ")
    mine, its = (json.loads((place / METRICS).read_text()) for place in (folder, whole))
    if (mine["test"], _rows(mine)) != (its["test"], _rows(its)):
        raise WrongError("metrics differ")


def _bits(checkpoint: Checkpoint, group: str) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in getattr(checkpoint, group).items()}


def _rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [*metrics["history"], metrics["best"]]
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def disturbed(rng: random.Random, model: str, device: str, folder: Path, said: list[str]) -> None:
    """Trains to the end, with kills between. Raises WrongError; `said` gets a record of the
    kills."""
    whole, seconds = undisturbed(model, device)
    kills = rng.randint(1, KILLS)
    for kill in range(kills + 1):
        more = [*options(model, device), "--output", str(folder)]
        if (folder / LAST).exists():
            more = ["--resume", str(folder / LAST), "--device", device]
        number = rng.choice(SIGNALS)
        if kill == kills:
            process = started(model, more)
        elif rng.random() < 0.5:
            number = signal.SIGKILL
            at = [str(rng.randint(1, WRITES)), rng.choice(["before", "after"])]
            said.append(f"killed {at[1]} write {at[0]}")
            process = started(model, more, [sys.executable, "-c", KILLED_AT_A_WRITE, *at])
        else:
            process = started(model, more)
            after = rng.uniform(0, seconds)
            said.append(f"{number.name} after {after:.4f} s")
            time.sleep(after)
            process.send_signal(number)
        _, error = process.communicate(timeout=300)
        good = (0, -number, 128 + number) if kill < kills else (0,)
        if process.returncode not in good or "Traceback" in error:
            raise WrongError(f"exit status {process.returncode}: {error[-1000:]}")
        if kill < kills:
            check_left(folder)
    check_end(folder, whole)


def check(seed: int, device: str = "cpu") -> str | None:
    """Tries one training on a device that is killed some times; returns the fault, or None."""
    rng = random.Random(f"kills {seed}")
    model = rng.choice(list(TRAININGS))
    folder = runs.folder() / "killed"
    folder.mkdir()
    said: list[str] = []
    try:
        disturbed(rng, model, device, folder, said)
    except (WrongError, CavsError, ValueError) as error:
        return f"seed {seed}: {model}, {', '.join(said)}: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder)
    return None
