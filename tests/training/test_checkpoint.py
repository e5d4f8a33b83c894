"""Checkpoints: whole at any moment, and refused where they do not fit."""

import errno
import json
import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import cavs
from cavs.data import Vocabulary
from cavs.errors import CheckpointError
from cavs.training import Checkpoint, load_checkpoint, load_model, save_checkpoint
from cavs.training.tasks import make_function

CONFIG = {"vocab_size": 4, "embedding_size": 3, "hidden_size": 2, "num_classes": 3}


def make_checkpoint(seed: int = 0, **changes: Any) -> Checkpoint:
    cavs.nn.init.manual_seed(seed)
    config = {**CONFIG, **changes}
    function = make_function("tree-lstm", config)
    return Checkpoint(
        "tree-lstm",
        config,
        Vocabulary(["<unk>", "a", "b", "\u00e9"]),
        function.state_dict(),
        optimizer={"u_f.weight.state_sum": np.ones((2, 2), np.float32), "step": np.array(7)},
        best={"x": np.zeros((0, 3), np.float64)},
        training={"progress": {"loss": 0.1 + 0.2, "history": []}},
    )


def arrays_of(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    return [checkpoint.parameters, checkpoint.optimizer, checkpoint.best]


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    before = make_checkpoint()
    save_checkpoint(path, before)
    after = load_checkpoint(path)
    assert (after.model, after.config, after.training) == (
        before.model,
        before.config,
        before.training,
    )
    assert after.vocabulary == before.vocabulary
    for mine, theirs in zip(arrays_of(before), arrays_of(after), strict=True):
        assert mine.keys() == theirs.keys()
        for name, array in mine.items():
            assert theirs[name].dtype == array.dtype
            assert theirs[name].shape == array.shape
            assert theirs[name].tobytes() == array.tobytes()
    assert os.listdir(tmp_path) == [path.name]


def test_the_umask_is_never_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread would make files for everybody to write to meanwhile."""

    def umask(mask: int) -> int:
        raise AssertionError("the umask is all threads'")

    monkeypatch.setattr(os, "umask", umask)
    save_checkpoint(tmp_path / "a", make_checkpoint())


def test_a_checkpoint_has_the_permissions_of_any_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", make_checkpoint())
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


WRITE_LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_checkpoint import make_checkpoint
from cavs.errors import CheckpointError
from cavs.training import save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
try:
    save_checkpoint(sys.argv[1], make_checkpoint(1))
except CheckpointError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, make_checkpoint(0))
    content = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", WRITE_LIMITED, str(path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[checkpoint]" in done.stdout
    assert "expected to write it, got File too large" in done.stdout
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected to write it, got No such file"):
        save_checkpoint(tmp_path / "no" / "last.safetensors", make_checkpoint())


@pytest.mark.parametrize("share", [0, 0.004, 0.1, 0.5, 0.9, 0.9999])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, make_checkpoint())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="truncated, damaged or a file of another kind"):
        load_checkpoint(path)


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any, mode: str) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    # Root may read all files, so that none can be made that this process may not.
    monkeypatch.setattr("cavs.training.checkpoint.open", refuse, raising=False)
    for read in (load_checkpoint, cavs.load):
        with pytest.raises(CheckpointError, match="may not be read; check its permissions"):
            read(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("not a checkpoint at all, but long enough to have eight bytes")
    with pytest.raises(CheckpointError, match="file of another kind"):
        load_checkpoint(text)
    with pytest.raises(
        CheckpointError, match="expected a checkpoint, got a directory; name the file in it"
    ):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="got no such file"):
        load_checkpoint(tmp_path / "b")
    other = tmp_path / "c.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, other)
    with pytest.raises(CheckpointError, match="expected a checkpoint of cavs"):
        load_checkpoint(other)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format_version": "99"}, "expected format version 1, got 99"),
        ({"config": "[1, 2"}, "expected metadata of cavs"),
        ({"vocabulary": json.dumps({"tokens": ["a", "a"], "unknown": None})}, "metadata of cavs"),
        ({"training": None}, "expected metadata of cavs"),
    ],
)
def test_metadata_of_another_kind_is_refused(
    tmp_path: Path, changes: dict[str, str | None], match: str
) -> None:
    path = tmp_path / "last.safetensors"
    metadata = {
        "format": "cavs-checkpoint",
        "format_version": "1",
        "model": "tree-lstm",
        "config": "{}",
        "vocabulary": json.dumps({"tokens": ["<unk>"], "unknown": "<unk>"}),
        "training": "{}",
    }
    changed = {k: v for k, v in {**metadata, **changes}.items() if v is not None}
    save_file({"model.x": np.zeros(1, np.float32)}, path, changed)
    with pytest.raises(CheckpointError, match=match):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda p: p.pop("u_f.weight"),
            r"expected parameter 'u_f.weight' of shape \(2, 2\), got none",
        ),
        (lambda p: p.update(more=np.zeros(1, np.float32)), "got 'more' too"),
        (
            lambda p: p.update({"w_f.bias": np.zeros(3, np.float32)}),
            r"expected parameter 'w_f.bias' as float32 \(2,\), got float32 \(3,\)",
        ),
        (
            lambda p: p.update({"w_f.bias": np.zeros(2)}),
            r"expected parameter 'w_f.bias' as float32 \(2,\), got float64 \(2,\)",
        ),
    ],
)
def test_parameters_of_another_model_are_refused(change: Any, match: str) -> None:
    checkpoint = make_checkpoint()
    change(checkpoint.parameters)
    with pytest.raises(CheckpointError, match=match):
        load_model("file", checkpoint, checkpoint.parameters)


@pytest.mark.parametrize(
    ("model", "config", "match"),
    [
        ("transformer", CONFIG, "one of the models"),
        ("tree-lstm", {**CONFIG, "heads": 2}, "unexpected keyword argument 'heads'"),
    ],
)
def test_models_that_there_are_not_are_refused(
    model: str, config: dict[str, Any], match: str
) -> None:
    with pytest.raises(CheckpointError, match=match):
        make_function(model, config)


def test_a_checkpoint_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    checkpoint = make_checkpoint()
    save_checkpoint(path, checkpoint)
    arrays = load_file(path)
    for name, array in checkpoint.parameters.items():
        np.testing.assert_array_equal(arrays[f"model.{name}"], array)


def with_metadata(path: Path, **changes: str) -> Path:
    """A checkpoint that says something else of itself."""
    save_checkpoint(path, make_checkpoint())
    with safe_open(str(path), framework="numpy") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, {**metadata, **changes})
    return path


def refused(path: Path, read: Callable[[Path], Any] = load_checkpoint) -> str:
    """The one line of a CheckpointError that names the file."""
    with pytest.raises(CheckpointError) as said:
        read(path)
    text = str(said.value)
    assert "\n" not in text
    assert str(path) in text
    assert len(text) < 2000
    return text


@pytest.mark.parametrize("part", ["config", "vocabulary", "training"])
@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "", "1", '"x"', "[]", "[1]", "9" * 5000, "{", "NaN", "true"],
)
def test_metadata_of_any_json_is_one_line(tmp_path: Path, part: str, text: str) -> None:
    refused(with_metadata(tmp_path / "a", **{part: text}))


@pytest.mark.parametrize(
    "vocabulary",
    [
        {},
        {"tokens": ["a"]},
        {"unknown": None},
        {"tokens": "abc", "unknown": None},
        {"tokens": [1, 2, 3, 4], "unknown": None},
        {"tokens": [None] * 4, "unknown": None},
        {"tokens": {"a": 1}, "unknown": None},
        {"tokens": ["a", "b", "a", "c"], "unknown": None},
        {"tokens": ["a", "b"], "unknown": "c"},
        {"tokens": ["a", "b"], "unknown": ["a"]},
        {"tokens": ["a", "\ud800"], "unknown": None},
        {"tokens": [["a"]], "unknown": None},
    ],
)
def test_vocabularies_that_are_none_are_one_line(tmp_path: Path, vocabulary: Any) -> None:
    refused(with_metadata(tmp_path / "a", vocabulary=json.dumps(vocabulary)))


@pytest.mark.parametrize("name", ["source", "made_with", "settings", "progress"])
@pytest.mark.parametrize("value", [None, 1, "x", []])
def test_parts_of_training_are_dictionaries(tmp_path: Path, name: str, value: Any) -> None:
    said = refused(with_metadata(tmp_path / "a", training=json.dumps({name: value})))
    assert f"training.{name}" in said


def loaded(path: Path) -> Any:
    checkpoint = load_checkpoint(path)
    return load_model(path, checkpoint, checkpoint.parameters)


@pytest.mark.parametrize(
    "changes",
    [
        *[{"hidden_size": size} for size in (3, 0, -1, 10**6, 10**30, 2.5, "2", None, [2], True)],
        *[{"vocab_size": size} for size in (5, 3, 10**9, "4", None)],
        *[{"dropout": p} for p in (-1, 1, 2.0, float("nan"), "0.5", None, [], 10**400)],
        *[{"embedding_dropout_by": by} for by in ("x", None, 1, [])],
        {"heads": 2},
        {"": 2},
    ],
)
def test_arguments_that_do_not_go_with_the_arrays_are_one_line(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = json.dumps({**CONFIG, **changes})
    tracemalloc.start()
    refused(with_metadata(tmp_path / "a", config=config), loaded)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.parametrize("missing", list(CONFIG))
def test_arguments_that_are_missing_are_one_line(tmp_path: Path, missing: str) -> None:
    config = {name: value for name, value in CONFIG.items() if name != missing}
    refused(with_metadata(tmp_path / "a", config=json.dumps(config)), loaded)


@pytest.mark.parametrize("model", ["x", "", "tree-gru", "vae", "lm", "parser", "a\nb", "x" * 5000])
def test_models_of_another_name_are_one_line(tmp_path: Path, model: str) -> None:
    refused(with_metadata(tmp_path / "a", model=model), loaded)


@pytest.mark.parametrize(
    "vocabulary",
    [None, {"tokens": ["a"], "unknown": None}, {"tokens": list("abcde"), "unknown": None}],
)
def test_vocabularies_of_another_size_are_one_line(tmp_path: Path, vocabulary: Any) -> None:
    text = json.dumps(vocabulary)
    assert "vocabulary of 4 words" in refused(
        with_metadata(tmp_path / "a", vocabulary=text), loaded
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    checkpoint = make_checkpoint()
    checkpoint.parameters["u_f.weight"] = np.full((2, 2), value, np.float32)
    save_checkpoint(tmp_path / "a", checkpoint)
    assert "finite numbers as parameter 'u_f.weight'" in refused(tmp_path / "a", loaded)


def with_header(path: Path, tensors: Any, content: bytes = b"") -> Path:
    header = json.dumps({"__metadata__": {"format": "cavs-checkpoint", "format_version": "1"}})
    text = (header[:-1] + ", " + json.dumps(tensors)[1:]).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("BF16", [2], 4),
        ("F8_E4M3", [4], 4),
        ("F32", [0, 10**18, 10**18], 0),
        ("F32", [1] * 100, 4),
        ("F32", [10**12], 4 * 10**12),
        ("F32", [-1], 4),
        ("X", [1], 4),
    ],
)
def test_headers_that_numpy_cannot_hold_are_one_line(
    tmp_path: Path, dtype: str, shape: list[int], size: int
) -> None:
    entry = {"model.x": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}
    refused(with_header(tmp_path / "a", entry, bytes(min(size, 4))))


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        assert "it is no regular file" in refused(path)
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(CheckpointError):
            load_checkpoint(name)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"a": object()}},
        {"training": {"a": {1, 2}}},
        {"parameters": {"a": np.array([object()])}},
        {"parameters": {"a": np.array(["x"])}},
        {"model": 3},
    ],
)
def test_what_cannot_be_kept_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    before = make_checkpoint()
    refused(tmp_path / "a", lambda path: save_checkpoint(path, replace(before, **changes)))
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_prints_one_short_line() -> None:
    checkpoint = make_checkpoint(vocab_size=40_000)
    printed = repr(checkpoint)
    assert len(printed) < 200
    assert printed.isprintable()
    for part in (
        "Checkpoint of the model 'tree-lstm'",
        f"{len(checkpoint.parameters)} parameters",
        "4 tokens",
    ):
        assert part in printed


def test_where_there_is_no_best_checkpoint_yet_the_last_one_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.safetensors", make_checkpoint())
    with pytest.raises(CheckpointError, match=r"no such file; take .*last.safetensors, which is"):
        load_checkpoint(tmp_path / "best.safetensors")
