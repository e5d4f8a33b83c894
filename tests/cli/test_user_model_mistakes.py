"""What can be wrong with a user's model, its file and its name, each said in one line."""

from pathlib import Path

import pytest
from user_model_files import CLASS, HEAD, TREES, WHOLE, changed, run, write_small_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_data(tmp_path_factory.mktemp("data"))


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
    "unknown task": (WHOLE, ["--task", "nonsense"], "expected a task among trees, images, "),
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
        (["--resume", "runs/last.safetensors"], "write `cavs train MODEL --resume runs/last.saf"),
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
        ("Empty", "expected super().__init__(functions) to be called, got TraceError"),
        ("Property", "{file}, line 42: expected its attribute posterior, got ZeroDivisionError"),
        ("Later", "{file}, line 33: expected it to run, got AttributeError"),
    ],
)
def test_programs_without_a_part_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Path, name: str, message: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PROGRAMS)
    train = ["train", f"{file}:{name}", "--task", "sentences", "--data", data / "text"]
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
    train = ["train", f"{file}:A", "--task", "text", "--data", data / "text", "--hidden-size", 5]
    assert message in run(capsys, *train, "--output", tmp_path / "run", code=1)
