"""Models of users' files in every command: trained, gone on with, judged and used."""

import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from user_model_files import FEW, SMALL, TREES, WHOLE, WORDS, run, write_small_data

from cavs.cli import train
from cavs.training import TrainingRun, load_checkpoint, load_user_model, make_task
from cavs.training.tasks import Trained

MODELS = '''
"""Models as a user writes them."""
import cavs
from cavs import models, nn, ops


class Tree(cavs.VertexFunction):
    def __init__(self, vocab_size, embedding_size, hidden_size, num_classes, dropout=0.0,
                 embedding_dropout=0.0, embedding_dropout_by="vertex", depth=1, act="tanh"):
        self.hidden_size, self.depth, self.act = hidden_size, depth, act
        self.words = nn.Embedding(vocab_size, embedding_size)
        self.w = nn.Linear(embedding_size, hidden_size)
        self.u = nn.Linear(hidden_size, hidden_size)
        self.up = [nn.Linear(hidden_size, hidden_size) for _ in range(depth)]
        self.out = nn.Linear(hidden_size, num_classes)

    def forward(self, v):
        h = self.w(self.words(v.pull("word", dtype="int32")))
        h = h + self.u(v.gather(h=self.hidden_size).h.sum())
        for layer in self.up:
            h = getattr(ops, self.act)(layer(h))
        v.scatter(h=h)
        logits = self.out(h)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


class Text(cavs.VertexFunction):
    """A language model whose state is of another size than the built-in one's."""

    def __init__(self, vocab_size, hidden_size, num_layers, dropout, embedding_dropout,
                 embedding_dropout_by, *, cell):
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        self.w, self.u = nn.Linear(hidden_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, vocab_size)
        assert cell == "simple"

    def forward(self, v):
        before = v.gather(0, h=self.hidden_size).h
        before = before + v.pull_graph("state", self.hidden_size) * v.pull("first")
        h = ops.tanh(self.w(self.embedding(v.pull("word", dtype="int32"))) + self.u(before))
        v.scatter(h=h)
        logits = self.out(h)
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(loss=loss, logits=logits, state=h)


class Images(models.VAE):
    """Derived from a built-in one."""

    def __init__(self, scale: float = 1.0, **given):
        super().__init__(**given)
        self.scale = nn.Linear(1, 1)


class Own(cavs.VertexFunction):
    """With nothing but what is pulled, pushed, and read for samples."""

    def __init__(self, image_size, hidden_size, latent_size, dropout):
        self.image_size, self.latent_size = image_size, latent_size
        self.encoder = nn.Linear(image_size, 2 * latent_size)
        self.decoder = nn.Linear(latent_size, image_size)

    def decode(self, z):
        return self.decoder(z)

    def forward(self, v):
        x = v.pull_graph("image", self.image_size)
        mean, log_std = ops.split(self.encoder(x), 2)
        q = nn.distributions.Normal(mean, ops.exp(log_std))
        z = q.mean + q.std * v.normal(self.latent_size)
        p = nn.distributions.Bernoulli(self.decode(z))
        prior = nn.distributions.Normal(0.0, 1.0)
        v.push(log_weight=ops.sum(p.log_prob(x)) + ops.sum(prior.log_prob(z))
               - ops.sum(q.log_prob(z)))


class Pixels(models.NADE):
    pass


class Masks(models.MADE):
    pass


class Lines(models.PixelCNN):
    pass


class Codes(models.AdversarialAutoencoder):
    pass


class Bijection(models.Flow):
    pass


class Belief(models.SigmoidBeliefNetwork):
    pass


class Machine(models.RBM):
    pass


class Deep(models.DBN):
    pass


class Sentences(models.SentenceVAE):
    def __init__(self, vocab_size, embedding_size, hidden_size, latent_size, extra=None):
        super().__init__(vocab_size, embedding_size, hidden_size, latent_size)
        assert extra == {"a": (1, 2)}


class Expressions(models.TreeVAE):
    pass


class Parser(models.ShiftReduceParser):
    pass


class Nary(models.NaryTreeLSTM):
    pass


class Writer(models.Seq2Seq):
    pass
'''


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "my models.py"
    path.write_text(MODELS)
    return path


FEW_TEMPERATURES = ["--dev-temperatures", "5", "--test-temperatures", "9", "--test-chains", "3"]
# Class, task, what it is given, and what it can do beside being judged.
CASES: dict[str, tuple[str, list[str], str]] = {
    "Tree": ("trees", [*WORDS, *TREES, "--arg", "depth=2", "--arg", "act=sigmoid"], "predict"),
    "Nary": ("nary-tree-lstm", [*WORDS, *TREES], "predict"),
    "Text": (
        "text",
        [*SMALL, "--length", "5", "--batch-size", "4", "--arg", "cell=simple"],
        "sample",
    ),
    "Images": ("images", [*SMALL, *FEW, "--arg", "scale=2"], "sample"),
    "Own": ("iwae", [*SMALL, *FEW, "--samples", "2"], "sample"),
    "Belief": ("sbn", [*SMALL, *FEW[:6], "--estimator", "wake-sleep"], "sample"),
    "Machine": ("boltzmann", [*SMALL, *FEW_TEMPERATURES, "--persistent"], "sample"),
    "Deep": (
        "dbn",
        ["--epochs", "1", "--hidden-sizes", "6", *FEW_TEMPERATURES, "--top-size", "3"],
        "sample",
    ),
    "Pixels": ("densities", [*SMALL, "--orders", "many", "--test-orders", "2"], "sample"),
    "Masks": ("made", [*SMALL, "--num-masks", "2"], "sample"),
    "Lines": ("pixelcnn", ["--epochs", "1", "--channels", "2", "--num-layers", "1"], "sample"),
    "Codes": (
        "autoencoders",
        ["--epochs", "1", "--kind", "adversarial", "--hidden-sizes", "5", "--code-size", "3"],
        "sample",
    ),
    "Bijection": ("flows", [*SMALL, "--num-layers", "2"], "sample"),
    "Sentences": ("sentences", [*WORDS, *FEW[6:], "--arg", "extra={'a': (1, 2)}"], "sample"),
    "Expressions": ("expressions", [*WORDS, *FEW[6:], *TREES], "sample"),
    "Parser": ("parser", WORDS, "predict"),
    "Writer": ("reversal", WORDS, "predict"),
}


IMAGES = (
    "images",
    "iwae",
    "sbn",
    "boltzmann",
    "dbn",
    "densities",
    "made",
    "pixelcnn",
    "autoencoders",
)


def data_of(task: str, data: Path) -> list[str]:
    places = {
        "text": data / "text",
        "sentences": data / "text",
        "reversal": data / "text",
        "parser": data / "trees",
        **dict.fromkeys(IMAGES, data / "digits.npz"),
        "flows": data / "digits.csv",
    }
    return ["--data", str(places[task])] if task in places else []


def state(path: Path) -> str:
    """A digest of all arrays of a checkpoint."""
    checkpoint, digest = load_checkpoint(path), hashlib.sha256()
    for group in ("parameters", "optimizer", "best", "objective"):
        for name, array in sorted(getattr(checkpoint, group).items()):
            digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", CASES)
def test_each_is_trained_gone_on_with_judged_and_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], models: Path, data: Path, name: str
) -> None:
    task, given, ability = CASES[name]
    model, given = f"{models}:{name}", [*given, *data_of(task, data)]
    train = ["train", model, "--task", task]
    output = tmp_path / "run"
    run(capsys, *train, *given, "--output", output)
    best, last = output / "best.safetensors", output / "last.safetensors"
    kept = load_checkpoint(last).user
    assert kept is not None
    assert (str(kept), kept.task, kept.make) == (model, task, None)
    run(capsys, *train, "--resume", last, "--epochs", 2, "--quiet")
    run(capsys, "train", model, "--resume", last, "--epochs", 3, "--quiet")  # which knows its task
    scores = json.loads(run(capsys, "evaluate", best, "--model", model, "--json"))
    found = json.loads((output / "metrics.json").read_text())["test"]
    # What is judged by samples is so by others than at the end of training.
    if task == "reversal":  # whose checkpoints are also judged by beam search
        assert scores.items() >= found.items()
    elif task in ("trees", "text", "parser"):
        assert scores == found
    else:
        assert scores.keys() == found.keys()
    use = {"predict": ["predict", best], "sample": ["sample", best, "-n", "3"]}
    other = {"predict": "sample", "sample": "predict"}[ability]
    for command in (["evaluate", best], use[ability], ["train", "tree-lstm", "--resume", last]):
        said = run(capsys, *command, code=1)
        assert "a user's model" in said or "as the run began" in said
        assert f"{model}" in said
    assert "expected a " in run(capsys, *use[other], "--model", model, code=1)
    if task in (*IMAGES, "flows"):
        trained: Any = Trained.load(best, load_user_model(model))
        pixels = 64 if task == "flows" else 784
        assert trained.task_type.sample(trained, 3, seed=0).shape == (3, pixels)
        return  # a picture needs matplotlib
    stdin = {"parser": "so good\n", "reversal": "b a\n"}.get(task, "[MAX 2 [MIN 4 7 ] ]\n")
    done = subprocess.run(
        [sys.executable, "-m", "cavs", *map(str, use[ability]), "--model", model],
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert len(done.stdout.splitlines()) == (
        3 if ability == "sample" and ".png" not in done.stdout else 1
    )


def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], models: Path
) -> None:
    model = f"{models}:Tree"
    train = ["train", model, "--task", "trees", *WORDS, *TREES, "--lr-schedule", "constant"]
    run(capsys, *train, "--epochs", 2, "--output", tmp_path / "whole")
    run(capsys, *train, "--output", tmp_path / "parts")
    last = tmp_path / "parts" / "last.safetensors"
    run(capsys, "train", model, "--task", "trees", "--resume", last, "--epochs", 2, "--quiet")
    assert state(last) == state(tmp_path / "whole" / "last.safetensors")


def test_a_user_model_as_the_built_in_one_comes_to_the_same_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "copy.py"
    path.write_text("from cavs.models import ChildSumTreeLSTM as Mine\n")
    run(capsys, "train", "tree-lstm", *WORDS, *TREES, "--output", tmp_path / "a")
    mine = [f"{path}:Mine", "--task", "tree-lstm"]
    run(capsys, "train", *mine, *WORDS, *TREES, "--output", tmp_path / "b")
    assert state(tmp_path / "a" / "last.safetensors") == state(tmp_path / "b" / "last.safetensors")


def test_a_user_model_is_stopped_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my file.py"
    file.write_text(WHOLE)
    few = {"num_train": 9, "max_depth": 3}
    task, config = make_task(load_user_model(f"{file}:A", "trees"), few)
    stopped = TrainingRun.start(tmp_path / "run", task, config)
    stopped.fit(should_stop=lambda: True)
    train._say_how_to_resume(stopped, 130)
    said = capsys.readouterr().err
    command = shlex.split(said.partition("go on with: cavs ")[2])
    assert command[:4] == ["train", f"{file}:A", "--task", "trees"]
    run(capsys, *command, "--epochs", 1, "--quiet")


def test_a_file_sees_the_files_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it is run; dataclasses, too, find what they look for."""
    (tmp_path / "beside_it.py").write_text("WIDTH = 3\n")
    extra = "from dataclasses import dataclass\nfrom beside_it import WIDTH\n\n"
    extra += "@dataclass\nclass Sizes:\n    width: int = WIDTH\n\n"
    (tmp_path / "mine.py").write_text(extra + WHOLE)
    before = list(sys.path)
    load_user_model(f"{tmp_path}/mine.py:A")
    assert sys.path == before
    assert not (tmp_path / "__pycache__" / "mine.cpython-311.pyc").exists()
