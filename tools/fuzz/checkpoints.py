"""Damaged checkpoints of every model: commands that read them must work, or name the fault in one
line.

The changes: bytes; the header of the file; the values of its metadata, one at a time; tensors.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import runs
from safetensors.numpy import save
from tensorfiles import TEXTS, changed, parts, spoil_bytes, spoil_header, spoil_tensors

from cavs.cli.main import make_parser
from cavs.errors import CavsError
from cavs.training import TrainingRun, UserModel, load_checkpoint
from cavs.training.held import BEST, LAST
from cavs.training.state import read_settings
from cavs.training.tasks import MODELS, make_task

SECONDS, BYTES = 60, 4 << 30  # the most for a trial, and for the process
SAID = "(3 (2 so) (3 good))\n[MAX 2 [MIN 4 7 ] ]\n"
PARTS = ("config", "vocabulary", "training")


class TooSlowError(BaseException):
    """A trial took longer than any should."""


def draw_file(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """A damaged checkpoint, and a description of the damage."""
    ways = (spoil_bytes, spoil_header, *[_metadata] * 4, spoil_tensors, spoil_tensors)
    return rng.choice(ways)(rng, content)


def _metadata(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Changes one value of the metadata, or the text of a part."""
    metadata, tensors = parts(content)
    names = ["config", "vocabulary", "training", "training", "training", "model"]
    part = rng.choice([*names, *(x for x in ("user_model", "vocabularies") if x in metadata)])
    if part == "model":
        metadata["model"] = rng.choice([*MODELS, "x", "", "transformer\n"])
        return runs.canonical(save(tensors, metadata)), f"model is {metadata['model']!r}"
    if rng.random() < 0.1:
        if rng.random() < 0.3:
            del metadata[part]
            return runs.canonical(save(tensors, metadata)), f"no {part}"
        metadata[part] = rng.choice(TEXTS)
        return runs.canonical(save(tensors, metadata)), f"{part} is {metadata[part][:20]!r}"
    value = json.loads(metadata[part])
    said = []
    for _ in range(rng.choice([1, 1, 1, 2])):
        value, what = changed(rng, value)
        said.append(f"{part}{what}")
    metadata[part] = json.dumps(value)
    return runs.canonical(save(tensors, metadata)), "; ".join(said)


def _resume(path: Path, code: UserModel | None, device: str) -> None:
    """Goes on for a step, as ``cavs train --resume`` does."""
    checkpoint = load_checkpoint(path)
    TrainingRun.check_resumable(path, checkpoint)
    config = read_settings(path, checkpoint.training)
    run = TrainingRun.resume(
        path, checkpoint, config, path.parent, overwrite=True, code=code, device=device
    )
    run.fit(should_stop=runs.StopAfter(2))


def _command(*arguments: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        given = [str(path) if argument == "FILE" else argument for argument in arguments]
        given = [argument.replace("OUTPUT", str(path.parent)) for argument in given]
        options: argparse.Namespace = make_parser().parse_args(given)
        options.run(options)

    return run


def _init(path: Path, model: str, device: str) -> None:
    """Begins with the parameters, as ``cavs train --init`` does."""
    task, config = make_task(runs.own_model() if model == runs.OWN else model, runs.options(model))
    run = TrainingRun.start(path.parent, task, config, device=device)
    run.begin_with(path, load_checkpoint(path))


def _uses(model: str, device: str) -> dict[str, Callable[[Path], None]]:
    """Maps the name of each use of a checkpoint to a function that does it on a device."""
    code = runs.own_model() if model == runs.OWN else None
    on = ["--device", device]
    more = on if code is None else [*on, "--model", str(code)]
    return {
        "resume": lambda path: _resume(path, code, device),
        "init": lambda path: _init(path, model, device),
        "evaluate": _command("evaluate", "FILE", *more),
        "evaluate dev": _command("evaluate", "FILE", "--split", "dev", "--json", *more),
        "predict": _command("predict", "FILE", "--all", *more),
        "predict a few": _command("predict", "FILE", "--batch-size", "1", *more),
        "sample": _command("sample", "FILE", "-n", "2", "--output", "OUTPUT/x.png", *more),
        "sample text": _command("sample", "FILE", "-n", "2", *on),
    }


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Inside, a trial takes no more time than any should, and memory is bounded."""

    def too_slow(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, too_slow)
    memory = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, memory[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, memory)


def said_badly(use: Callable[[Path], None], path: Path) -> str | None:
    """The fault in the refusal of a file; None if it is taken, or refused well."""
    stdin = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(SAID.encode()))
    try:
        with (
            _limits(),
            contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            use(path)
    except CavsError as error:
        text = str(error)
        if "\n" in text or len(text) > 5000 or not text.startswith("["):
            return f"not one line: {type(error).__name__}: {text[:500]!r}"
        if text.startswith("[checkpoint]") and str(path) not in text:
            return f"names no file: {text[:500]!r}"
    except (Exception, TooSlowError) as error:
        return f"{type(error).__name__}: {error}"[:1000]
    finally:
        sys.stdin = stdin
    return None


def check(seed: int, device: str = "cpu") -> str | None:
    """Tries one changed checkpoint in one use on a device; returns the fault, or None."""
    rng = random.Random(f"checkpoints {seed}")
    model, name = rng.choice([*MODELS, runs.OWN]), rng.choice([LAST, LAST, BEST])
    content = (runs.trained(model) / name).read_bytes()
    changed, what = draw_file(rng, content)
    uses = _uses(model, device)
    use = rng.choice(list(uses))
    found = runs.with_file(seed, name, changed, lambda path: said_badly(uses[use], path))
    return None if found is None else f"seed {seed}: {use} of {model}/{name}, {what}: {found}"
