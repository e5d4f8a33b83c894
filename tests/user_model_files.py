"""Files of users' models, small data for them, and commands that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import write_labelled

from cavs.cli import main

__all__ = [
    "CLASS",
    "FEW",
    "HEAD",
    "LATTICE",
    "LATTICES",
    "SMALL",
    "TREES",
    "WHOLE",
    "WORDS",
    "changed",
    "run",
    "write_digits",
    "write_small_data",
]

SMALL = ["--epochs", "1", "--hidden-size", "6", "--quiet"]
WORDS = [*SMALL, "--embedding-size", "4"]
FEW = ["--dev-samples", "3", "--test-samples", "10", "--test-images", "5", "--latent-size", "3"]
TREES = ["--num-train", "40", "--max-depth", "3"]

# A lattice of three characters: the first two are a word, and a span, of tags 2 and 3.
LATTICE = "4\n0 2 3 1\n0\n1 0 2\n2 1 0 0 1\n1 2 1\n"
# Thirty-two of two kinds.
LATTICES = "32\n" + (LATTICE + "5\n0 1 1 1 1\n0\n1 0 1\n1 1 1\n1 2 3\n2 3 0 1 2\n") * 16

# A file with a class A for the task `trees`.
HEAD = "import cavs\nfrom cavs import nn, ops\n\n"
INIT = (
    "    def __init__(self, vocab_size, embedding_size, hidden_size, num_classes, dropout,\n"
    "                 embedding_dropout, embedding_dropout_by):\n"
)
BODY = (
    "        self.words = nn.Embedding(vocab_size, num_classes)\n\n"
    "    def forward(self, v):\n"
    "        x = self.words(v.pull('word', dtype='int32'))\n"
    "        loss = ops.cross_entropy(x, v.pull('label', dtype='int32'))\n"
    "        v.push(logits=x, loss=loss)\n"
)
CLASS = "class A(cavs.VertexFunction):\n"
WHOLE = HEAD + CLASS + INIT + BODY


def changed(old: str, new: str) -> str:
    """The file with a change."""
    assert old in WHOLE
    return WHOLE.replace(old, new)


def write_small_data(folder: Path) -> Path:
    """Writes ``text``, ``trees``, ``tags``, ``lattices``, ``labelled``, ``digits.npz`` and
    ``digits.csv``, data for each task that needs some."""
    for name in ("text", "trees", "tags", "lattices"):
        (folder / name).mkdir()
    for name in ("train", "dev"):
        (folder / "lattices" / f"{name}.txt").write_text(LATTICES)
    for name in ("train", "valid", "test"):
        (folder / "text" / f"{name}.txt").write_text("a b c\nb a\nc b a c\n" * 10)
    for name in ("train", "dev", "test"):
        text = "(3 (2 so) (4 (2 very) (3 good)))\n(1 (1 very) (1 bad))\n" * 4
        (folder / "trees" / f"{name}.txt").write_text(text + "(2 (2 once) (2 so))\n")
        tagged = [f"so|O is|O Ann{i}|I-PER\nvery|O bad{i % 3}|O\n" for i in range(6)]
        (folder / "tags" / f"{name}.txt").write_text("".join(tagged))
    rng = np.random.default_rng(0)
    bits = {name: rng.integers(0, 2, (20, 784)) for name in ("train", "valid", "test")}
    packed = {name: np.packbits(x.astype(np.uint8), axis=1) for name, x in bits.items()}
    np.savez(folder / "digits.npz", **packed)
    write_digits(folder / "digits.csv", 40)
    write_labelled(folder / "labelled", 3, 36, 6)
    return folder


def write_digits(path: Path, count: int) -> Path:
    """A file as those of the digits of scikit-learn, of noise."""
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.integers(0, 17, (count, 64)), np.arange(count)[:, None] % 10], 1)
    path.write_text("\n".join(",".join(map(str, row)) for row in rows))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 0) -> str:
    """What a command prints; its one line of error where it fails."""
    capsys.readouterr()
    got = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert got == code, err
    if code:
        assert err.count("\n") == 1, err
        assert err.startswith("cavs: ["), err
        assert "; " in err
        return err
    return out


#: A classifier whose embedding has the name NAME and the size SIZE.
EMBEDDING_MODEL = """
import cavs
from cavs import nn, ops


class A(cavs.VertexFunction):
    def __init__(self, vocab_size, num_classes, embedding_size, **given):
        self.NAME = nn.Embedding(vocab_size, SIZE)
        self.out = nn.Linear(SIZE, num_classes)

    def forward(self, v):
        logits = self.out(self.NAME(v.pull("word", dtype="int32")))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
"""

#: A parser, each function of which has an embedding of its own.
PARSER_WITH_EMBEDDINGS = """
from cavs import models, nn


class A(models.ShiftReduceParser):
    def __init__(self, vocab_size, embedding_size, hidden_size, **given):
        super().__init__(vocab_size, embedding_size, hidden_size)
        self.functions()["buffer"].embedding = nn.Embedding(vocab_size, embedding_size)
"""

#: A sentence VAE whose embeddings have another name.
SENTENCES_OF_WORDS = """
import cavs
from cavs import nn, ops


class Encoder(cavs.VertexFunction):
    def __init__(self, vocab_size, hidden_size):
        self.words = nn.Embedding(vocab_size, hidden_size)

    def forward(self, v):
        v.push(h=self.words(v.pull("word", dtype="int32")))


class Decoder(cavs.VertexFunction):
    def __init__(self, vocab_size, latent_size):
        self.words = nn.Embedding(vocab_size, vocab_size)
        self.w, self.latent_size = nn.Linear(latent_size, vocab_size), latent_size

    def forward(self, v):
        z = v.pull_graph("z", self.latent_size)
        logits = self.words(v.pull("word", dtype="int32")) + self.w(z)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


class A(cavs.VertexProgram):
    def __init__(self, vocab_size, embedding_size, hidden_size, latent_size):
        decoder = Decoder(vocab_size, latent_size)
        super().__init__({"encoder": Encoder(vocab_size, hidden_size), "decoder": decoder})
        self.latent_size, self.posterior = latent_size, nn.Linear(hidden_size, 2 * latent_size)
"""
