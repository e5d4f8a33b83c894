"""Small settings of each model for commands, and other values of their options."""

import re
from pathlib import Path
from typing import Any

import pytest

from cavs.cli import main
from cavs.training.options import Choice, Flag, Integer, Option

__all__ = [
    "MODEL_CASES",
    "TREES",
    "WORDS",
    "check_refusal",
    "other_value",
    "run",
    "settings_of",
    "words_of",
]

TREES = {"num_train": 30, "max_depth": 3}
WORDS = {"embedding_size": 4, "hidden_size": 5}
LATENT = {**WORDS, "latent_size": 3}
IMAGES = {"hidden_size": 4, "dev_samples": 3, "test_samples": 10, "test_images": 5}
TEMPERATURES = {"dev_temperatures": 5, "test_temperatures": 10, "test_chains": 3}
BOLTZMANN = {"hidden_size": 4, **TEMPERATURES}
# Maps each model to its data and to small sizes.
MODEL_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **dict.fromkeys(("tree-lstm", "nary-tree-lstm", "tree-gru"), ("", {**TREES, **WORDS})),
    "tree-fc": ("trees", WORDS),
    **dict.fromkeys(("vae", "iwae"), ("digits.npz", {**IMAGES, "latent_size": 3})),
    "sbn": ("digits.npz", IMAGES),
    "rbm": ("digits.npz", BOLTZMANN),
    "dbn": ("digits.npz", {**TEMPERATURES, "hidden_sizes": "4", "top_size": 3}),
    "dbm": ("digits.npz", {**BOLTZMANN, "top_size": 3}),
    "nade": ("digits.npz", {"hidden_size": 4}),
    "made": ("digits.npz", {"hidden_size": 4, "num_masks": 2}),
    "pixelcnn": ("digits.npz", {"channels": 2, "num_layers": 1}),
    "classifier": ("labelled", {"hidden_sizes": "4", "batch_size": 8}),
    "autoencoder": ("digits.npz", {"code_size": 3, "hidden_sizes": "6,4"}),
    "flow": ("digits.csv", {"num_layers": 1, "batch_size": 10}),
    "lm": ("text", {"hidden_size": 5, "length": 4, "batch_size": 4}),
    "transformer-xl": (
        "text",
        {
            "size": 4,
            "num_layers": 1,
            "num_heads": 1,
            "inner_size": 5,
            "length": 4,
            "memory": 4,
            "batch_size": 4,
        },
    ),
    "sentence-vae": ("text", LATENT),
    "tree-vae": ("", {**TREES, **LATENT}),
    "parser": ("trees", {**WORDS, "min_count": 1}),
    "tagger": ("tags", {**WORDS, "character_size": 3, "character_hidden_size": 4}),
    "seq2seq": ("text", WORDS),
    "lattice-lstm": ("lattices", WORDS),
}


def settings_of(model: str, data: Path) -> dict[str, Any]:
    name, sizes = MODEL_CASES[model]
    return {**({"data": str(data / name)} if name else {}), **sizes}


def words_of(settings: dict[str, Any]) -> list[str]:
    """Settings as arguments of a command."""
    words = []
    for name, value in settings.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(str(value))
    return words


def run(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str]:
    """The exit code of a command, and what it prints: its result, or its error."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out if code == 0 else err


def check_refusal(said: str, flag: str) -> None:
    """Checks the form of the error of an option that a command does not take."""
    assert re.fullmatch(rf"cavs: \[\w+\] [^\n]*expected [^\n]*{flag}[^\n]*, got [^\n]*; .*\n", said)


def other_value(option: Option, value: Any) -> Any:
    """A value of an option other than `value`."""
    if isinstance(option.kind, Integer):
        return (value or option.kind.least) + (2 if option.kind.odd else 1)
    if isinstance(option.kind, Choice):
        return next(choice for choice in option.kind.values if choice != value)
    if isinstance(value, list):  # sizes, which are text on the command line
        return ",".join(str(size + 1) for size in value)
    return True if isinstance(option.kind, Flag) else (value or 0.5) / 2
