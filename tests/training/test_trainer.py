"""The training loop: it learns, stops, names what is not finite, and goes on bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stopping import StopAfter

import cavs
from cavs import ops
from cavs.data import Dataset
from cavs.errors import CheckpointError, DataError, InputError
from cavs.training import (
    Checkpoint,
    Classification,
    TrainingConfig,
    TrainingRun,
    TreeSource,
    TreeTask,
    evaluate,
    load_checkpoint,
    save_checkpoint,
)

SMALL: dict[str, Any] = {"embedding_size": 6, "hidden_size": 8, "dropout": 0.2}
SOURCE = TreeSource(num_train=60, max_depth=3)


def make_config(**changes: Any) -> TrainingConfig:
    settings = {"epochs": 3, "batch_size": 25, "lr": 0.05, "clip_norm": 5.0, "lr_decay": 0.9}
    return TrainingConfig(**{**settings, **changes})


def start(directory: Path, source: TreeSource = SOURCE, **changes: Any) -> TrainingRun:
    return start_model("tree-lstm", directory, source, make_config(**changes))


def start_model(
    name: str, directory: Path, source: TreeSource, config: TrainingConfig
) -> TrainingRun:
    return TrainingRun.start(directory, TreeTask.create(name, source, **SMALL), config)


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    times = ("seconds", "graphs_per_second")
    return [{k: v for k, v in row.items() if k not in times} for row in history]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(
    ("optimizer", "average", "more"),
    [
        ("adagrad", 0, {}),
        ("adam", 2, {}),
        ("adamw", 0, {}),
        ("rmsprop", 0, {}),
        ("rmsprop", 2, {"momentum": 0.5, "alpha": 0.9, "centered": True}),
        ("sgd", 3, {}),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, optimizer: str, average: int, more: dict[str, Any]
) -> None:
    """Whenever it was left: within an epoch, after its last batch, and within the evaluation."""
    settings: dict[str, Any] = {"optimizer": optimizer, "average": average, **more}
    if optimizer != "adagrad":
        settings |= {"lr": 0.005, "embedding_lr": 0.005, "lr_schedule": "linear"}
    whole = start(tmp_path / "whole", **settings)
    assert whole.fit()
    path = tmp_path / "parts" / "last.safetensors"
    parts = start(tmp_path / "parts", **settings)
    finished = parts.fit(should_stop=StopAfter(2))
    stops = 1
    while not finished:
        checkpoint = load_checkpoint(path)
        config = TrainingConfig.from_dict(checkpoint.training["settings"])
        parts = TrainingRun.resume(path, checkpoint, config, tmp_path / "parts")
        stops += 1
        finished = parts.fit(should_stop=StopAfter(1 + stops % 7))
        assert stops < 60
    assert stops > 4
    assert without_times(parts.trainer.history) == without_times(whole.trainer.history)
    assert parts.test == whole.test
    assert parts.model.random_state() == whole.model.random_state()
    for name in ("last.safetensors", "best.safetensors"):
        one, other = (load_checkpoint(tmp_path / k / name) for k in ("whole", "parts"))
        for attribute in ("parameters", "optimizer", "best", "average"):
            mine, theirs = getattr(one, attribute), getattr(other, attribute)
            assert mine.keys() == theirs.keys()
            for key in mine:
                assert mine[key].tobytes() == theirs[key].tobytes(), (name, attribute, key)


def as_before(path: Path) -> None:
    """A checkpoint as those were that said nothing of the dropout of embeddings."""
    checkpoint = load_checkpoint(path)
    assert checkpoint.config.pop("embedding_dropout") == checkpoint.config["dropout"]
    assert checkpoint.config.pop("embedding_dropout_by") == "vertex"
    save_checkpoint(path, checkpoint)


def test_a_run_from_before_goes_on_with_the_dropout_that_it_had(tmp_path: Path) -> None:
    """`dropout` was of words too then; today's default is not."""
    paths = []
    for name, words in (("whole", 0.2), ("parts", 0.2), ("today", None)):
        sizes = SMALL if words is None else {**SMALL, "embedding_dropout": words}
        task = TreeTask.create("tree-lstm", SOURCE, **sizes)
        run = TrainingRun.start(tmp_path / name, task, make_config())
        run.fit(should_stop=StopAfter(4 if name == "parts" else 1000))
        paths.append(tmp_path / name / "last.safetensors")
    as_before(paths[1])
    checkpoint = load_checkpoint(paths[1])
    config = TrainingConfig.from_dict(checkpoint.training["settings"])
    assert TrainingRun.resume(paths[1], checkpoint, config, tmp_path / "parts").fit()
    whole, parts, today = (load_checkpoint(path) for path in paths)
    assert parts.config == whole.config
    assert today.config["embedding_dropout"] == 0.0
    same = {name: whole.parameters[name].tobytes() for name in whole.parameters}
    assert {name: array.tobytes() for name, array in parts.parameters.items()} == same
    assert {name: array.tobytes() for name, array in today.parameters.items()} != same


@pytest.mark.parametrize("by", ["vertex", "id"])
def test_dropout_of_embeddings_goes_on_too(tmp_path: Path, by: str) -> None:
    sizes = {**SMALL, "embedding_dropout": 0.4, "embedding_dropout_by": by}
    for name in ("whole", "parts"):
        task = TreeTask.create("tree-lstm", SOURCE, **sizes)
        run = TrainingRun.start(tmp_path / name, task, make_config())
        if not run.fit(should_stop=StopAfter(1000 if name == "whole" else 4)):
            path = tmp_path / name / "last.safetensors"
            checkpoint = load_checkpoint(path)
            config = TrainingConfig.from_dict(checkpoint.training["settings"])
            assert TrainingRun.resume(path, checkpoint, config, tmp_path / name).fit()
    one, other = (
        load_checkpoint(tmp_path / name / "last.safetensors").parameters
        for name in ("whole", "parts")
    )
    assert {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in other.items()}


def test_seeds_make_runs(tmp_path: Path) -> None:
    results = []
    for number, seed in enumerate((1, 1, 2)):
        run = start(tmp_path / str(number), epochs=1, seed=seed)
        run.fit()
        results.append({k: v.copy() for k, v in run.model.state_dict().items()})
    for name, array in results[0].items():
        np.testing.assert_array_equal(results[1][name], array)
    assert any(not np.array_equal(results[2][n], array) for n, array in results[0].items())


def test_it_learns_and_keeps_the_best(tmp_path: Path) -> None:
    source = TreeSource(num_train=400, max_depth=3)
    sizes = {"embedding_size": 16, "hidden_size": 32, "dropout": 0.0}
    task = TreeTask.create("tree-lstm", source, **sizes)
    run = TrainingRun.start(tmp_path, task, make_config(epochs=4, lr=0.1))
    assert run.fit()
    history = run.trainer.history
    losses = [row["loss"] for row in history]
    assert losses == sorted(losses, reverse=True)
    accuracies = [row["dev"]["root_accuracy"] for row in history]
    assert run.trainer.best is not None
    assert run.trainer.best["epoch"] == 1 + int(np.argmax(accuracies))
    assert max(accuracies) > 0.25
    assert run.test is not None
    assert run.test["graphs"] == 1000
    assert files(tmp_path) == ["best.safetensors", "last.safetensors", "metrics.json"]


def test_patience_ends_a_run(tmp_path: Path) -> None:
    run = start(tmp_path, epochs=50, patience=2, lr=1e-9, embedding_lr=1e-9)
    assert run.fit()
    assert run.trainer.best is not None
    assert run.trainer.best["epoch"] == 1
    assert run.trainer.epoch == 3


def test_more_epochs_go_on_where_a_finished_run_ended(tmp_path: Path) -> None:
    assert start(tmp_path, epochs=2).fit()
    path = tmp_path / "last.safetensors"
    checkpoint = load_checkpoint(path)
    again = TrainingRun.resume(path, checkpoint, make_config(epochs=2), tmp_path)
    assert again.fit()
    assert again.trainer.epoch == 2
    more = TrainingRun.resume(path, load_checkpoint(path), make_config(epochs=3), tmp_path)
    assert more.fit()
    whole = start(tmp_path / "whole", epochs=3)
    assert whole.fit()
    assert without_times(more.trainer.history) == without_times(whole.trainer.history)


def test_epochs_at_the_end_are_averaged(tmp_path: Path) -> None:
    """Training is the same; what is judged and kept is the mean of what epochs ended with."""
    settings: dict[str, Any] = {"epochs": 4, "lr": 0.2}
    last = tmp_path / "last.safetensors"
    ends = []
    run = start(tmp_path, **settings | {"epochs": 1})
    for epochs in range(1, 5):
        if epochs > 1:
            config = make_config(**settings | {"epochs": epochs})
            run = TrainingRun.resume(last, load_checkpoint(last), config, tmp_path)
        assert run.fit()
        ends.append(load_checkpoint(last).parameters)
    averaged = start(tmp_path / "averaged", **settings, average=3)
    assert averaged.fit()
    checkpoint = load_checkpoint(tmp_path / "averaged" / "last.safetensors")
    for name, array in ends[3].items():
        np.testing.assert_array_equal(checkpoint.parameters[name], array)
        mean = np.mean([end[name] for end in ends[1:]], axis=0, dtype=np.float64)
        np.testing.assert_allclose(checkpoint.average[name], mean, rtol=1e-5, atol=1e-7)
    assert averaged.trainer.history[0]["dev"] == run.trainer.history[0]["dev"]
    assert averaged.trainer.history[1]["dev"] == run.trainer.history[1]["dev"]
    averaged.model.load_state_dict(checkpoint.average)
    dev = Classification().evaluate(averaged.model, averaged.task.batches("dev"), lambda: False)
    assert dev == averaged.trainer.history[3]["dev"]
    assert dev != run.trainer.history[3]["dev"]

    # More epochs than the run was meant to have: the average begins anew, further on.
    config = make_config(**settings | {"epochs": 6, "average": 3})
    path = tmp_path / "averaged" / "last.safetensors"
    more = TrainingRun.resume(path, load_checkpoint(path), config, tmp_path / "averaged")
    assert more.fit()
    assert load_checkpoint(path).training["progress"]["averaged"] == [4, 5]


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam", "clip_norm": 0.5}])
def test_steps_at_once_train_as_steps_by_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    steps = []
    step = cavs.Model.step

    def counted(*args: Any, **kwargs: Any) -> cavs.Tensor:
        steps.append(args)
        return step(*args, **kwargs)

    monkeypatch.setattr(cavs.Model, "step", counted)
    runs = []
    for number, pushed in enumerate(("loss", None)):
        monkeypatch.setattr(Classification, "pushed", pushed)
        runs.append(start(tmp_path / str(number), **changes))
        assert runs[-1].fit()
    assert len(steps) == runs[0].trainer.step
    for name, array in runs[0].trainer.arrays()["parameters"].items():
        assert array.tobytes() == runs[1].trainer.arrays()["parameters"][name].tobytes()
    at_once, by_parts = (run.trainer.history for run in runs)
    assert [r["dev"] for r in at_once] == [r["dev"] for r in by_parts]
    losses = [[r["loss"] for r in history] for history in (at_once, by_parts)]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_another_training_set_is_refused(tmp_path: Path) -> None:
    assert not start(tmp_path).fit(should_stop=StopAfter(1))
    path = tmp_path / "last.safetensors"
    checkpoint = load_checkpoint(path)
    checkpoint.training["source"]["num_train"] = 61
    with pytest.raises(CheckpointError, match="training set of the run"):
        TrainingRun.resume(path, checkpoint, make_config(), tmp_path)


def spoil_progress(checkpoint: Checkpoint) -> None:
    del checkpoint.training["progress"]["batch"]


def spoil_optimizer(checkpoint: Checkpoint) -> None:
    checkpoint.optimizer.popitem()


def spoil_training(checkpoint: Checkpoint) -> None:
    checkpoint.training.clear()


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (spoil_progress, "expected an integer in .* as progress.batch, got none"),
        (spoil_optimizer, "arrays of Adagrad"),
        (spoil_training, "parameters only"),
    ],
)
def test_half_a_state_is_refused(tmp_path: Path, spoil: Any, match: str) -> None:
    assert not start(tmp_path).fit(should_stop=StopAfter(1))
    path = tmp_path / "last.safetensors"
    checkpoint = load_checkpoint(path)
    spoil(checkpoint)
    with pytest.raises(CheckpointError, match=match):
        TrainingRun.resume(path, checkpoint, make_config(), tmp_path)


def test_trees_with_more_children_than_a_model_reads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected at most 2 children of a vertex for TreeFC"):
        start_model("tree-fc", tmp_path, SOURCE, make_config())


@pytest.mark.parametrize("std", [None, 0.1])
def test_the_unknown_word_begins_as_zeros(data_dir: Path, std: float | None) -> None:
    """Of a treebank all of whose words are kept: nothing is learnt about it, and much of dev is."""
    source = TreeSource(str(data_dir / "sst"))
    sizes = {"embedding_size": 3, "hidden_size": 2, "dropout": 0.0}
    task = TreeTask.create("tree-lstm", source, embedding_std=std, **sizes)
    weight = dict(task.make_function().named_parameters())["embedding.weight"].data
    assert (weight[task.words.unknown_id] == 0).all()
    assert (weight[1:] != 0).all()


@pytest.mark.parametrize("model", ["nary-tree-lstm", "tree-gru"])
def test_other_models_train(tmp_path: Path, model: str) -> None:
    run = start_model(model, tmp_path, SOURCE, make_config(epochs=1))
    assert run.fit()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"epochs": 0}, "expected epochs of at least 1"),
        ({"lr": 0.0}, "expected lr above 0"),
        ({"lr": float("nan")}, "expected lr above 0"),
        ({"average": -1}, "average of at least 0"),
        ({"weight_decay": -1.0}, "weight_decay of at least 0"),
        ({"optimizer": "lbfgs"}, "one of adagrad, adam, adamw, rmsprop, sgd"),
        ({"alpha": 1.0}, "alpha below 1"),
        ({"alpha": "x"}, "alpha of at least 0"),
        ({"centered": 1}, "True or False as centered"),
        ({"labels": "some"}, "one of all, root"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        TrainingConfig(**settings)


def test_scores_are_counted_over_labelled_vertices() -> None:
    class Fixed(cavs.VertexFunction):
        """Says what it is told."""

        def __init__(self) -> None:
            self.zero = cavs.Parameter(np.zeros((), np.float32))

        def forward(self, v: cavs.Vertex) -> None:
            logits = v.pull("logits", 2) + self.zero
            v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))

    graphs = [cavs.InputGraph(children=c) for c in ([[], [], [0, 1]], [[1], []], [[]])]
    labels = np.array([0, -1, 1, 0, 1, -1], np.int32)
    said = np.array([0, 0, 0, 0, 0, 1])
    logits = np.where(said[:, None] == np.arange(2), 1.0, 0.0).astype(np.float32)
    data = Dataset(graphs, vertex={"label": labels, "logits": logits})
    scores = evaluate(cavs.compile(Fixed()), [data.batch([0, 1]), data.batch([2])])
    assert scores is not None
    right, wrong = np.log(1 + np.exp(-1.0)), np.log(1 + np.exp(1.0))
    assert (scores.root_accuracy, scores.vertex_accuracy) == (1 / 2, 2 / 4)
    assert (scores.graphs, scores.vertices) == (3, 4)
    np.testing.assert_allclose(scores.loss, (2 * right + 2 * wrong) / 3, rtol=1e-6)
