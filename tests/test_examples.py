"""The examples run, and learn something."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(name: str, *arguments: str) -> list[float]:
    """The last number of each line that an example prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [float(re.findall(r"[\d.]+", line)[-1]) for line in done.stdout.splitlines()]


def test_tree_classifier_learns() -> None:
    accuracies = run("tree_classifier.py", "--trees", "600", "--epochs", "2")
    assert len(accuracies) == 2
    assert accuracies[-1] > 30


def test_language_model_learns(data_dir: Path) -> None:
    arguments = ("--sentences", "200", "--hidden-size", "16", "--epochs", "2")
    perplexities = run("language_model.py", "--data", str(data_dir / "ptb"), *arguments)
    assert perplexities == sorted(perplexities, reverse=True)


def test_lattice_tagger_learns(data_dir: Path) -> None:
    arguments = ("--hidden-size", "16", "--epochs", "1")
    (accuracy,) = run("lattice_tagger.py", "--data", str(data_dir / "lattice"), *arguments)
    assert accuracy > 80
