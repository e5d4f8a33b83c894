"""Checkpoints: whole at any moment, and refused where they do not fit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("not a checkpoint at all, but long enough to have eight bytes")
    with pytest.raises(CheckpointError, match="file of another kind"):
        load_checkpoint(text)
    with pytest.raises(CheckpointError, match="it is a directory"):
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
