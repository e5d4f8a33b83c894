"""The examples run, and learn something."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_seq2seq_learns_to_write_backwards() -> None:
    shares = run("seq2seq.py", "--strings", "3000", "--epochs", "3")
    assert len(shares) == 3
    assert shares[-1] > 70


def test_own_model_is_trained_as_docs_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that docs/training.md shows, its commands smaller."""
    docs = (EXAMPLES.parent / "docs" / "training.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", docs, re.S | re.M)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "training.md", "exec"), {})
    assert (tmp_path / "runs" / "a" / "best.safetensors").exists()
    commands = "".join(re.findall(r"^```sh\n(.*?)^```", docs, re.S | re.M)).splitlines()
    assert len(commands) == 4
    (tmp_path / "examples").symlink_to(EXAMPLES)
    small = ["--num-train", "40", "--max-depth", "3", "--hidden-size", "6", "--epochs", "3"]
    for command in commands:
        said, _, command = command.rpartition(" | ")
        program, *arguments = shlex.split(command)
        assert program == "cavs"
        more = small if "--output" in arguments else []
        done = subprocess.run(
            [sys.executable, "-m", "cavs", *arguments, *more],
            input="".join(f"{word}\n" for word in shlex.split(said)[1:]),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
