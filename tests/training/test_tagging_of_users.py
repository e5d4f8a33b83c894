"""Taggers of users' files: the same types, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tagged_names import predict, write_tags
from user_model_files import run as command

from cavs.errors import InputError
from cavs.training import load_checkpoint, load_user_model, make_task

MINE = '''
"""A tagger of a user's: averages in place of one of the LSTMs."""
import cavs
from cavs import models, nn, ops


class Mine(models.CharacterTagger):
    def __init__(self, width: int = 1, **given):
        super().__init__(**given)
        self.width = width


class Own(cavs.TypedFunction):
    def __init__(self, vocab_size, alphabet_size, embedding_size, character_size,
                 character_hidden_size, hidden_size, num_classes, **dropout):
        functions = {"word": Word(vocab_size, hidden_size)}
        for name in ("char_before", "char_after") if alphabet_size else ():
            functions[name] = Char(name, alphabet_size, hidden_size)
        functions["before"], functions["after"] = Read(hidden_size), Read(hidden_size)
        super().__init__({**functions, "tag": Tag(hidden_size, num_classes)})


class Word(cavs.VertexFunction):
    def __init__(self, vocab_size, size):
        self.embedding, self.size = nn.Embedding(vocab_size, size), size

    def forward(self, v):
        ends = v.gather(x=self.size).x.sum()
        v.scatter(x=self.embedding(v.pull("word", dtype="int32")) + ends)


class Char(cavs.VertexFunction):
    def __init__(self, name, alphabet_size, size):
        self.name, self.size, self.table = name, size, nn.Embedding(alphabet_size, size)

    def forward(self, v):
        last = v.gather(0, of=self.name, x=self.size).x
        v.scatter(x=ops.tanh(self.table(v.pull("character", dtype="int32")) + last))


class Read(cavs.VertexFunction):
    def __init__(self, size):
        self.u, self.size = nn.Linear(size, size), size

    def forward(self, v):
        v.scatter(x=ops.tanh(self.u(v.gather(x=self.size).x.sum())))


class Tag(cavs.VertexFunction):
    def __init__(self, size, num_classes):
        self.size, self.out = size, nn.Linear(size, num_classes)

    def forward(self, v):
        logits = self.out(v.gather(x=self.size).x.sum())
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


class Untyped(cavs.VertexFunction):
    pass


class Elsewhere(Own):
    def __init__(self, **given):
        super().__init__(**given)
        functions = dict(self.functions())
        functions["before"] = Pushes(functions["before"])
        cavs.TypedFunction.__init__(self, functions)


class Pushes(cavs.VertexFunction):
    def __init__(self, before):
        self.before, self.table = before, nn.Parameter([[1.0], [1.0]])

    def forward(self, v):
        self.before.forward(v)
        v.push(loss=ops.sum(ops.embedding(self.table, v.pull("label", dtype="int32"))))
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tags(tmp_path_factory.mktemp("tags"))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


@pytest.mark.parametrize("characters", ["rare", "none"])
@pytest.mark.parametrize("name", ["Mine", "Own"])
def test_a_users_model_has_the_same_types(
    name: str,
    characters: str,
    mine: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, out = f"{mine}:{name}", tmp_path / "run"
    given = ["--data", folder, "--characters", characters, "--epochs", "1", "--quiet"]
    args = ["--arg", "width=2"] if name == "Mine" else []
    command(capsys, "train", model, "--task", "tagging", *given, *args, "--output", out)
    said = command(capsys, "evaluate", out / "best.safetensors", "--model", model)
    assert "unseen words" in said
    capsys.readouterr()
    predict(monkeypatch, out, "it Olason\n", "--model", model)
    assert capsys.readouterr().out.startswith("it|")
    resume = ["--resume", out / "last.safetensors", "--epochs", "2", "--quiet"]
    command(capsys, "train", model, *resume)
    assert len(load_checkpoint(out / "last.safetensors").training["progress"]["history"]) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Untyped", r"expected a class derived from cavs\.TypedFunction, as models of tagging are"),
        ("Elsewhere", r"expected .* in 'tag' alone, got it in 'before', 'tag'"),
    ],
)
def test_a_users_model_that_does_not_fit(name: str, message: str, mine: Path, folder: Path) -> None:
    def compiled() -> Any:
        user = load_user_model(f"{mine}:{name}", "tagging")
        return make_task(user, {"data": str(folder)})[0].compile(0)

    with pytest.raises(InputError, match=message):
        compiled()
