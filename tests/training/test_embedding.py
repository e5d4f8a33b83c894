"""What the embedding of words begins with, and that it keeps it where it is frozen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stopping import StopAfter
from user_model_files import (
    EMBEDDING_MODEL,
    PARSER_WITH_EMBEDDINGS,
    SENTENCES_OF_WORDS,
    write_small_data,
)

import cavs
from cavs.errors import DataError, InputError
from cavs.training import TrainingConfig, TrainingRun, load_checkpoint, load_user_model, make_task

SIZES: dict[str, Any] = {"hidden_size": 5, "epochs": 2, "batch_size": 3}
VECTORS = "so 1 2 3\nvery 4 5 6\nnowhere 7 8 9\n"
EMBEDDING = "embedding.weight"
#: Maps each model that reads words to its data and to the name of its embedding.
MODELS = {
    "tree-lstm": ("trees", EMBEDDING),
    "parser": ("trees", f"buffer.{EMBEDDING}"),
    "lm": ("text", EMBEDDING),
    "sentence-vae": ("text", f"encoder.{EMBEDDING}"),
    "seq2seq": ("text", f"encoder.{EMBEDDING}"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small trees of the words so, very, good, bad and once, and vectors of two of them."""
    folder = write_small_data(tmp_path_factory.mktemp("data"))
    (folder / "vectors.txt").write_text(VECTORS)
    return folder


def given(folder: Path, **changes: Any) -> dict[str, Any]:
    settings = {"data": str(folder / "trees"), "vectors": str(folder / "vectors.txt")}
    settings = {**settings, **SIZES, **changes}
    return {name: value for name, value in settings.items() if value is not None}


def given_to(model: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """The same for a model, whose vectors are of the words of its data."""
    data, _ = MODELS[model]
    path = folder / f"{data}.vectors.txt"
    path.write_text(VECTORS if data == "trees" else "b 1 2 3\nc 4 5 6\nnowhere 7 8 9\n")
    more = {"min_count": 1} if model == "parser" else {}
    settings = {"data": str(folder / data), "vectors": str(path), **more, **changes}
    return given(folder, **settings)


def first_values(settings: dict[str, Any], seed: int = 0) -> tuple[Any, Any]:
    task, _ = make_task("tree-lstm", settings)
    return task, task.compile(seed).state_dict()[EMBEDDING]


def test_words_begin_with_their_vectors(folder: Path) -> None:
    task, values = first_values(given(folder))
    assert values.shape == (6, 3)
    assert task.arguments["embedding_size"] == 3
    assert values[task.words["so"]].tolist() == [1, 2, 3]
    assert values[task.words["very"]].tolist() == [4, 5, 6]
    assert values[task.words.unknown_id].tolist() == [0, 0, 0]
    missing = [task.words[word] for word in ("good", "bad", "once")]
    assert (np.abs(values[missing]) <= 0.05).all()
    assert len(np.unique(values[missing])) == 9
    _, others = first_values(given(folder), seed=1)
    assert (others[missing] != values[missing]).all()
    path = folder / "vectors.txt"
    assert task.remarks == [f"{path} has vectors of 2 of 6 words of trees"]


def test_words_with_a_vector_need_not_occur_in_training(tmp_path: Path) -> None:
    """Nor often enough; others of dev and test are unknown."""
    (tmp_path / "trees").mkdir()
    for name, line in {
        "train": "(2 (2 often) (2 rare))\n(2 (2 often) (2 seldom))",
        "dev": "(2 (2 dev) (2 dev2))",
        "test": "(2 (2 test) (2 rare))",
    }.items():
        (tmp_path / "trees" / f"{name}.txt").write_text(line + "\n")
    (tmp_path / "vectors.txt").write_text("test 1 1\nrare 2 2\ndev 3 3\nnowhere 4 4\n")
    task, values = first_values(given(tmp_path, min_count=2))
    assert list(task.words) == ["<unk>", "often", "dev", "rare", "test"]
    assert values[2:].tolist() == [[3, 3], [2, 2], [1, 1]]
    assert task.arguments["vocab_size"] == 5
    assert task.remarks[0].endswith("has vectors of 3 of 5 words of trees")
    plain, _ = first_values(given(tmp_path, min_count=2, vectors=None))
    assert list(plain.words) == ["<unk>", "often"]


def test_the_unknown_word_may_have_a_vector(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text(f"<unk> 1.5 2.5 3.5\n{VECTORS}")
    task, values = first_values(given(folder, vectors=str(path)))
    assert values[task.words.unknown_id].tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize("model", MODELS)
def test_models_of_words_begin_with_vectors(folder: Path, model: str) -> None:
    data, name = MODELS[model]
    task, config = make_task(model, given_to(model, folder))
    values = task.compile(0).state_dict()[name]
    assert values.shape == (len(task.words), 3)
    words = ("so", "very") if data == "trees" else ("b", "c")
    rows = [task.words[word] for word in words]
    assert values[rows].tolist() == [[1, 2, 3], [4, 5, 6]]
    unknown = task.words.unknown_id
    others = [i for i in range(len(values)) if i not in (*rows, unknown)]
    assert others
    assert (np.abs(values[others]) <= 0.05).all()
    assert len(np.unique(values[others])) == 3 * len(others)
    if unknown is not None:
        assert values[unknown].tolist() == [0, 0, 0]
    count = f"of 2 of {len(values)} words of {data}"
    assert task.remarks == [f"{task.made_with['vectors']} has vectors {count}"]
    assert config.embedding_lr == (0.1 if model == "tree-lstm" else config.lr)


@pytest.mark.parametrize("model", ["parser", "lm", "sentence-vae", "seq2seq"])
def test_without_vectors_an_embedding_begins_as_it_did(folder: Path, model: str) -> None:
    """As the model itself makes it, the unknown word too."""
    settings = given_to(model, folder, vectors=None)
    task, _ = make_task(model, settings)
    _, name = MODELS[model]
    values = task.compile(3).state_dict()[name]
    cavs.nn.init.manual_seed(3)
    function = task.built_in.make(**task.arguments)
    np.testing.assert_array_equal(dict(function.named_parameters())[name].numpy(), values)


def test_words_of_dev_and_test_are_none_of_a_language_model(tmp_path: Path) -> None:
    """It could say them, and would never have been told to."""
    (tmp_path / "text").mkdir()
    for name, line in {"train": "a <unk> b", "valid": "c a", "test": "d b"}.items():
        (tmp_path / "text" / f"{name}.txt").write_text(line + "\n")
    (tmp_path / "vectors.txt").write_text("a 1 1\nc 2 2\nd 3 3\n<unk> 4 4\n")
    for model in ("lm", "sentence-vae", "seq2seq"):
        settings = given(tmp_path, data=str(tmp_path / "text"), batch_size=1)
        task, _ = make_task(model, settings)
        assert sorted(task.words) == ["<eos>", "<unk>", "a", "b"]
        values = task.compile(0).state_dict()[MODELS[model][1]]
        assert values[task.words.unknown_id].tolist() == [4, 4]


def test_the_embedding_of_a_language_model_may_have_a_size_of_its_own(folder: Path) -> None:
    """By vectors or by an option; a model with one of hidden_size is not told it."""
    for changes, size in (
        ({}, 3),
        ({"vectors": None, "embedding_size": 4}, 4),
        ({"vectors": None}, None),
        ({"hidden_size": 3}, None),
        ({"vectors": None, "embedding_size": 5}, None),
    ):
        task, _ = make_task("lm", given_to("lm", folder, **changes))
        assert task.arguments.get("embedding_size") == size
        hidden = task.arguments["hidden_size"]
        shape = task.compile(0).state_dict()[EMBEDDING].shape
        assert shape == (len(task.words), size or hidden)
    with pytest.raises(InputError, match="expected --embedding-size 3, as the vectors"):
        make_task("lm", given_to("lm", folder, embedding_size=5))


@pytest.mark.parametrize("model", ["parser", "lm", "sentence-vae", "seq2seq"])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_embedding_of_a_model_stays_as_it_was_or_learns_at_its_rate(
    folder: Path, tmp_path: Path, model: str, frozen: bool
) -> None:
    """A rate near zero moves it by next to nothing, while the others learn."""
    changes = {"freeze_embedding": True} if frozen else {"embedding_lr": 1e-6}
    settings = given_to(model, folder, **changes, optimizer="adam", lr=0.01)
    run = TrainingRun.start(tmp_path, *make_task(model, settings))
    before = {name: x.copy() for name, x in run.model.state_dict().items()}
    run.fit()
    after = run.trainer.arrays()["parameters"]
    _, embedding = MODELS[model]
    moved = {name: np.abs(after[name] - x).max() for name, x in before.items()}
    assert (moved[embedding] == 0) == frozen
    assert moved[embedding] < 1e-4
    assert max(moved.values()) > 1e-3


@pytest.mark.parametrize("optimizer", ["adagrad", "adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_embedding_stays_as_it_was(
    folder: Path, tmp_path: Path, frozen: bool, optimizer: str
) -> None:
    changes = {"freeze_embedding": frozen, "weight_decay": 0.1, "optimizer": optimizer}
    task, config = make_task("tree-lstm", given(folder, **changes, clip_norm=1.0))
    run = TrainingRun.start(tmp_path, task, config)
    before = {name: x.copy() for name, x in run.model.state_dict().items()}
    run.fit()
    after = run.trainer.arrays()["parameters"]
    assert (before["classifier.weight"] != after["classifier.weight"]).any()
    assert (before[EMBEDDING] == after[EMBEDDING]).all() == frozen
    assert EMBEDDING not in run.trainer.history[0].get("without_gradient", ())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_run_goes_on_without_the_file(
    folder: Path, tmp_path: Path, frozen: bool, model: str
) -> None:
    """As if nothing had been: with the same bits."""
    settings = given_to(model, folder)
    path = tmp_path / "vectors.txt"
    path.write_text(Path(settings["vectors"]).read_text())
    settings |= {"vectors": str(path), "freeze_embedding": frozen}
    whole = TrainingRun.start(tmp_path / "whole", *make_task(model, settings))
    whole.fit()
    run = TrainingRun.start(tmp_path / "parts", *make_task(model, settings))
    run.fit(should_stop=StopAfter(2))
    path.unlink()
    last = tmp_path / "parts" / "last.safetensors"
    checkpoint = load_checkpoint(last)
    config = TrainingConfig.from_dict(checkpoint.training["settings"])
    assert config.freeze_embedding == frozen
    again = TrainingRun.resume(last, checkpoint, config, tmp_path / "parts")
    assert again.task.made_with["vectors"] == str(path)
    assert again.task.remarks == []
    again.fit()
    for name, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(again.model.state_dict()[name], array)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding_size": 4}, r"expected --embedding-size 3, as the vectors of .* have, got 4;"),
        ({"embedding_std": 0.5}, "expected --embedding-std without --vectors, .* got both; leave"),
        (
            {"freeze_embedding": True, "embedding_lr": 0.5},
            "expected --embedding-lr without --freeze-embedding, got both; leave one out",
        ),
        (
            {"freeze_embedding": True, "embedding_weight_decay": 0.5},
            "expected --embedding-weight-decay without --freeze-embedding, got both",
        ),
        ({"freeze_embedding": 1}, "expected True or False as freeze_embedding, got 1"),
        ({"vectors": 3}, "expected a text as vectors, got 3"),
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_options_that_nothing_would_read_are_refused(
    folder: Path, changes: dict[str, Any], message: str, model: str
) -> None:
    if "embedding_std" in changes and model != "tree-lstm":
        message = "expected options among .*, got 'embedding_std'"
    with pytest.raises(InputError, match=rf"\[train\] {message}"):
        make_task(model, given_to(model, folder, **changes))
    make_task(model, given_to(model, folder, embedding_size=3))


def test_wrong_files_are_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_text("So 1 2\nVERY 3 4\n")
    message = r"other\.txt: expected vectors of words of the data, such as '\w+', got none; take"
    with pytest.raises(DataError, match=message):
        make_task("tree-lstm", given(folder, vectors=str(path)))
    with pytest.raises(DataError, match="no such file"):
        make_task("tree-lstm", given(folder, vectors=str(tmp_path / "none")))
    with pytest.raises(InputError, match=r"expected True or False as freeze_embedding, got 'yes'"):
        TrainingConfig(freeze_embedding="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("first", [{}, {"embedding_std": 0.5}])
def test_parameters_of_another_run_come_alone(
    folder: Path, tmp_path: Path, first: dict[str, Any]
) -> None:
    """`--init` beside what would give the embedding other values."""
    settings = given(folder, embedding_size=3, vectors=None)
    run = TrainingRun.start(tmp_path / "a", *make_task("tree-lstm", settings))
    run.fit(should_stop=StopAfter(1))
    last = tmp_path / "a" / "last.safetensors"
    wanted = {**settings, **first} if first else given(folder)
    other = TrainingRun.start(tmp_path / "b", *make_task("tree-lstm", wanted))
    name = "embedding-std" if first else "vectors"
    with pytest.raises(InputError, match=rf"expected --init without --{name}, .* got both"):
        other.begin_with(last, load_checkpoint(last))
    plain = TrainingRun.start(tmp_path / "c", *make_task("tree-lstm", settings))
    plain.begin_with(last, load_checkpoint(last))


def test_users_models_begin_with_vectors_too(folder: Path, tmp_path: Path) -> None:
    def compiled(name: str, size: str, **changes: Any) -> Any:
        file = tmp_path / "mine.py"
        file.write_text(EMBEDDING_MODEL.replace("NAME", name).replace("SIZE", size))
        user = load_user_model(f"{file}:A", "trees")
        return make_task(user, given(folder, **changes))[0].compile(0).state_dict()

    _, values = first_values(given(folder))
    found = compiled("embedding", "embedding_size")[EMBEDDING]
    np.testing.assert_array_equal(found[values[:, 0] >= 1], values[values[:, 0] >= 1])
    message = "expected an Embedding of size embedding_size, which is 3 by --vectors, got 7"
    with pytest.raises(InputError, match=message):
        compiled("embedding", "7")
    message = "as its attribute embedding, got none; leave --vectors out, or name it so"
    with pytest.raises(InputError, match=message):
        compiled("words", "embedding_size")
    changes = {"vectors": None, "freeze_embedding": True}
    message = "as its attribute embedding, got none; leave --freeze-embedding out"
    with pytest.raises(InputError, match=message):
        compiled("words", "embedding_size", **changes)


def test_users_programs_begin_with_vectors_in_each_function(folder: Path, tmp_path: Path) -> None:
    """Also where each function has an embedding of its own."""
    file = tmp_path / "mine.py"
    file.write_text(PARSER_WITH_EMBEDDINGS)
    user = load_user_model(f"{file}:A", "parser")
    task, config = make_task(user, given_to("parser", folder, freeze_embedding=True))
    run = TrainingRun.start(tmp_path / "run", task, config)
    run.fit()
    for function in ("buffer", "stack"):
        values = run.model.state_dict()[f"{function}.embedding.weight"]
        assert values[task.words["so"]].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "changes",
    [{}, {"vectors": None, "freeze_embedding": True}, {"vectors": None, "embedding_lr": 1}],
)
def test_a_users_program_without_an_embedding_takes_none_of_its_options(
    folder: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SENTENCES_OF_WORDS)
    user = load_user_model(f"{file}:A", "sentences")
    task, _ = make_task(user, given_to("sentence-vae", folder, vectors=None))
    task.compile(0)
    task, _ = make_task(user, given_to("sentence-vae", folder, **changes))
    flag = "--" + next(iter([n for n, v in changes.items() if v] or ["vectors"])).replace("_", "-")
    message = f"as its attribute embedding, got none; leave {flag} out, or name it so"
    with pytest.raises(InputError, match=message):
        task.compile(0)


def test_a_model_of_a_frozen_embedding_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        EMBEDDING_MODEL.replace("NAME", "embedding")
        .replace("SIZE", "num_classes")
        .replace("        self.out = nn.Linear(num_classes, num_classes)\n", "")
        .replace("self.out(", "(")
    )
    settings = given(folder, freeze_embedding=True, vectors=None)
    task, config = make_task(load_user_model(f"{file}:A", "trees"), settings)
    message = r"\[train\] expected parameters that learn beside the embedding, got none; leave"
    with pytest.raises(InputError, match=message):
        TrainingRun.start(tmp_path / "run", task, config)
