"""``cavs train`` of each generative model, small; and what a user can do wrong."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cavs.cli import main

SMALL = ["--epochs", "1", "--hidden-size", "8", "--quiet"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("images") / "digits.npz"
    rng = np.random.default_rng(0)
    splits = {name: rng.integers(0, 2, (n, 784)) for name, n in (("train", 60), ("valid", 10))}
    splits["test"] = splits["valid"]
    np.savez(path, **{k: np.packbits(x.astype(np.uint8), axis=1) for k, x in splits.items()})
    return str(path)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("text")
    for name in ("train", "valid", "test"):
        (folder / f"{name}.txt").write_text("a b c\nb a\nc b a c\n" * 10)
    return str(folder)


FEW = ["--dev-samples", "3", "--test-samples", "10", "--test-images", "5", "--latent-size", "3"]


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("vae", FEW, "-log p"),
        ("iwae", [*FEW, "--samples", "2"], "-log p"),
        ("sbn", [*FEW[:6], "--estimator", "wake-sleep"], "-log p"),
        ("lm", ["--batch-size", "4", "--length", "5", "--num-layers", "1"], "perplexity"),
        ("sentence-vae", ["--latent-size", "2", "--kl-steps", "3"], "perplexity below"),
        ("tree-vae", ["--num-train", "50", "--max-depth", "3", "--latent-size", "2"], "complete"),
    ],
)
def test_each_trains_goes_on_and_samples(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    images: str,
    text: str,
    model: str,
    options: list[str],
    says: str,
) -> None:
    data = {"lm": ["--data", text], "sentence-vae": ["--data", text], "tree-vae": []}
    given = [*data.get(model, ["--data", images]), *options]
    output = tmp_path / "run"
    assert main(["train", model, *SMALL, *given, "--output", str(output)]) == 0
    assert says in capsys.readouterr().out
    last = str(output / "last.safetensors")
    assert main(["train", model, "--resume", last, "--epochs", "2", "--quiet", *given[:2]]) == 0
    capsys.readouterr()
    best = str(output / "best.safetensors")
    assert main(["evaluate", best]) == 0
    assert says in capsys.readouterr().out
    assert main(["evaluate", best, "--split", "dev", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 2
    assert main(["evaluate", best, "--split", "train"]) == 1
    elsewhere = ["--data", str(tmp_path / "none")]
    assert main(["evaluate", best, *elsewhere]) == 1
    capsys.readouterr()
    sample = ["sample", best, "-n", "3", "--output", str(tmp_path / "made")]
    if given[:2] == ["--data", images] and find_spec("matplotlib") is None:
        assert main(sample) == 1
        assert "pip install 'cavs[viz]'" in capsys.readouterr().err
        return
    assert main(sample) == 0
    assert (tmp_path / "made").stat().st_size > 0


def test_what_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], images: str
) -> None:
    assert main(["train", "vae"]) == 2
    assert "--data" in capsys.readouterr().err
    assert main(["train", "iwae", "--data", images, "--samples", "0"]) == 2
    assert "an integer of at least 1 was expected, came '0'" in capsys.readouterr().err
    odd = tmp_path / "odd.npz"
    packed = np.packbits(np.zeros((4, 100), np.uint8), axis=1)
    np.savez(odd, train=packed, valid=packed, test=packed)
    for arguments, message in (
        (
            ["vae", "--data", str(odd)],
            "train as uint8 (images, 98), 784 pixels in bits, was expected",
        ),
        (["vae", "--data", str(tmp_path / "none.npz")], "there is no"),
        (["lm", "--data", str(tmp_path / "none")], "train.txt, valid.txt and test.txt"),
        (
            ["sbn", "--data", images, "--estimator", "vimco", "--samples", "1"],
            "2 samples or more were expected for vimco",
        ),
        (["tree-lstm", "--data", str(tmp_path), "--num-train", "5"], "it is about ListOps"),
    ):
        assert main(["train", *arguments]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
