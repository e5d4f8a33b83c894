"""Small trainings of every model that the command line has, over generated data."""

from __future__ import annotations

import atexit
import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cavs.data import TreeCorpus, listops_corpus
from cavs.errors import DataError
from cavs.training import (
    TrainingRun,
    UserModel,
    load_checkpoint,
    load_user_model,
    make_task,
    save_checkpoint,
)
from cavs.training.held import BEST, LAST
from cavs.training.tasks import expressions, trees

SMALL: dict[str, Any] = {"hidden_size": 4, "epochs": 3, "batch_size": 8}
WORDS: dict[str, Any] = {**SMALL, "embedding_size": 3}
LATENT: dict[str, Any] = {"latent_size": 2}
IMAGES: dict[str, Any] = {**SMALL, "dev_samples": 2, "test_samples": 4, "test_images": 3}
OWN = "own"  # the name of the model of a file
OWN_TEXT = """
from cavs.models import ChildSumTreeLSTM

class Own(ChildSumTreeLSTM):
    def __init__(self, *, depth=1, **given):
        super().__init__(**given)
        self.depth = depth
"""
TREEBANK = ("(3 (2 so) (4 (2 very) (3 good)))", "(1 (1 bad) (2 film))", "(0 (1 bad) (1 bad))")


class StopAfter:
    """Says stop when it is asked for the n-th time."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


@cache
def folder() -> Path:
    """A folder that is removed when the process ends."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def with_file(
    seed: int, name: str, content: bytes, check: Callable[[Path], str | None]
) -> str | None:
    """The fault that `check` finds in a file, with the place where the file is kept; None without
    fault."""
    trial = folder() / "trial"
    trial.mkdir()
    try:
        path = trial / name
        path.write_bytes(content)
        found = check(path)
    finally:
        shutil.rmtree(trial)
    if found is None:
        return None
    kept = Path(tempfile.gettempdir()) / f"fuzz-{seed}-{name}"
    kept.write_bytes(content)
    return f"{found}\nthe file: {kept}"


@cache
def digits() -> str:
    """A file of forty digits of 8 x 8 pixels in 17 greys."""
    path, numbers = folder() / "digits.csv", np.random.default_rng(0)
    lines = [[*numbers.integers(0, 17, 64), number % 10] for number in range(40)]
    path.write_text("\n".join(",".join(map(str, line)) for line in lines))
    return str(path)


@cache
def images() -> str:
    """A file with ten images in each split."""
    path = folder() / "images.npz"
    numbers = np.random.default_rng(0)
    packed = {
        name: np.packbits(numbers.integers(0, 2, (10, 784)).astype(np.uint8), axis=1)
        for name in ("train", "valid", "test")
    }
    np.savez_compressed(path, **packed)
    return str(path)


@cache
def text() -> str:
    """Sentences of a few words."""
    path = folder() / "text"
    path.mkdir()
    for name in ("train", "valid", "test"):
        (path / f"{name}.txt").write_text("a b c\nb a\nc b a c\n" * 6, encoding="utf-8")
    return str(path)


@cache
def tags() -> str:
    """Tagged sentences, with words that occur once."""
    path = folder() / "tags.txt"
    lines = [f"so|O is|O Ann{i}|I-PER\n" for i in range(12)]
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


@cache
def lattices() -> str:
    """A lattice of three characters with one word, several times."""
    path = folder() / "lattices"
    path.mkdir()
    one = "4\n0 1 2 0\n0\n1 0 0\n1 1 1\n2 2 2 1 0\n"
    for name in ("train", "dev"):
        (path / f"{name}.txt").write_text("6\n" + one * 6, encoding="utf-8")
    return str(path)


@cache
def treebank() -> str:
    """Binary trees with labels 0 to 4."""
    path = folder() / "treebank"
    path.mkdir()
    for name in ("train", "dev", "test"):
        (path / f"{name}.txt").write_text("\n".join(TREEBANK * 4), encoding="utf-8")
    return str(path)


@cache
def own_model() -> UserModel:
    """A model of a file."""
    path = folder() / "own.py"
    path.write_text(OWN_TEXT, encoding="utf-8")
    return load_user_model(f"{path}:Own", "trees", {"depth": "(1, 2)"})


def options(model: str) -> dict[str, Any]:
    """The options of a small training of a model."""
    if model in ("vae", "iwae"):
        return {**IMAGES, **LATENT, "data": images()}
    if model == "sbn":
        return {**IMAGES, "data": images()}
    if model in ("rbm", "dbn", "dbm"):
        few = {"dev_temperatures": 2, "test_temperatures": 3, "test_chains": 2}
        sizes: dict[str, Any] = {"persistent": True, "chains": 3}
        sizes |= {"hidden_sizes": "4"} if model == "dbn" else {"hidden_size": 4}
        sizes |= {"top_size": 3} if model != "rbm" else {}
        return {**few, **sizes, "epochs": SMALL["epochs"], "data": images()}
    if model == "classifier":
        return {"hidden_sizes": "4", "epochs": SMALL["epochs"], "data": digits()}
    if model in ("nade", "made"):
        return {**SMALL, "data": images()}
    if model == "pixelcnn":
        sizes = {"channels": 2, "num_layers": 1, "batch_size": 8}
        return {**sizes, "epochs": SMALL["epochs"], "data": images()}
    if model == "autoencoder":
        sizes = {"hidden_sizes": "4", "code_size": 3}
        return {**sizes, "epochs": SMALL["epochs"], "batch_size": 8, "data": images()}
    if model == "flow":
        return {**SMALL, "num_layers": 2, "data": digits()}
    if model == "lm":
        return {**SMALL, "num_layers": 1, "length": 5, "data": text()}
    if model == "transformer-xl":
        sizes = {"size": 4, "num_layers": 1, "num_heads": 2, "inner_size": 5, "memory": 3}
        return {**sizes, "epochs": SMALL["epochs"], "length": 5, "data": text()}
    if model == "seq2seq":
        return {**WORDS, "data": text()}
    if model == "lattice-lstm":
        return {**WORDS, "data": lattices()}
    if model == "sentence-vae":
        return {**WORDS, **LATENT, "data": text()}
    if model == "tree-vae":
        return {**WORDS, **LATENT, "num_train": 20, "max_depth": 3}
    if model == "tagger":
        return {**WORDS, "data": tags()}
    if model in ("parser", "tree-fc"):
        return {**WORDS, "data": treebank()}
    return {**WORDS, "num_train": 20, "max_depth": 3}


@cache
def few_expressions(num_train: int, max_depth: int, seed: int) -> TreeCorpus:
    """ListOps with few expressions to judge by. It refuses to make many: a damaged file could ask
    for any number of them."""
    if num_train > 1000:
        raise DataError("[data] expected few expressions, got many")
    return listops_corpus(num_train, 5, 5, max_depth=max_depth, seed=seed)


def use_few_expressions() -> None:
    """Makes tasks of this process small."""
    for module in (trees, expressions):
        module.listops_corpus = few_expressions  # type: ignore[attr-defined, assignment]


def canonical(content: bytes) -> bytes:
    """A safetensors file with its header in a fixed order: the library writes another order each
    time, and a seed must give the same bytes again."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _without_chance(path: Path) -> None:
    """A checkpoint as another run of the same seed would write it."""
    checkpoint = load_checkpoint(path)
    training = checkpoint.training
    training["run"] = "0" * 16
    progress = training.get("progress", {})
    for row in (*progress.get("history", ()), progress.get("best"), training.get("best"), progress):
        if row:
            row.update({name: 1.0 for name in ("seconds", "graphs_per_second") if name in row})
    save_checkpoint(path, checkpoint)
    path.write_bytes(canonical(path.read_bytes()))


@cache
def trained(model: str) -> Path:
    """A folder with a run that was left within its second epoch."""
    use_few_expressions()
    given = {**options(model), "optimizer": "adam"}
    task, config = make_task(own_model() if model == OWN else model, given)
    run = TrainingRun.start(folder() / f"run-{model}", task, config)

    def within_the_second_epoch() -> bool:
        return run.trainer.epoch == 1 and run.trainer.batch == 1

    run.fit(should_stop=within_the_second_epoch)
    for name in (LAST, BEST):
        _without_chance(run.directory / name)
    return run.directory
