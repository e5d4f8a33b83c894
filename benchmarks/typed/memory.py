"""Memory that is predicted beside what a process takes, and of two types beside one."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from typed import work
from typed.contenders import Whole
from typed.peers import MODELS

HEAD = [
    "model",
    "samples",
    "mode",
    "predicted MB",
    "measured MB",
    "measured / predicted",
    "goal",
    "",
]
TYPES_HEAD = ["mode", "one type: MB", "two types: MB", "ratio", "arena alone", "goal", ""]
MODES = ("train", "infer")
MOST_APART, TYPES_GOAL = 0.1, 1.05


def status(key: str) -> int:
    """Bytes, from what Linux says of the process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(key))
    return int(line.split()[1]) * 1024


def take(folder: Path, name: str, samples: int, mode: str) -> tuple[int, int]:
    """Bytes of a first call: predicted and measured. For a process that does nothing else."""
    corpus, function, _ = MODELS[name](folder, samples)
    ours = Whole(function, corpus.typed)
    ours.see(np.arange(len(corpus.typed)))
    ids: dict[str, Any] = {k: x for k, x in ours.inputs.items() if x.dtype == np.int32}
    training = mode == "train"
    (ours.model.train if training else ours.model.eval)()
    predicted = ours.model.memory(ours.graphs, gradients=training, **ids)
    gc.collect()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    if training:
        ours._loss().backward()
    else:
        ours.infer()
    return int(predicted), status("VmHWM") - before


def rows(folder: Path, quick: bool) -> Iterator[list[str]]:
    """A row for each model and mode; each has a process of its own."""
    script = Path(__file__).resolve().parents[1] / "vertex_types.py"
    for name in ("tree",) if quick else MODELS:
        for mode in MODES:
            samples = 64 if quick else 1024
            command = [sys.executable, str(script), "--data", str(folder), "--take-memory"]
            command += [name, str(samples), mode]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            predicted, measured = map(int, done.stdout.split())
            ratio = measured / predicted
            yield [
                name,
                str(samples),
                mode,
                f"{predicted / 1e6:.1f}",
                f"{measured / 1e6:.1f}",
                f"**{ratio:.3f}**",
                f"{1 - MOST_APART:g} .. {1 + MOST_APART:g}",
                "yes" if abs(ratio - 1) <= MOST_APART else "no",
            ]


def types_rows(folder: Path, quick: bool) -> Iterator[list[str]]:
    """Trees of two types of phrases beside the same trees of one; 64 of them."""
    found = [work.contender(folder, 8 if quick else 64, count, count) for count in (1, 2)]
    for mode in MODES:
        one, two = (
            each.model.memory(each.graphs, gradients=mode == "train", **each.inputs)
            for each in found
        )
        arena = two.parts["arena"] / one.parts["arena"]
        ratio = two / one
        yield [
            mode,
            f"{one / 1e6:.2f}",
            f"{two / 1e6:.2f}",
            f"**{ratio:.3f}**",
            f"{arena:.3f}",
            f"<= {TYPES_GOAL:g}",
            "yes" if ratio <= TYPES_GOAL else "no",
        ]


def main(folder: Path, name: str, samples: int, mode: str) -> None:
    """Prints both numbers."""
    cavs.set_num_threads(1)
    cavs.nn.init.manual_seed(0)
    print(*take(folder, name, samples, mode))
