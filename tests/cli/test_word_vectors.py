"""Word vectors on the command line: begun with, kept in checkpoints, and written."""

import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from option_settings import check_refusal, run

from cavs.data import load_vectors
from cavs.training import load_checkpoint

DOCS = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def test_a_run_with_vectors_is_resumed_judged_and_predicts_without_them(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vectors.txt").write_text("3 2\nso 1 2\nvery 3 4\nelse 5 6\n")
    given = ["--vectors", "vectors.txt", "--freeze-embedding"]
    words = ["--data", data / "trees", "--hidden-size", 4, "--epochs", 1, "--output", "run"]
    code, said = run(capsys, "train", "tree-lstm", *words, *given)
    assert code == 0, said
    assert "\nvectors.txt has vectors of 2 of 6 words of trees\n" in said
    Path("vectors.txt").unlink()
    last, best = Path("run/last.safetensors"), Path("run/best.safetensors")
    for more in ([], given):
        epochs = 2 + len(more)
        code, said = run(capsys, "train", "tree-lstm", "--resume", last, "--epochs", epochs, *more)
        assert code == 0, said
    checkpoint = load_checkpoint(best)
    assert checkpoint.vocabulary is not None
    so = checkpoint.parameters["embedding.weight"][checkpoint.vocabulary["so"]]
    assert so.tolist() == [1, 2]
    code, said = run(capsys, "evaluate", best)
    assert code == 0, said
    tree = io.TextIOWrapper(io.BytesIO(b"(-1 (-1 so) (-1 so))\n"))
    monkeypatch.setattr("sys.stdin", tree)
    code, said = run(capsys, "predict", best)
    assert code == 0, said
    assert re.fullmatch(r"[0-4]\n", said)
    for changed, flag in (
        (["--vectors", "others.txt"], "vectors"),
        (["--embedding-lr", 0.5], "embedding_lr"),
    ):
        code, said = run(capsys, "train", "tree-lstm", "--resume", last, *changed)
        assert code == 1
        check_refusal(said, flag)


@pytest.mark.parametrize("model", ["parser", "tagger", "lm", "sentence-vae", "seq2seq"])
def test_runs_of_other_models_with_vectors_go_on_and_are_used_without_the_file(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    tmp_path: Path,
    model: str,
) -> None:
    """Also repeated from their metrics, with the file."""
    monkeypatch.chdir(tmp_path)
    kinds = {"parser": ("trees", "so"), "tagger": ("tags", "so")}
    kind, word = kinds.get(model, ("text", "b"))
    Path("vectors.txt").write_text(f"2 2\n{word} 1 2\nelse 5 6\n")
    given = ["--vectors", "vectors.txt", "--freeze-embedding"]
    more = ["--length", 4, "--batch-size", 4] if model == "lm" else []
    words = ["--data", data / kind, "--hidden-size", 4, "--epochs", 1, *more]
    code, said = run(capsys, "train", model, *words, *given, "--output", "run")
    assert code == 0, said
    assert re.search(rf"\nvectors\.txt has vectors of 1 of \d+ words of {kind}\n", said)
    again = ["--config", "run/metrics.json", "--output", "again", "--quiet"]
    code, said = run(capsys, "train", model, *again)
    assert code == 0, said
    first, second = (load_checkpoint(f"{name}/best.safetensors") for name in ("run", "again"))
    for name, array in first.parameters.items():
        np.testing.assert_array_equal(array, second.parameters[name])
    Path("vectors.txt").unlink()
    last, best = Path("run/last.safetensors"), Path("run/best.safetensors")
    for epochs, options in ((2, []), (3, [*given, "--embedding-size", 2])):
        if model != "lm" and options:
            options = given
        code, said = run(capsys, "train", model, "--resume", last, "--epochs", epochs, *options)
        assert code == 0, said
    for changed, flag in (
        (["--vectors", "others.txt"], "vectors"),
        (["--embedding-size", 3], "embedding_size"),
        (["--embedding-lr", 0.5], "embedding_lr"),
    ):
        code, said = run(capsys, "train", model, "--resume", last, *changed)
        assert code == 1
        check_refusal(said, flag)
    (name,) = (n for n in first.parameters if n.endswith("embedding.weight"))
    checkpoint = load_checkpoint(best)
    assert checkpoint.vocabulary is not None
    assert checkpoint.parameters[name][checkpoint.vocabulary[word]].tolist() == [1, 2]
    code, said = run(capsys, "evaluate", best)
    assert code == 0, said
    if model in ("parser", "tagger"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"so very so\n")))
        code, said = run(capsys, "predict", best)
    elif model == "seq2seq":
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"b a\n")))
        code, said = run(capsys, "predict", best)
    else:
        code, said = run(capsys, "sample", best, "--count", 2)
    assert code == 0, said


def test_a_bar_is_shown_while_vectors_are_read_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tags.txt").write_text("2 2\nso 1 2\nelse 5 6\n")
    Path("trees.txt").write_text("2 2\nso 1 2\nelse 5 6\n")
    Path("text.txt").write_text("2 2\nb 1 2\nelse 5 6\n")

    class Errors(io.StringIO):
        terminal = True

        def isatty(self) -> bool:
            return self.terminal

    class File(Errors):
        terminal = False

    for model, kind in (
        ("tree-lstm", "trees"),
        ("parser", "trees"),
        ("tagger", "tags"),
        ("lm", "text"),
        ("sentence-vae", "text"),
    ):
        words = ["--data", data / kind, "--vectors", f"{kind}.txt", "--epochs", 1, "--overwrite"]
        words = ["train", model, *words, "--hidden-size", 3, "--output", "run"]
        words += ["--batch-size", 4] if model == "lm" else []
        for errors, quiet in ((Errors(), []), (Errors(), ["--quiet"]), (File(), [])):
            with monkeypatch.context() as patch:
                patch.setattr("sys.stderr", errors)
                code, said = run(capsys, *words, *quiet)
            assert code == 0, said
            shown = errors.terminal and not quiet
            assert (" words/s" in errors.getvalue()) == shown, errors.getvalue()


def test_help_says_what_becomes_of_words_without_a_vector(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, said = run(capsys, "train", "tree-lstm", "--help")
    said = " ".join(said.split())
    assert code == 0
    assert "Words without a vector begin uniformly in -0.05..0.05, the unknown word as" in said


def test_the_page_on_word_vectors_runs(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    tmp_path: Path,
) -> None:
    """Each command, with small sizes, and the snippet between them."""
    _, docs = DOCS.read_text(encoding="utf-8").split("\n## Word vectors\n")
    monkeypatch.chdir(tmp_path)
    Path("ptb").symlink_to(data / "text")
    (tmp_path / "sst").mkdir()
    for name in ("train", "dev", "test"):
        Path(f"sst/{name}.txt").write_text("(3 (2 a) (4 (2 b) (3 d)))\n(1 (1 b) (1 a))\n" * 3)
    Path("glove.840B.300d.txt").write_text("a 1 2 3\nb 4 5 6\n")
    small = {"lm": ["--hidden-size", 4, "--length", 4, "--batch-size", 4]}
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", docs, re.S | re.M)
    assert [kind for kind, _ in blocks] == ["sh", "sh", "python", "sh"]
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, DOCS.name, "exec"), {"__name__": "page"})
            continue
        for command in block.splitlines():
            program, *words = shlex.split(command)
            assert program == "cavs"
            sizes = small.get(words[1], ["--hidden-size", 4])
            code, said = run(capsys, *words, *sizes, "--epochs", 1)
            assert code == 0, said
    lm = load_checkpoint("runs/lm/best.safetensors")
    assert lm.vocabulary is not None
    written = load_vectors("ptb.300d.txt", lm.vocabulary)
    assert written.found.all()
    np.testing.assert_array_equal(written.values, lm.parameters["embedding.weight"])
    assert "ptb.300d.txt has vectors of 2 of 4 words of sst" in said  # a and b
