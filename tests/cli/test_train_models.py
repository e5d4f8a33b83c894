"""``cavs train`` of each generative model, small; and what a user can do wrong."""

import json
import re
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from user_model_files import write_digits

from cavs.cli import main
from cavs.data import parse_listops
from cavs.training import load_checkpoint, save_checkpoint

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
FEW_TEMPERATURES = ["--dev-temperatures", "5", "--test-temperatures", "9", "--test-chains", "3"]


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("vae", [*FEW, "--with-dev"], "-log p"),
        ("iwae", [*FEW, "--samples", "2", "--dropout", "0.1", "--average", "2"], "-log p"),
        ("vae", [*FEW, "--stochastic-layers", "2", "--share", "0.5"], "-log p"),
        ("sbn", [*FEW[:6], "--estimator", "wake-sleep"], "-log p"),
        (
            "sbn",
            [*FEW[:6], "--layers", "2", "--estimator", "reweighted-wake-sleep"],
            "-log p",
        ),
        ("rbm", [*FEW_TEMPERATURES, "--k", "2"], "log Z"),
        ("rbm", [*FEW_TEMPERATURES, "--persistent", "--chains", "7"], "log Z"),
        ("nade", ["--orders", "many", "--test-orders", "2"], "-log p"),
        ("made", ["--num-masks", "2", "--num-layers", "2"], "-log p"),
        ("flow", ["--num-layers", "2"], "bits a pixel"),
        ("pixelcnn", ["--channels", "2", "--num-layers", "1", "--kernel-size", "5"], "-log p"),
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
    if model == "flow":
        data[model] = ["--data", str(write_digits(tmp_path / "digits.csv", 40))]
    given = [*data.get(model, ["--data", images]), *options]
    output = tmp_path / "run"
    few = [x for x in SMALL if model != "pixelcnn" or x not in ("--hidden-size", "8")]
    assert main(["train", model, *few, *given, "--output", str(output)]) == 0
    assert says in capsys.readouterr().out
    last = str(output / "last.safetensors")
    assert main(["train", model, "--resume", last, "--epochs", "2", "--quiet"]) == 0
    capsys.readouterr()
    best = str(output / "best.safetensors")
    # The same samples judge a model in training and after it.
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for split, expected in (("test", scores["test"]), ("dev", scores["best"]["dev"])):
        assert main(["evaluate", best, "--split", split, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == expected
    assert main(["evaluate", best]) == 0
    assert says in capsys.readouterr().out
    assert main(["evaluate", best, "--split", "dev", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 2
    assert main(["evaluate", best, "--split", "train"]) == 1
    elsewhere = ["--data", str(tmp_path / "none")]
    assert main(["evaluate", best, *elsewhere]) == 1
    capsys.readouterr()
    assert main(["sample", best, "--output", str(tmp_path / "made.jpeg")]) == 1
    said = capsys.readouterr().err
    draws = model not in ("lm", "sentence-vae", "tree-vae")
    suffix = ".png" if draws else ".txt"
    assert "a file that ends in" in said
    assert suffix in said
    made = tmp_path / f"made{suffix}"
    sample = ["sample", best, "-n", "3", "--output", str(made)]
    if draws and find_spec("matplotlib") is None:
        assert main(sample) == 1
        assert "pip install 'cavs-nn[viz]'" in capsys.readouterr().err
        return
    assert main(sample) == 0
    assert made.stat().st_size > 0


def test_test_images_and_samples_are_chosen_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], images: str
) -> None:
    given = [*SMALL, "--data", images, *FEW]
    assert main(["train", "vae", *given, "--output", str(tmp_path)]) == 0
    evaluate = ["evaluate", str(tmp_path / "best.safetensors"), "--json"]
    scores = []
    for options in ([], ["5", "10"], ["10", "10"], ["5", "20"]):
        flags = zip(("--test-images", "--test-samples"), options, strict=False)
        capsys.readouterr()
        assert main([*evaluate, *(word for flag in flags for word in flag)]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]
    assert scores[0] != scores[3]
    assert main([*evaluate, "--test-samples", "5", "--split", "dev"]) == 1
    assert capsys.readouterr().err == (
        "cavs: [evaluate] expected --test-samples with --split test only, got dev; leave one out\n"
    )


def test_trees_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--num-train", "300", "--max-depth", "2", "--epochs", "3", "--latent-size", "2"]
    assert main(["train", "tree-vae", *options, "--quiet", "--output", str(tmp_path)]) == 0
    sample = ["sample", str(tmp_path / "best.safetensors"), "-n", "60"]
    capsys.readouterr()
    assert main(sample) == 0
    lines = capsys.readouterr().out.splitlines()
    trees = [parse_listops(line) for line in lines if line != "(not complete)"]
    assert len(trees) > 1
    title = f"{len(trees)} of 60 complete"
    for suffix in (".svg", ".dot"):
        made = tmp_path / f"made{suffix}"
        assert main([*sample, "--output", str(made)]) == 0
        text = made.read_text()
        assert title in text
        if suffix == ".svg":
            boxes = ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")
            shown = [box.text for box in boxes if box.text != title]
        else:
            shown = re.findall(r'^  t\d+v\d+ \[.*label="(.*)"\]', text, re.MULTILINE)
            assert text.count("->") == sum(tree.num_vertices - 1 for tree in trees)
        assert sorted(shown) == sorted(str(word) for tree in trees for word in tree.tokens)


def test_a_run_begins_with_the_parameters_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], images: str
) -> None:
    given = [*SMALL, "--data", images, *FEW]
    assert main(["train", "vae", *given, "--output", str(tmp_path / "vae")]) == 0
    best = str(tmp_path / "vae" / "best.safetensors")
    # So small a step that nothing moves.
    second = [*given, "--samples", "2", "--lr", "1e-30", "--init", best]
    assert main(["train", "iwae", *second, "--output", str(tmp_path / "iwae")]) == 0
    vae, iwae = (load_checkpoint(tmp_path / n / "best.safetensors") for n in ("vae", "iwae"))
    for name, values in vae.parameters.items():
        np.testing.assert_array_equal(iwae.parameters[name], values)
    capsys.readouterr()
    for arguments, message in (
        (["vae", *given, "--hidden-size", "9", "--init", best], "name a checkpoint of this model"),
        (["vae", *given, "--init", best, "--resume", best], "expected --init or --resume"),
        (["vae", *given, "--init", str(tmp_path / "none")], "got no such file"),
    ):
        assert main(["train", *arguments, "--output", str(tmp_path / "other")]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_words_of_another_vocabulary_are_not_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    other = tmp_path / "text"
    other.mkdir()
    for name in ("train", "valid", "test"):
        (other / f"{name}.txt").write_text("x y z\n" * 10)
    given = ["--batch-size", "2", "--num-layers", "1"]
    assert (
        main(["train", "lm", *SMALL, *given, "--data", text, "--output", str(tmp_path / "a")]) == 0
    )
    init = ["--init", str(tmp_path / "a" / "best.safetensors")]
    assert main(["train", "lm", *SMALL, *given, "--data", str(other), *init]) == 1
    assert "expected the vocabulary of the data to train on" in capsys.readouterr().err


def test_what_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], images: str
) -> None:
    assert main(["train", "vae"]) == 1
    assert "[train] expected --data, got none" in capsys.readouterr().err
    assert main(["train", "iwae", "--data", images, "--samples", "0"]) == 2
    assert "expected an integer of at least 1, got '0'" in capsys.readouterr().err
    odd = tmp_path / "odd.npz"
    packed = np.packbits(np.zeros((4, 100), np.uint8), axis=1)
    np.savez(odd, train=packed, valid=packed, test=packed)
    for arguments, message in (
        (
            ["vae", "--data", str(odd)],
            "expected train as uint8 (images, 98), 784 pixels in bits,",
        ),
        (["vae", "--data", str(tmp_path / "none.npz")], "got no such file"),
        (["lm", "--data", str(tmp_path / "none")], "train.txt, valid.txt and test.txt"),
        (
            ["sbn", "--data", images, "--estimator", "vimco", "--samples", "1"],
            "expected 2 samples or more for vimco",
        ),
        (["sbn", "--data", images, "--q-update", "wake"], "--estimator reweighted-wake-sleep only"),
        (["vae", "--data", images, "--share", "0.001"], "expected a share of 1 image or more"),
        (["tree-lstm", "--data", str(tmp_path), "--num-train", "5"], "it is about ListOps"),
    ):
        assert main(["train", *arguments]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


RUNS: dict[str, list[str]] = {
    "tree-lstm": ["--num-train", "50", "--max-depth", "3", "--embedding-size", "4"],
    "nary-tree-lstm": ["--num-train", "50", "--max-depth", "3", "--embedding-size", "4"],
    "lm": ["--batch-size", "4", "--length", "5", "--num-layers", "1"],
    "parser": ["--embedding-size", "4"],
    "tagger": ["--embedding-size", "4"],
}


@pytest.mark.parametrize("model", RUNS)
def test_dropout_of_embeddings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, model: str
) -> None:
    """By default of a tree classifier none, and else as `--dropout` says: the published recipes."""
    data = []
    if model == "lm":
        data = ["--data", text]
    if model == "parser":
        for name in ("train", "dev", "test"):
            (tmp_path / f"{name}.txt").write_text("(1 (1 a) (1 (1 b) (1 a)))\n" * 3)
        data = ["--data", str(tmp_path)]
    if model == "tagger":
        (tmp_path / "tags").write_text("".join(f"a|X b{i}|Y\n" for i in range(9)))
        data = ["--data", str(tmp_path / "tags")]

    def train(*options: str) -> list[object]:
        output = str(tmp_path / "-".join(options))
        given = [*SMALL, *data, *RUNS[model], *options]
        assert main(["train", model, *given, "--output", output]) == 0
        kept = load_checkpoint(Path(output, "last.safetensors")).config
        return [kept[k] for k in ("dropout", "embedding_dropout", "embedding_dropout_by")]

    follows = model in ("lm", "parser", "tagger")
    default = {"parser": 0.3, "tagger": 0.5}.get(model, 0.0)
    assert train() == [default, default if follows else 0.0, "vertex"]
    assert train("--dropout", "0.2") == [0.2, 0.2 if follows else 0.0, "vertex"]
    by_id = ["--embedding-dropout", "0.4", "--embedding-dropout-by", "id"]
    assert train("--dropout", "0.2", *by_id) == [0.2, 0.4, "id"]
    last = str(tmp_path / "-".join(["--dropout", "0.2", *by_id]) / "last.safetensors")
    for name, value, said in (
        ("--embedding-dropout", "0.3", "embedding_dropout 0.4, as the run began"),
        ("--embedding-dropout-by", "vertex", "embedding_dropout_by 'id', as the run began"),
    ):
        capsys.readouterr()
        assert main(["train", model, "--resume", last, name, value]) == 1
        assert said in capsys.readouterr().err
    assert main(["train", model, "--resume", last, *by_id, "--epochs", "2", "--quiet"]) == 0


def test_a_run_from_before_is_resumed_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It dropped words as what the classifier sees, and says so where it is asked for otherwise."""
    given = [*SMALL, *RUNS["tree-lstm"], "--dropout", "0.2", "--embedding-dropout", "0.2"]
    assert main(["train", "tree-lstm", *given, "--output", str(tmp_path)]) == 0
    last = tmp_path / "last.safetensors"
    checkpoint = load_checkpoint(last)
    for name in ("embedding_dropout", "embedding_dropout_by"):
        del checkpoint.config[name]
    save_checkpoint(last, checkpoint)
    capsys.readouterr()
    resume = ["train", "tree-lstm", "--resume", str(last), "--epochs", "2", "--quiet"]
    assert main([*resume, "--embedding-dropout", "0"]) == 1
    assert "expected embedding_dropout 0.2, as the run began," in capsys.readouterr().err
    assert main(resume) == 0
    assert load_checkpoint(last).config["embedding_dropout"] == 0.2


@pytest.mark.parametrize("model", RUNS)
@pytest.mark.parametrize(
    "wrong", [["--embedding-dropout", "1"], ["--embedding-dropout-by", "word"]]
)
def test_wrong_dropout_of_embeddings_is_refused(
    capsys: pytest.CaptureFixture[str], model: str, wrong: list[str]
) -> None:
    assert main(["train", model, *wrong]) == 2
    assert f"argument {wrong[0]}" in capsys.readouterr().err
