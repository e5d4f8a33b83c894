"""Random damage of safetensors files: to bytes, to the header, to tensors, to values of JSON."""

from __future__ import annotations

import copy
import json
import random
import struct
import tempfile
from typing import Any

import numpy as np
import runs
from safetensors.numpy import load_file, save

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


def spoil_bytes(rng: random.Random, content: bytes) -> tuple[bytes, str]:
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


def spoil_header(rng: random.Random, content: bytes) -> tuple[bytes, str]:
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


def changed(rng: random.Random, value: Any) -> tuple[Any, str]:
    """A copy of `value` in which one value, at any depth, is changed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        way = rng.random()
        copied = dict(value)
        if way < 0.1:
            del copied[key]
            return copied, f".{key} is missing"
        if way < 0.15:
            copied[rng.choice(["x", "", "a b", "heads"])] = rng.choice(VALUES)
            return copied, ": one key more"
        copied[key], what = changed(rng, value[key])
        return copied, f".{key}{what}"
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        way = rng.random()
        if way < 0.15:
            return [*value[:place], *value[place + 1 :]], f"[{place}] is missing"
        if way < 0.3:
            return [*value, copy.deepcopy(value[place])], f"[{place}] comes twice"
        new, what = changed(rng, value[place])
        return [*value[:place], new, *value[place + 1 :]], f"[{place}]{what}"
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.3:
        new = value + rng.choice([-2, -1, 1, 2])
    else:
        new = rng.choice(VALUES)
    return new, f" is {str(new)[:40]!r}"


def spoil_tensors(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Changes one tensor: its numbers, its shape or its dtype, or removes it."""
    metadata, tensors = parts(content)
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


def parts(content: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """The metadata and the tensors of a file."""
    length = struct.unpack("<Q", content[:8])[0]
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    with tempfile.NamedTemporaryFile(dir=runs.folder()) as file:
        file.write(content)
        file.flush()
        return metadata, load_file(file.name)
