"""Files of ``cavs.save`` that are damaged, or made to do harm.

What is damaged is refused in one line, or is the same model. What somebody wrote with a checksum
that fits is refused in one line, or is a model that can be used. Neither runs code that nobody
trusts.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import runs
from safetensors.numpy import load, save
from tensorfiles import VALUES, changed, parts, spoil_bytes, spoil_header, spoil_tensors
from workers import Worker

import cavs
from cavs.errors import CavsError, CheckpointError
from cavs.saving import checksum

MEMORY = 64 << 20  # bytes that reading a small damaged file may take
GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [-1, 0]])])
FOREIGN = "foreign_to_fuzz"  # a module that nobody trusts
#: Values of a description that refer to something else.
FORMS: tuple[Any, ...] = (
    *({"module": 0}, {"module": 1}, {"module": -1}, {"module": 99}, {"module": True}),
    *({"parameter": ["none", True]}, {"array": "array.0"}, {"scalar": "array.0"}, {"tensor": []}),
    *(
        {"object": f"{FOREIGN}:run"},
        {"object": f"{FOREIGN}:Model"},
        {"object": "os:system"},
        {"object": "builtins:eval"},
    ),
    *({"object": "cavs.nn:os.system"}, {"object": "cavs.core.vertex:Module.__init__"}),
    *({"object": "cavs.core.ops.elementwise:tanh"}, {"object": "cavs.program:compile"}),
    *({"object": "saved_models:Callable"}, {"object": "saved_models:np.load"}),
    *({"generator": [0, {}]}, {"generator": [0, {"seed": 1, "step": 2}]}, {"type": "float"}),
    *({"vocabulary": [["a"], None]}, {"dict": [[{"dict": []}, 1]]}, {"set": [[1]]}),
    *({"float": "inf"}, {"dtype": "<f8"}, {"dtype": "O"}, {"tuple": []}, {"frozenset": [1, 1]}),
)
CLASSES = (
    *(f"{FOREIGN}:Model", "os:PathLike", "builtins:dict", "cavs.core.vertex:Module", "a:b", ""),
    *("cavs.models:ChildSumTreeLSTM", "saved_models:Scale", "saved_models:Outer.Inner", ":"),
    *("cavs.nn.linear:Linear", "saved_models:nn.Linear", "cavs.core.vertex_program:VertexProgram"),
)
#: What no reading of a model does.
_HARM = (
    *("os.system", "os.exec", "os.posix_spawn", "os.remove", "subprocess.Popen"),
    *("socket.connect", "socket.bind"),
)


class HarmError(Exception):
    """Something ran, or was made, that should not have been."""


def _sources() -> dict[str, Callable[[], Any]]:
    import saved_models

    from cavs import models

    def program() -> Any:
        both = {"a": saved_models.Outer.Inner(), "b": saved_models.Outer.Inner()}
        return cavs.compile(cavs.VertexProgram(both), seed=5)

    return {
        "everything": lambda: cavs.compile(saved_models.make(), seed=3).eval(),
        "nested": lambda: cavs.compile(saved_models.Outer.Inner(), passes=["simplify", "fuse"]),
        "tree": lambda: cavs.compile(models.NaryTreeLSTM(5, 4, 3, 2), dtype="float64"),
        "program": program,
    }


@cache
def saved(name: str) -> bytes:
    """The file of a model."""
    cavs.manual_seed(1)
    path = runs.folder() / "saved"
    cavs.save(_sources()[name](), path)
    return runs.canonical(path.read_bytes())


def draw_file(rng: random.Random, content: bytes) -> tuple[bytes, str, bool]:
    """Another file, what is other in it, and whether its checksum fits."""
    way = rng.choice(["bytes", "bytes", "header", "swap", "tensors", *["described"] * 4])
    if way == "bytes":
        return (*spoil_bytes(rng, content), False)
    if way == "header":
        return (*spoil_header(rng, content), False)
    if way == "swap":
        return (*_swapped(rng, content), False)
    if way == "tensors":
        made, what = spoil_tensors(rng, content)
        if rng.random() < 0.5:
            return made, what, False
        metadata, arrays = parts(made)
        return _written(metadata, arrays), what, True
    metadata, arrays = parts(content)
    described, said = json.loads(metadata["model"]), []
    for _ in range(rng.choice([1, 1, 2, 4])):
        described, what = _described(rng, described)
        said.append(what)
    metadata["model"] = json.dumps(described)
    return _written(metadata, arrays), "; ".join(said), True


def _swapped(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Two arrays that change places in the header."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    one, other = rng.choice(names), rng.choice(names)
    header[one], header[other] = header[other], header[one]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + length :], f"{one} is {other}"


def _described(rng: random.Random, described: Any) -> tuple[Any, str]:
    """A description with one value changed, or one that refers to something else."""
    way = rng.random()
    entries = described.get("modules") if isinstance(described, dict) else None
    if way < 0.5 or not (isinstance(entries, list) and entries):
        return changed(rng, described)
    entry = rng.choice(entries)
    if not isinstance(entry, dict) or not isinstance(entry.get("attributes"), dict):
        return changed(rng, described)
    if way < 0.6:
        entry["class"] = rng.choice([*CLASSES, CLASSES[0], CLASSES[0]])
        return described, f"class {entry['class']}"
    held = entry["attributes"] if way < 0.9 else described.get("own")
    if not isinstance(held, dict):
        return changed(rng, described)
    name = rng.choice([*held, "forward", "__class__", "__dict__", "_parts", "training"])
    held[name] = rng.choice([*FORMS, *FORMS, *VALUES])
    return described, f"{name} is {ascii(held[name])[:60]}"


def _written(metadata: dict[str, str], arrays: dict[str, Any]) -> bytes:
    """A file whose checksum fits."""
    with np.errstate(all="ignore"):
        arrays = {name: np.ascontiguousarray(x) for name, x in arrays.items()}
    metadata = {**metadata, "checksum": checksum(metadata["model"], arrays)}
    return runs.canonical(save(arrays, metadata))


def _use(model: Any) -> None:
    """Uses a model that was loaded; errors of cavs are right."""
    cavs.set_num_threads(1)
    for one in model.models.values() if isinstance(model, cavs.Program) else [model]:
        inputs = {}
        for name, spec in one.inputs.items():
            rows = GRAPHS.rows(spec.space)
            if rows * int(np.prod(spec.shape, dtype=float)) > 1 << 20:
                return  # as large as the file asks for
            dtype = np.int32 if spec.dtype == "int32" else one.dtype
            inputs[name] = np.zeros((rows, *spec.shape), dtype)
        for output in one(GRAPHS, **inputs).values():
            if output.requires_grad:
                output.sum().backward(retain_graph=True)
    model.state_dict()


@contextmanager
def _watched() -> Iterator[None]:
    """Inside, nothing harmful runs unseen."""
    _started()
    _events.clear()
    _watching[0] = True
    try:
        yield
    finally:
        _watching[0] = False
        if FOREIGN in sys.modules:
            del sys.modules[FOREIGN]
            _events.append(f"import of {FOREIGN}")
        if _events:  # also where the file was refused afterwards
            raise HarmError(", ".join(_events))


_events: list[str] = []
_watching = [False]


@cache
def _started() -> None:
    """Makes the module that nobody trusts, and notes harm from now on: hooks cannot be removed."""

    def note(event: str, _: Any) -> None:
        if _watching[0] and event in _HARM:
            _events.append(event)

    sys.addaudithook(note)
    (runs.folder() / f"{FOREIGN}.py").write_text("def run(*_): pass\nclass Model: pass\n")
    sys.path.append(str(runs.folder()))


def _tried(path: Path, content: bytes, fits: bool) -> str | None:
    if not fits:
        tracemalloc.start()
    try:
        with _watched():
            model: Any = cavs.load(path, trust="saved_models")
            if not fits:
                peak = tracemalloc.get_traced_memory()[1]
                if peak > MEMORY:
                    return f"{peak >> 20} MiB of memory"
            with np.errstate(all="ignore"):
                if fits:
                    _use(model)
    except CheckpointError as error:
        text = str(error)
        if "\n" in text or not text.startswith("[load] ") or str(path) not in text:
            return f"not one line that names the file: {text[:500]!r}"
        return None
    except CavsError as error:
        return None if fits and "\n" not in str(error) else f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:1000]
    finally:
        tracemalloc.stop()
    if fits:
        return None
    again = path.with_name("again")
    cavs.save(model, again)
    return None if _same(again.read_bytes(), content) else "another model"


def _same(one: bytes, other: bytes) -> bool:
    left, right = load(one), load(other)
    same = left.keys() == right.keys() and all(
        left[name].dtype == x.dtype and left[name].tobytes() == x.tobytes()
        for name, x in right.items()
    )
    return same and parts(one)[0] == parts(other)[0]


def trial(seed: int) -> str | None:
    """Tries one file; returns the fault, or None."""
    rng = random.Random(f"models {seed}")
    name = rng.choice(list(_sources()))
    content = saved(name)
    made, what, fits = draw_file(rng, content)
    found = runs.with_file(seed, "model", made, lambda path: _tried(path, content, fits))
    return None if found is None else f"{name}, {what}: {found}"


_worker = Worker("modelfiles")
check = _worker.check
