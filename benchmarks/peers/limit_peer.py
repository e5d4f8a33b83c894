"""The hand-written limit of one Tree-LSTM as a peer: the speed of a single-purpose C++ program.

The program is not part of this repository: ``CAVS_LIMIT_SOURCE`` names its source. It is compiled
on demand, with `limit_driver.cc` around it, and called in this process. It is written for AVX-512;
where there is none it is compiled over AVX2, with micro-kernels of ours that fit there.

- ``avx512``: as it is, or
- ``avx512-on-avx2``: over AVX2; the processor decides which of both there is.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from peers.protocol import Array, Peer, PeerBatch, UnsuitableError, check_known, check_plain

from cavs.bench.recipes import Recipe

VARIABLE = "CAVS_LIMIT_SOURCE"
WORKLOADS = ("tree-lstm",)
_EMBEDDING, _CLASSES, _MOST_THREADS = 300, 5, 2
# In the driver's order.
_WEIGHTS = (
    "embedding.weight",
    "w_iou.weight",
    "w_iou.bias",
    "u_iou.weight",
    "w_f.bias",
    "u_f.weight",
    "classifier.weight",
    "classifier.bias",
)
# A step takes this many gradients off the weights: the rounding of a weight then counts for
# nothing.
_SCALE = 1024.0


def _processor() -> set[str]:
    """The instruction sets of this processor, as Linux names them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    return next((set(x.split()) for x in text.splitlines() if x.startswith("flags")), set())


VARIANTS = ("avx512" if "avx512f" in _processor() else "avx512-on-avx2",)


def available(threads: int) -> str | None:
    """The limit runs with one or two threads if its source, g++ and AVX2 are there."""
    source = os.environ.get(VARIABLE)
    if not source:
        return f"the limit: {VARIABLE} does not name its source"
    if not Path(source).is_file():
        return f"the limit: {VARIABLE}={source} is not a file"
    if threads > _MOST_THREADS:
        return f"the limit computes with at most {_MOST_THREADS} threads"
    if shutil.which("g++") is None:
        return "the limit: there is no g++ to compile it"
    if not {"avx2", "fma"} <= _processor():
        return "the limit: this processor has neither AVX-512 nor AVX2"
    return None


def versions() -> dict[str, str]:
    """The compiler's version, if the limit can be compiled."""
    if available(1):
        return {}
    answer = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True, check=True)
    return {"limit": f"compiled by g++ {answer.stdout.strip()} as {VARIANTS[0]}"}


def make(
    workload: str,
    variant: str,
    state: dict[str, Array],
    batches: Sequence[PeerBatch],
    recipe: Recipe,
    threads: int,
) -> Peer:
    """A contender that starts from the weights `state`; see `protocol`."""
    check_known(workload, variant, WORKLOADS, VARIANTS)
    check_plain(recipe)
    return Limit(state, batches, recipe, threads)


@cache
def _compiled(source: str, hidden: int) -> bytes:
    """The driver around the program for one hidden size, as a shared library."""
    driver = Path(__file__).with_name("limit_driver.cc")
    with tempfile.TemporaryDirectory(prefix="cavs-limit-") as folder:
        library = Path(folder) / "limit.so"
        names = [f"-DHH={hidden}", f'-DLIMIT_SOURCE="{Path(source).resolve()}"']
        flags = ["-std=c++17", "-O3", "-march=native", "-pthread", "-shared", "-fPIC"]
        command = ["g++", *flags, "-fno-gnu-unique", *names, str(driver), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"[peers] the limit does not compile: {done.stderr[:2000]}")
        return library.read_bytes()


class Limit:
    """The program around one set of weights.

    Args:
        state: parameters by the names of `cavs.models.ChildSumTreeLSTM`; copied.
        batches: batches of binary trees in post-order, a word on every leaf, a label on every
            vertex.
        threads: 1 or 2.

    Raises:
        UnsuitableError: sizes or trees that the program does not know.
    """

    def __init__(
        self,
        state: Mapping[str, Array],
        batches: Sequence[PeerBatch],
        recipe: Recipe,
        threads: int,
    ) -> None:
        self.recipe = recipe
        words, embedding = state["embedding.weight"].shape
        classes, hidden = state["classifier.weight"].shape
        if (embedding, classes, -(-hidden // 16) % 2) != (_EMBEDDING, _CLASSES, 0):
            raise UnsuitableError(
                f"the limit expects embedding {_EMBEDDING}, {_CLASSES} classes and hidden "
                f"units in an even number of blocks of 16, got {embedding}, {classes} and {hidden}"
            )
        self._shapes = {name: state[name].shape for name in _WEIGHTS}
        # One library is one model, and a library is loaded once for each file.
        with tempfile.NamedTemporaryFile(prefix="cavs-limit-", suffix=".so") as file:
            file.write(_compiled(os.environ[VARIABLE], hidden))
            file.flush()
            self._library = ctypes.CDLL(file.name)
        self._library.limit_train.restype = ctypes.c_double
        self._library.limit_descend.restype = ctypes.c_double
        self._library.limit_start(words, threads, ctypes.c_float(recipe.lr))
        self.close = weakref.finalize(self, self._library.limit_stop)
        self._write(np.concatenate([state[name].reshape(-1) for name in _WEIGHTS]))
        self._batches: list[tuple[Array, int]] = []
        self._words = [np.unique(batch.inputs["word"]) for batch in batches]
        count = 0
        for batch in batches:
            numbers = np.arange(count, count + batch.num_graphs, dtype=np.int32)
            count += batch.num_graphs
            self._batches.append((numbers, batch.num_graphs))
            self._add(batch)

    def _add(self, batch: PeerBatch) -> None:
        """Hands the batch's trees over."""
        arity = np.diff(batch.child_ptr)
        first = np.repeat(batch.ptr[:-1], np.diff(batch.ptr))
        word, label = batch.inputs["word"], batch.inputs["label"]
        inner = arity == 2
        sides = np.full((2, len(word)), -1, np.int32)
        if ((arity != 0) & ~inner).any() or (inner == (word >= 0)).any() or (label < 0).any():
            raise UnsuitableError(
                "the limit expects binary trees with words on leaves alone and all labels"
            )
        for side in (0, 1):
            children = batch.children[batch.child_ptr[:-1][inner] + side]
            if (children >= np.flatnonzero(inner)).any():
                raise UnsuitableError("the limit expects children before their parents")
            sides[side, inner] = children - first[inner]
        for begin, end in zip(batch.ptr[:-1], batch.ptr[1:], strict=True):
            parts = (word[begin:end], *sides[:, begin:end], label[begin:end])
            arrays = [np.ascontiguousarray(part, np.int32) for part in parts]
            self._library.limit_add_tree(int(end - begin), *(_address(x) for x in arrays))

    def _batch(self, number: int) -> tuple[ctypes.c_void_p, int]:
        numbers, count = self._batches[number % len(self._batches)]
        return _address(numbers), count

    def _read(self) -> npt.NDArray[np.float32]:
        weights = np.empty(sum(int(np.prod(shape)) for shape in self._shapes.values()), np.float32)
        self._library.limit_read_weights(_address(weights))
        return weights

    def _write(self, weights: npt.NDArray[np.float32]) -> None:
        self._library.limit_write_weights(_address(np.ascontiguousarray(weights, np.float32)))

    def train_step(self, number: int) -> float:
        trees, count = self._batch(number)
        self._library.limit_train(trees, count)
        return float(count)

    def infer_step(self, number: int) -> float:
        """Runs up to the greatest logit of every vertex; the loss with its logarithm is left
        out."""
        trees, count = self._batch(number)
        self._library.limit_infer(trees, count)
        return float(count)

    def loss(self, number: int) -> float:
        return float(self._library.limit_descend(*self._batch(number), ctypes.c_float(0.0)))

    def gradients(self, number: int) -> dict[str, npt.NDArray[np.float32]]:
        """The amount that a plain step of descent takes off the weights, which are then put
        back."""
        before = self._read()
        self._library.limit_descend(*self._batch(number), ctypes.c_float(_SCALE))
        change = (before - self._read()) / np.float32(_SCALE)
        self._write(before)
        ends = np.cumsum([np.prod(shape) for shape in self._shapes.values()])[:-1]
        parts = zip(self._shapes.items(), np.split(change, ends), strict=True)
        found = {name: part.reshape(shape) for (name, shape), part in parts}
        words = self._words[number % len(self._words)]
        found["embedding.weight"] = found["embedding.weight"][words[words >= 0]]
        return found


def _address(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
