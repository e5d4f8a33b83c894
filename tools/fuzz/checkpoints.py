"""Damaged checkpoints of every model: commands that read them must work, or name the fault in one
line.

The changes: bytes; the header of the file; the values of its metadata, one at a time; tensors.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import runs
from safetensors.numpy import load_file, save

from cavs.cli.main import make_parser
from cavs.errors import CavsError
from cavs.training import TrainingRun, UserModel, load_checkpoint
from cavs.training.held import BEST, LAST
from cavs.training.state import read_settings
from cavs.training.tasks import MODELS, make_task

SECONDS, BYTES = 60, 4 << 30  # the most for a trial, and for the process
SAID = "(3 (2 so) (3 good))\n[MAX 2 [MIN 4 7 ] ]\n"
PARTS = ("config", "vocabulary", "training")

#: Replacements of a value.
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 5, 7, 3.5, -0.5, float("nan"), float("inf"), 1e308),
    *(2**31, 2**53 + 1, 2**64, 10**30, -(10**30), 10**400),
    *(
        "",
        "x",
        "<unk>",
        "vertex",
        "\ud800",
        "\0",
        "a\nb",
        "9" * 5000,
        "/dev/zero",
        "/proc/self/mem",
    ),
    *([], {}, [[]], [1], ["a", "a"], [None], {"a": 1}, {"epoch": 1}, [[[[[[]]]]]]),
)
TEXTS = ("", "null", "[" * 100_000, '{"a":' * 100_000, "[1, 2", "1e999", "nan", '"x"', "{}", "[]")
DTYPES = ("F32", "F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "X", "")


class TooSlowError(BaseException):
    """A trial took longer than any should."""


def draw_file(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """A damaged checkpoint, and a description of the damage."""
    ways = (_bytes, _header, _metadata, _metadata, _metadata, _metadata, _tensors, _tensors)
    return rng.choice(ways)(rng, content)


def _bytes(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    size = len(content)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    way = rng.choice(["cut", "flip", "flip in header", "insert", "length"])
    if way == "cut":
        end = rng.choice([rng.randrange(size), rng.randrange(header)])
        return content[:end], f"cut at {end}"
    changed = bytearray(content)
    places = []
    for _ in range(rng.choice([1, 1, 2, 8])):
        place = rng.randrange(header if way == "flip in header" else size)
        places.append(place)
        if way == "insert":
            changed[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif way == "length":
            changed[:8] = struct.pack("<Q", rng.choice([0, 1, header, size, 2**40, 2**64 - 1]))
        else:
            changed[place] = rng.randrange(256)
    return bytes(changed), f"{way} at {places}"


def _header(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Changes the header of the file, which describes its tensors."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    name = rng.choice([key for key in header if key != "__metadata__"])
    entry = header[name]
    way = rng.choice(["dtype", "shape", "data_offsets", "name", "drop", "metadata"])
    if way == "dtype":
        entry["dtype"] = rng.choice(DTYPES)
    elif way == "shape":
        entry["shape"] = rng.choice(
            [[], [0], [10**12], [0, 10**18, 10**18], [-1], [1] * 100, [*entry["shape"], 1], "x"]
        )
    elif way == "data_offsets":
        entry["data_offsets"] = rng.choice([[0, 0], [0, 10**12], [5], [-1, 3], entry["shape"]])
    elif way == "name":
        header[rng.choice(["", "x", "model.", "best.x", "model.\n", name + "x"])] = header.pop(name)
    elif way == "drop":
        del header[name]
    else:
        header["__metadata__"] = rng.choice([{}, None, [], {"format": 1}, {"format": "x"}])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + length :], f"{way} of {name}: {entry}"


def _metadata(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Changes one value of the metadata, or the text of a part."""
    metadata, tensors = _parts(content)
    parts = ["config", "vocabulary", "training", "training", "training", "model"]
    part = rng.choice([*parts, "user_model"] if "user_model" in metadata else parts)
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
        value, what = _changed(rng, value)
        said.append(f"{part}{what}")
    metadata[part] = json.dumps(value)
    return runs.canonical(save(tensors, metadata)), "; ".join(said)


def _changed(rng: random.Random, value: Any) -> tuple[Any, str]:
    """A copy of `value` in which one value, at any depth, is changed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        way = rng.random()
        changed = dict(value)
        if way < 0.1:
            del changed[key]
            return changed, f".{key} is missing"
        if way < 0.15:
            changed[rng.choice(["x", "", "a b", "heads"])] = rng.choice(VALUES)
            return changed, ": one key more"
        changed[key], what = _changed(rng, value[key])
        return changed, f".{key}{what}"
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        way = rng.random()
        if way < 0.15:
            return [*value[:place], *value[place + 1 :]], f"[{place}] is missing"
        if way < 0.3:
            return [*value, copy.deepcopy(value[place])], f"[{place}] comes twice"
        new, what = _changed(rng, value[place])
        return [*value[:place], new, *value[place + 1 :]], f"[{place}]{what}"
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.3:
        new = value + rng.choice([-2, -1, 1, 2])
    else:
        new = rng.choice(VALUES)
    return new, f" is {str(new)[:40]!r}"


def _tensors(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Changes one tensor: its numbers, its shape or its dtype, or removes it."""
    metadata, tensors = _parts(content)
    name = rng.choice(list(tensors))
    array = tensors[name]
    way = rng.choice(["drop", "more", "dtype", "shape", "numbers", "numbers", "large"])
    if way == "drop":
        del tensors[name]
    elif way == "more":
        tensors[rng.choice([name + "x", "best.x", "average." + name, "objective.state"])] = array
    elif way == "dtype":
        dtype = rng.choice(["float64", "float16", "int32", "int64", "bool", "uint8"])
        with np.errstate(all="ignore"):
            tensors[name] = array.astype(dtype)
    elif way == "shape":
        tensors[name] = (
            rng.choice([array[..., None], array.ravel(), array[:0].copy()])
            if (array.ndim)
            else array[None]
        )
    elif way == "large":
        tensors[name] = np.zeros((*array.shape, 3), array.dtype)
    else:
        bad = rng.choice([np.nan, np.inf, -np.inf, -1, -1e30, 1e30, 0.5, 2.0**60])
        changed = array.copy().reshape(-1)
        with np.errstate(all="ignore"):
            changed[rng.randrange(changed.size or 1) :][: rng.choice([1, 10**6])] = np.asarray(
                bad
            ).astype(array.dtype)
        tensors[name] = changed.reshape(array.shape)
        way = f"{bad} in"
    content = save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, metadata)
    return runs.canonical(content), f"{way} {name}"


def _parts(content: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    length = struct.unpack("<Q", content[:8])[0]
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    with tempfile.NamedTemporaryFile(dir=runs.folder()) as file:
        file.write(content)
        file.flush()
        return metadata, load_file(file.name)


def _resume(path: Path, code: UserModel | None = None) -> None:
    """Goes on for a step, as ``cavs train --resume`` does."""
    checkpoint = load_checkpoint(path)
    TrainingRun.check_resumable(path, checkpoint)
    config = read_settings(path, checkpoint.training)
    run = TrainingRun.resume(path, checkpoint, config, path.parent, overwrite=True, code=code)
    run.fit(should_stop=runs.StopAfter(2))


def _command(*arguments: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        given = [str(path) if argument == "FILE" else argument for argument in arguments]
        given = [argument.replace("OUTPUT", str(path.parent)) for argument in given]
        options: argparse.Namespace = make_parser().parse_args(given)
        options.run(options)

    return run


def _init(path: Path, model: str) -> None:
    """Begins with the parameters, as ``cavs train --init`` does."""
    task, config = make_task(runs.own_model() if model == runs.OWN else model, runs.options(model))
    TrainingRun.start(path.parent, task, config).begin_with(path, load_checkpoint(path))


def _uses(model: str) -> dict[str, Callable[[Path], None]]:
    """Maps the name of each use of a checkpoint to a function that does it."""
    code = runs.own_model() if model == runs.OWN else None
    more = [] if code is None else ["--model", str(code)]
    return {
        "resume": lambda path: _resume(path, code),
        "init": lambda path: _init(path, model),
        "evaluate": _command("evaluate", "FILE", *more),
        "evaluate dev": _command("evaluate", "FILE", "--split", "dev", "--json", *more),
        "predict": _command("predict", "FILE", "--all", *more),
        "predict a few": _command("predict", "FILE", "--batch-size", "1", *more),
        "sample": _command("sample", "FILE", "-n", "2", "--output", "OUTPUT/x.png", *more),
        "sample text": _command("sample", "FILE", "-n", "2"),
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


def check(seed: int) -> str | None:
    """Tries one changed checkpoint in one use; returns the fault, or None."""
    rng = random.Random(f"checkpoints {seed}")
    model, name = rng.choice([*MODELS, runs.OWN]), rng.choice([LAST, LAST, BEST])
    content = (runs.trained(model) / name).read_bytes()
    changed, what = draw_file(rng, content)
    uses = _uses(model)
    use = rng.choice(list(uses))
    found = runs.with_file(seed, name, changed, lambda path: said_badly(uses[use], path))
    return None if found is None else f"seed {seed}: {use} of {model}/{name}, {what}: {found}"
