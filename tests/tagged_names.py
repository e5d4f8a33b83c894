"""Sentences in which names end in -son, and a tagger that the command line trained on them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from cavs.cli import main

__all__ = ["OTHERS", "SIZES", "SMALL", "STEMS", "predict", "write_tags"]

# Names end in -son, as no other word does: a name that training has not is known by its characters.
STEMS = [a + b for a in ("Jan", "Ola", "Bir", "Mag", "Tor", "Sig") for b in ("", "a", "di", "ne")]
OTHERS = ["it", "rains", "and", "then", "snows", "here"]
SIZES = ["--embedding-size", "8", "--hidden-size", "8", "--character-size", "6"]
SMALL = [*SIZES, "--character-hidden-size", "6", "--batch-size", "4", "--lr", "0.02", "--quiet"]


def sentences(stems: list[str], end: str) -> str:
    lines = []
    for number, stem in enumerate(stems):
        words = [OTHERS[(number + k) % len(OTHERS)] for k in range(3)]
        rare = f"{stem}{'ing' if number % 3 == 0 else end}"
        tag = "O" if number % 3 == 0 else "I-PER"
        lines.append(f"{words[0]}|O {words[1]}|O {rare}|{tag} {words[2]}|O")
    return "\n".join(lines) + "\n"


def write_tags(folder: Path) -> Path:
    """Writes the three files."""
    (folder / "train.txt").write_text(sentences(STEMS[:16] * 2, "son"))
    (folder / "dev.txt").write_text(sentences(STEMS[16:20], "son"))
    (folder / "test.txt").write_text(sentences(STEMS[20:], "son") + "it|O rains|O\n")
    return folder


def predict(
    monkeypatch: pytest.MonkeyPatch, run: Path, text: str, *options: str, code: int = 0
) -> None:
    """Runs the command on a text."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["predict", str(run / "best.safetensors"), *options]) == code
