"""Models of users' files in every command: trained, judged, used; and what can be wrong."""

import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cavs.cli import main
from cavs.training import ImageTask, load_checkpoint, load_user_model
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


class Belief(models.SigmoidBeliefNetwork):
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
'''

SMALL = ["--epochs", "1", "--hidden-size", "6", "--quiet"]
WORDS = [*SMALL, "--embedding-size", "4"]
FEW = ["--dev-samples", "3", "--test-samples", "10", "--test-images", "5", "--latent-size", "3"]
TREES = ["--num-train", "40", "--max-depth", "3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np

    folder = tmp_path_factory.mktemp("data")
    for name in ("train", "valid", "dev", "test"):
        (folder / f"{name}.txt").write_text("a b c\nb a\nc b a c\n" * 10)
    trees = folder / "trees"
    trees.mkdir()
    for name in ("train", "dev", "test"):
        (trees / f"{name}.txt").write_text("(3 (2 so) (4 (2 very) (3 good)))\n(1 bad)\n" * 4)
    rng = np.random.default_rng(0)
    bits = {name: rng.integers(0, 2, (20, 784)) for name in ("train", "valid", "test")}
    packed = {name: np.packbits(x.astype(np.uint8), axis=1) for name, x in bits.items()}
    np.savez(folder / "digits.npz", **packed)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "my models.py"
    path.write_text(MODELS)
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
    "Sentences": ("sentences", [*WORDS, *FEW[6:], "--arg", "extra={'a': (1, 2)}"], "sample"),
    "Expressions": ("expressions", [*WORDS, *FEW[6:], *TREES], "sample"),
    "Parser": ("parser", WORDS, "predict"),
}


def data_of(task: str, data: Path) -> list[str]:
    places = {
        "text": data,
        "sentences": data,
        "parser": data / "trees",
        **dict.fromkeys(("images", "iwae", "sbn"), data / "digits.npz"),
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
    assert scores == found if task in ("trees", "text", "parser") else scores.keys() == found.keys()
    use = {"predict": ["predict", best], "sample": ["sample", best, "-n", "3"]}
    other = {"predict": "sample", "sample": "predict"}[ability]
    for command in (["evaluate", best], use[ability], ["train", "tree-lstm", "--resume", last]):
        said = run(capsys, *command, code=1)
        assert "a user's model" in said or "as the run began" in said
        assert f"{model}" in said
    assert "expected a " in run(capsys, *use[other], "--model", model, code=1)
    if task in ("images", "iwae", "sbn"):
        trained = Trained.load(best, load_user_model(model))
        assert ImageTask.sample(trained, 3, seed=0).shape == (3, 784)
        return  # a picture needs matplotlib
    stdin = "[MAX 2 [MIN 4 7 ] ]\n" if task != "parser" else "so good\n"
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


# --- What is wrong --------------------------------------------------------------------------------

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
    assert old in WHOLE
    return WHOLE.replace(old, new)


# The text of a file, further options, and what is said; {file} stands for the file.
WRONG: dict[str, tuple[str, list[str], str]] = {
    "no class": (WHOLE.replace("class A", "class B"), [], "a class A, got B; name one"),
    "no class at all": ("x = 1\n", [], "a class A, got no class at all"),
    "syntax": (HEAD + "class A(:\n", [], "[model] {file}, line 4: expected Python code, got Syn"),
    "null byte": ("x = '\0'\n", [], "expected Python code"),
    "raises": (HEAD + "1 / 0\n" + WHOLE, [], "{file}, line 4: expected it to run, got ZeroDiv"),
    "raises deep": (
        "def f():\n    raise KeyError('a\\nb')\n\nf()\n",
        [],
        "{file}, line 2: expected it to run, got KeyError:",
    ),
    "exits": (
        "import sys\nsys.exit(3)\n",
        [],
        "{file}, line 2: expected it to run, got SystemExit",
    ),
    "imports": ("import no_such_module\n", [], "{file}, line 1: expected it to run, got ModuleNo"),
    "recurses": ("def f():\n    f()\nf()\n", [], "got RecursionError"),
    "a function": ("def A(**given):\n    return 1\n", [], "derived from cavs.VertexFunction, as"),
    "an object": ("A = 3\n", [], "got int; derive it"),
    "another class": ("class A:\n    pass\n", [], "got one derived from object; derive it"),
    "a program": (HEAD + "class A(cavs.VertexProgram):\n    pass\n", [], "derived from VertexProg"),
    "unknown arg": (WHOLE, ["--arg", "deep=3"], "(there is none), got 'deep'; correct it"),
    "two unknown": (
        changed("embedding_dropout_by)", "embedding_dropout_by, depth=1, act=2)"),
        ["--arg", "deep=3"],
        "(depth, act), got 'deep'",
    ),
    "missing arg": (
        changed("embedding_dropout_by)", "embedding_dropout_by, *, depth)"),
        [],
        "expected --arg depth=VALUE, which the constructor needs, got none",
    ),
    "arg twice": (WHOLE, ["--arg", "a=3", "--arg", "a=4"], "each --arg once, got a twice"),
    "arg of the task": (WHOLE, ["--arg", "dropout=0.1"], "does not give, got dropout"),
    "arg without a value": (WHOLE, ["--arg", "depth"], "expected --arg NAME=VALUE"),
    "arg without a name": (WHOLE, ["--arg", "=3"], "expected --arg NAME=VALUE"),
    "arg of no name": (WHOLE, ["--arg", "a b=3"], "expected --arg NAME=VALUE"),
    "takes too few": (
        changed(
            ", dropout,\n                 embedding_dropout",
            ",\n                 embedding_dropout",
        ),
        [],
        "got one without dropout; add what is missing",
    ),
    "takes nothing": (HEAD + CLASS + "    pass\n", [], "got one without vocab_size, num_classes"),
    "by place": (
        changed("def __init__(self, vocab_size, ", "def __init__(self, vocab_size, /, "),
        [],
        "got one without vocab_size",
    ),
    "refuses": (
        changed(
            "        self.words",
            "        raise ValueError(f'no {num_classes}')\n        self.words",
        ),
        [],
        "{file}, line 7: expected its constructor to build the model, got ValueError: no 10",
    ),
    "a wrong layer": (
        changed("nn.Embedding(vocab_size, num_classes)", "nn.Linear(0, 3)"),
        [],
        "{file}, line 7: expected its constructor to build the model, got ShapeError: [linear]",
    ),
    "no forward": (WHOLE[: WHOLE.index("    def forward")], [], "A.forward(self, v), got none"),
    "forward raises": (
        changed("        x = ", "        self.nothing\n        x = "),
        [],
        "{file}, line 10: expected forward to be traced, got AttributeError",
    ),
    "forward is no vertex function": (
        changed("        x = ", "        if v.pull('word', dtype='int32') > 3: pass\n        x = "),
        [],
        "{file}:10",
    ),
    "pulls what there is not": (
        changed("'word'", "'wrod'"),
        [],
        "{file}, line 10: expected pulls of word, label, which the task gives, got one of 'wrod'",
    ),
    "pulls too little": (
        changed("ops.cross_entropy(x, v.pull('label', dtype='int32'))", "ops.sum(x)"),
        [],
        "expected pulls of word, label, got none of label",
    ),
    "pulls in another way": (
        changed("v.pull('word', dtype='int32')", "v.pull_graph('word', dtype='int32')"),
        [],
        "expected v.pull('word', dtype='int32'), got one for each graph",
    ),
    "pulls another dtype": (
        changed(
            "self.words(v.pull('word', dtype='int32'))",
            "v.pull('word', 10) * ops.sum(self.words.weight)",
        ),
        [],
        "expected v.pull('word', dtype='int32'), got one for each vertex, as float of shape (10,)",
    ),
    "pushes too little": (
        changed("logits=x, ", ""),
        [],
        "expected pushes of logits, loss, which the task reads, got loss; push these",
    ),
    "pushes others": (changed("logits=x", "logit=x"), [], "got logit, loss; push these"),
    "pushes more": (changed("logits=x", "logits=x, more=x"), [], "got logits, more, loss; push"),
    "pushes another shape": (
        changed("logits=x", "logits=ops.concat([x, x])"),
        [],
        "expected 'logits' pushed with shape (10,), got (20,)",
    ),
    "embedding std": (WHOLE, ["--embedding-std", "0.1"], "leave --embedding-std out, or name it"),
    "unknown task": (WHOLE, ["--task", "nonsense"], "expected a task among trees, images, text"),
    "a task of programs": (WHOLE, ["--task", "sentences"], "derived from cavs.VertexProgram, as"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text, options, message = WRONG[name]
    file = tmp_path / "mine.py"
    file.write_text(text)
    train = ["train", f"{file}:A", "--task", "trees", *options]
    task_options = [] if "sentences" in options else TREES
    output = tmp_path / "run"
    said = run(capsys, *train, *task_options, "--epochs", 1, "--output", output, code=1)
    assert message.format(file=file) in said
    assert "Traceback" not in said
    assert not output.exists()


def test_the_same_file_without_mistakes_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(WHOLE)
    train = ["train", f"{tmp_path}/mine.py:A", "--task", "trees", *TREES, "--epochs", 1]
    run(capsys, *train, "--output", tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.py:A", "--task", "trees"], "[model] none.py: expected a file of Python, got no"),
        ([".:A", "--task", "trees"], "got a directory; check the path"),
        (["/dev/null:A", "--task", "trees"], "got no regular file"),
        (["a\0b:A", "--task", "trees"], "expected a file of Python"),
        (["none.py:A.B", "--task", "trees"], "expected FILE.py:CLASS, got 'none.py:A.B'"),
        ([":A", "--task", "trees"], "expected FILE.py:CLASS, got ':A'"),
        (["none.py", "--task", "trees"], "expected FILE.py:CLASS, got none.py"),
        (["none.py:A"], "[train] expected --task with none.py:A, got none; name one of trees"),
        (["none.py:A", "--resume", "none"], "got no such file"),
    ],
)
def test_names_of_no_model_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in run(capsys, "train", *words, code=1)


PROGRAMS = """
import cavs
from cavs import models, nn


class Lacks(cavs.VertexProgram):
    def __init__(self, vocab_size, embedding_size, hidden_size, latent_size):
        whole = models.SentenceVAE(vocab_size, embedding_size, hidden_size, latent_size)
        super().__init__({"encoder": whole.encoder})


class Bare(cavs.VertexProgram):
    def __init__(self, vocab_size, embedding_size, hidden_size, latent_size):
        whole = models.SentenceVAE(vocab_size, embedding_size, hidden_size, latent_size)
        super().__init__(whole.functions())
        self.latent_size = latent_size


class Number(models.SentenceVAE):
    def __init__(self, **given):
        super().__init__(**given)
        self.posterior = 3


class Narrow(models.SentenceVAE):
    def __init__(self, **given):
        super().__init__(**given)
        self.posterior = nn.Linear(2, 2)


class Raises(nn.Module):
    def __call__(self, h):
        return h.no_such_thing


class Empty(cavs.VertexProgram):
    def __init__(self, vocab_size, embedding_size, hidden_size, latent_size):
        self.latent_size = latent_size


class Property(models.SentenceVAE):
    posterior = property(lambda self: 1 / 0, lambda self, value: None)


class Later(models.SentenceVAE):
    def __init__(self, **given):
        super().__init__(**given)
        self.posterior = Raises()
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Lacks", "expected the vertex functions encoder, decoder, got encoder; call them so"),
        ("Bare", "as its attribute posterior, got none; add it"),
        ("Number", "as its attribute posterior, got int; add it"),
        ("Narrow", "cavs: [linear] expected an input of shape (..., 2), got"),
        ("Empty", "expected super().__init__(functions) to be called, got AttributeError"),
        ("Property", "{file}, line 42: expected its attribute posterior, got ZeroDivisionError"),
        ("Later", "{file}, line 33: expected it to run, got AttributeError"),
    ],
)
def test_programs_without_a_part_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Path, name: str, message: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PROGRAMS)
    train = ["train", f"{file}:{name}", "--task", "sentences", "--data", data]
    said = run(capsys, *train, "--output", tmp_path / "run", code=1)
    assert message.format(file=file) in said


TEXT = """
import cavs
from cavs import nn, ops


class A(cavs.VertexFunction):
    def __init__(self, vocab_size, hidden_size, **given):
        self.size = hidden_size
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        self.out = nn.Linear(hidden_size, vocab_size)

    def forward(self, v):
        state = v.pull_graph("state", self.size) * v.pull("first")
        h = ops.tanh(state + self.embedding(v.pull("word", dtype="int32")))
        logits = self.out(h)
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(loss=loss, logits=logits, state=h)
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("state=h", "state=logits", "expected 'state' pushed with shape (5,), got ("),
        ('"state", self.size', '"state"', "v.pull_graph('state', SIZE), got one for each graph"),
        ('v.pull("first")', 'v.pull("first", 1)', "expected v.pull('first'), got one for each"),
        ("logits=logits", "logits=h", "expected 'logits' pushed with shape ("),
        ("loss=loss", "loss=logits", "expected 'loss' pushed with shape (), got ("),
    ],
)
def test_language_models_of_other_shapes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Path, old: str, new: str, message: str
) -> None:
    file = tmp_path / "mine.py"
    assert old in TEXT
    file.write_text(TEXT.replace(old, new))
    train = ["train", f"{file}:A", "--task", "text", "--data", data, "--hidden-size", 5]
    assert message in run(capsys, *train, "--output", tmp_path / "run", code=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file and a run of its class."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "mine.py").write_text(changed("_by)", "_by, width=3, name='')"))
    train = ["train", f"{folder}/mine.py:A", "--task", "trees", *TREES, "--epochs", "1"]
    args = ["--arg", "width=(1, 2)", "--arg", "name=1x"]
    assert main([*train, *args, "--quiet", "--output", str(folder / "run")]) == 0
    return folder


def test_a_checkpoint_holds_data_and_runs_no_code(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = trained / "run" / "best.safetensors"
    user = load_checkpoint(best).user
    assert user is not None
    assert user.to_dict() == {
        "file": f"{trained}/mine.py",
        "class": "A",
        "task": "trees",
        "args": {"width": "(1, 2)", "name": "1x"},
    }
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + WHOLE)
    for command in ("evaluate", "predict", "sample"):
        assert f"give --model {trained}/mine.py:A" in run(capsys, command, best, code=1)
    assert not (tmp_path / "ran").exists()


def test_the_class_of_a_checkpoint_is_checked(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = trained / "run"
    best, last = run_folder / "best.safetensors", run_folder / "last.safetensors"
    moved, other = tmp_path / "moved.py", tmp_path / "other.py"
    text = (trained / "mine.py").read_text()
    moved.write_text(text)
    other.write_text(text.replace("nn.Embedding(vocab_size,", "nn.Embedding(1 + vocab_size,"))
    (tmp_path / "b.py").write_text(text.replace("class A", "class B"))
    run(capsys, "evaluate", best, "--model", f"{moved}:A")
    for model, message in (
        (f"{other}:A", "name a checkpoint of this model"),
        (f"{tmp_path}/b.py:B", "expected the class A, as the checkpoint says, got"),
        (f"{tmp_path}/none.py:A", "got no such file"),
    ):
        assert message in run(capsys, "evaluate", best, "--model", model, code=1)
        assert message in run(capsys, "train", model, "--resume", last, code=1)
    resume = ["train", f"{moved}:A", "--resume", last]
    for options, message in (
        (["--arg", "width=4"], "expected --arg width '(1, 2)', as the run began, got '4'"),
        (["--arg", "more=4"], "expected --arg more None, as the run began"),
        (["--task", "tree-gru"], "expected task 'trees', as the run began"),
        (["--hidden-size", "4"], "expected hidden_size 150, as the run began, got 4"),
    ):
        assert message in run(capsys, *resume, *options, code=1)
    run(capsys, *resume, "--arg", "width=(1,2)", "--epochs", 2, "--quiet")


def test_a_model_of_a_file_is_none_for_a_built_in_checkpoint(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "train", "tree-lstm", *WORDS, *TREES, "--output", tmp_path)
    model = f"{trained}/mine.py:A"
    for command in ("evaluate", "predict", "sample"):
        best = tmp_path / "best.safetensors"
        said = run(capsys, command, best, "--model", model, code=1)
        assert "expected no --model for 'tree-lstm'" in said
    last = tmp_path / "last.safetensors"
    said = run(capsys, "train", model, "--task", "trees", "--resume", last, code=1)
    assert "expected model 'tree-lstm', as the run began" in said


@pytest.mark.parametrize(
    "user",
    [
        None,
        [],
        {},
        {"file": 1, "class": "A", "task": "trees", "args": {}},
        {"file": "a.py", "class": "A", "task": "nonsense", "args": {}},
        {"file": "a.py", "class": "A", "task": "sentences", "args": {}},
        {"file": "a.py", "class": "A", "task": "nary-tree-lstm", "args": {"dropout": "1"}},
        {"file": "a.py", "class": "A", "task": "trees", "args": {"width": 3}},
        {"file": "a.py", "class": "A", "task": "trees", "args": {"width": "9" * 5000}},
        {"file": "a.py", "class": "A", "task": "trees", "args": {"width": "-" * 4000, "x": "1"}},
        {"file": "a\n.py", "class": "A" * 5000, "task": "trees", "args": {"a b": "[" * 4000}},
    ],
)
def test_whatever_a_checkpoint_says_of_a_model_is_one_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], user: Any
) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    path = trained / "run" / "best.safetensors"
    with safe_open(str(path), framework="numpy") as file:
        metadata = {**file.metadata(), "user_model": json.dumps(user)}
    damaged = tmp_path / "a.safetensors"
    save_file(load_file(path), damaged, metadata)
    for options in ([], ["--model", f"{trained}/mine.py:A"]):
        assert len(run(capsys, "evaluate", damaged, *options, code=1)) < 2000


def test_a_user_model_is_stopped_and_says_how_to_go_on(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cavs.cli import train
    from cavs.training import TrainingRun, make_task

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
