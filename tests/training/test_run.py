"""What is kept of a run is that run's, whatever happens, and nothing of another is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopping import StopAfter

from cavs.cli import main
from cavs.errors import CheckpointError, InputError
from cavs.training import (
    TrainingConfig,
    TrainingRun,
    TreeSource,
    TreeTask,
    load_checkpoint,
    save_checkpoint,
)
from cavs.training.run import BEST, LAST, METRICS

TINY = ["--num-train", "60", "--max-depth", "3", "--embedding-size", "6", "--hidden-size", "8"]
SOURCE = TreeSource(num_train=60, max_depth=3)
SIZES: dict[str, Any] = {"embedding_size": 6, "hidden_size": 8, "dropout": 0.2}


def start(directory: Path, model: str = "tree-lstm", **options: Any) -> TrainingRun:
    config = TrainingConfig(epochs=3, batch_size=25)
    return TrainingRun.start(directory, TreeTask.create(model, SOURCE, **SIZES), config, **options)


def resume(path: Path, directory: Path, epochs: int = 3, **options: Any) -> TrainingRun:
    config = TrainingConfig(epochs=epochs, batch_size=25)
    return TrainingRun.resume(path, load_checkpoint(path), config, directory, **options)


def owners(directory: Path) -> set[Any]:
    """Whose the files of a folder are."""
    found = {load_checkpoint(directory / name).training["run"] for name in (LAST, BEST)}
    return found | {json.loads((directory / METRICS).read_text())["run"]}


def copy(directory: Path, to: Path) -> Path:
    shutil.copytree(directory, to)
    return to


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of three epochs."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    assert start(directory).fit()
    return directory


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of another model."""
    directory = tmp_path_factory.mktemp("another") / "run"
    assert start(directory, "tree-gru").fit()
    return directory


def test_all_files_say_whose_they_are(finished: Path, another: Path) -> None:
    assert len(owners(finished)) == 1
    assert owners(finished) != owners(another)


def test_what_goes_on_elsewhere_has_its_best_there(finished: Path, tmp_path: Path) -> None:
    """It wrote none, and nothing to go on from, and printed the path of the best all the same."""
    there = tmp_path / "there"
    assert resume(finished / LAST, there).fit()
    assert owners(there) == owners(finished)
    for name in (LAST, BEST):
        mine, its = (load_checkpoint(folder / name) for folder in (finished, there))
        for key, array in mine.parameters.items():
            assert array.tobytes() == its.parameters[key].tobytes()
    assert resume(there / LAST, there, epochs=4).fit()


@pytest.mark.parametrize("left", [(LAST, BEST, METRICS), (BEST,), (METRICS,), (LAST,)])
def test_the_folder_of_another_run_is_refused(
    finished: Path, another: Path, tmp_path: Path, left: tuple[str, ...]
) -> None:
    there = copy(another, tmp_path / "there")
    for name in {LAST, BEST, METRICS} - set(left):
        (there / name).unlink()
    before = {path.name: path.read_bytes() for path in there.iterdir()}
    for run in (resume(finished / LAST, there), start(there)):
        with pytest.raises(InputError, match="expected a folder without another run") as said:
            run.fit()
        assert "--overwrite" in str(said.value)
        assert "\n" not in str(said.value)
    assert {path.name: path.read_bytes() for path in there.iterdir()} == before
    assert resume(finished / LAST, there, overwrite=True).fit()
    assert owners(there) == owners(finished)


def test_a_run_does_not_fall_behind_itself(finished: Path, tmp_path: Path) -> None:
    """Going on once more from where a copy began would undo what the copy came to."""
    there = tmp_path / "there"
    assert resume(finished / LAST, there, epochs=4).fit()
    with pytest.raises(InputError, match="has done 4 epochs") as said:
        resume(finished / LAST, there, epochs=5).fit()
    assert f"--resume {there / LAST}" in str(said.value)
    assert resume(finished / LAST, there, epochs=5, overwrite=True).fit()


def test_of_two_that_go_on_from_one_file_one_is_refused(finished: Path, tmp_path: Path) -> None:
    """Both had read it before either was writing."""
    there = copy(finished, tmp_path / "there")
    first, second = (resume(there / LAST, there, epochs=4) for _ in range(2))
    with first.writing(), pytest.raises(InputError, match="no other run writes to"):
        second.fit()
    assert first.fit()
    with pytest.raises(InputError, match="has done 4 epochs"):
        second.fit()
    assert resume(there / LAST, there, epochs=4).fit()


@pytest.mark.parametrize("spoil", ["missing", "another's", "damaged", "older"])
def test_the_best_is_put_right(finished: Path, another: Path, tmp_path: Path, spoil: str) -> None:
    """A process may have ended between one file and the next, or been of another program."""
    there = copy(finished, tmp_path / "there")
    best = there / BEST
    expected = load_checkpoint(best).parameters
    if spoil == "missing":
        best.unlink()
    elif spoil == "another's":
        shutil.copy(another / BEST, best)
    elif spoil == "damaged":
        best.write_bytes(best.read_bytes()[:100])
    else:
        older = load_checkpoint(best)
        older.training["best"] = {**older.training["best"], "epoch": 0}
        for array in older.parameters.values():
            array += 1
        save_checkpoint(best, older)
    assert resume(there / LAST, there).fit()
    assert owners(there) == owners(finished)
    found = load_checkpoint(best).parameters
    assert {k: v.tobytes() for k, v in found.items()} == {
        k: v.tobytes() for k, v in expected.items()
    }


def test_the_best_that_vanishes_while_training_is_there_at_the_end(tmp_path: Path) -> None:
    class Vandal:
        def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
            pass

        def step_done(self, graphs: int, loss: float) -> None:
            pass

        def epoch_ends(self, record: Any, improved: bool) -> None:
            (tmp_path / BEST).unlink(missing_ok=True)

    assert start(tmp_path).fit(Vandal())
    assert len(owners(tmp_path)) == 1


def test_a_run_that_is_replaced_leaves_nothing(another: Path, tmp_path: Path) -> None:
    """--overwrite and Ctrl-C in the first epoch left the best of another model."""
    there = copy(another, tmp_path / "there")
    run = start(there, overwrite=True)
    assert not run.fit(should_stop=StopAfter(1))
    assert sorted(path.name for path in there.iterdir()) == [LAST, METRICS]
    assert load_checkpoint(there / LAST).training["run"] == run.identity
    assert resume(there / LAST, there).fit()
    assert owners(there) == {run.identity}


def test_a_run_that_cannot_be_saved_replaces_nothing(
    another: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = copy(another, tmp_path / "there")
    before = {path.name: path.read_bytes() for path in there.iterdir()}
    run = start(there, overwrite=True)

    def full(*_: Any) -> None:
        raise CheckpointError("[checkpoint] full")

    monkeypatch.setattr("cavs.training.run.save_checkpoint", full)
    with pytest.raises(CheckpointError):
        run.fit()
    assert {path.name: path.read_bytes() for path in there.iterdir()} == before


def test_runs_from_before_there_was_an_identity_go_on(finished: Path, tmp_path: Path) -> None:
    there = copy(finished, tmp_path / "there")
    for name in (LAST, BEST):
        checkpoint = load_checkpoint(there / name)
        del checkpoint.training["run"]
        save_checkpoint(there / name, checkpoint)
    (there / METRICS).write_text("{}")
    assert resume(there / LAST, there, epochs=4).fit()
    assert len(owners(there)) == 1


@pytest.mark.parametrize("change", ["removed", "replaced"])
def test_a_folder_that_goes_while_training_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "run"
    save, saved = TrainingRun.save_last, []

    def vanishing(self: TrainingRun) -> None:
        saved.append(1)
        if len(saved) == 2:
            shutil.rmtree(there)
            if change == "replaced":
                there.mkdir()
        save(self)

    monkeypatch.setattr(TrainingRun, "save_last", vanishing)
    train = ["train", "tree-lstm", *TINY, "--epochs", "3", "--output", str(there), "--quiet"]
    assert main(train) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "that the run began in" in error
    assert not there.exists() or not list(there.iterdir())


LIMITED = """
import resource, sys
from cavs.cli import main
from cavs.training import run
save, saved = run.save_checkpoint, []
def limited(path, checkpoint):
    saved.append(path)
    if len(saved) > int(sys.argv[1]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    save(path, checkpoint)
run.save_checkpoint = limited
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_full_disk_is_one_line_and_the_last_good_checkpoint_stays(
    tmp_path: Path, writes: int
) -> None:
    train = ["train", "tree-lstm", *TINY, "--epochs", "3", "--output", str(tmp_path), "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(writes), *train],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "File too large" in done.stderr
    names = {path.name for path in tmp_path.iterdir()}
    assert names == set([LAST, BEST, METRICS][: 0 if not writes else 1 if writes == 1 else 3])
    if writes:
        assert main([*train[:2], "--resume", str(tmp_path / LAST), "--quiet"]) == 0
        assert len(owners(tmp_path)) == 1


def test_metrics_that_cannot_be_written_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / METRICS / "in the way").mkdir(parents=True)
    train = ["train", "tree-lstm", *TINY, "--epochs", "1", "--output", str(tmp_path), "--quiet"]
    assert main(train) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1


def together(cwd: Path, *options: str) -> list[tuple[int, str]]:
    """Two trainings that begin together: exit codes and what they said on standard error."""
    train = [sys.executable, "-m", "cavs", "train", "tree-lstm", *TINY, "--epochs", "2", "--quiet"]
    processes = [
        subprocess.Popen(
            [*train, *options],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    return [(p.returncode, s) for p, s in zip(processes, said, strict=True)]


def test_two_runs_without_a_folder_come_to_two(tmp_path: Path) -> None:
    assert together(tmp_path) == [(0, ""), (0, "")]
    folders = sorted((tmp_path / "runs").iterdir())
    assert [folder.name for folder in folders] == ["tree-lstm-listops", "tree-lstm-listops-2"]
    assert owners(folders[0]) != owners(folders[1])


def test_of_two_runs_in_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    """Whether the first is still writing or has just ended."""
    codes = together(tmp_path, "--output", str(tmp_path / "run"))
    assert sorted(code for code, _ in codes) == [0, 1]
    (error,) = [said for code, said in codes if code]
    assert error.count("\n") == 1
    assert "no other run writes to" in error or "--overwrite" in error
    assert len(owners(tmp_path / "run")) == 1


def test_temporary_files_of_killed_runs_go(finished: Path, tmp_path: Path) -> None:
    there = copy(finished, tmp_path / "there")
    for name in (LAST, BEST, METRICS):
        (there / f".{name}.a1b2_3cd.tmp").write_bytes(b"half")
    assert resume(there / LAST, there).fit()
    assert sorted(path.name for path in there.iterdir()) == sorted([LAST, BEST, METRICS])


def test_ctrl_c_while_the_test_set_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said that the run was stopped in epoch 3 of 2."""
    batches: Callable[..., Any] = TreeTask.batches

    def interrupted(self: TreeTask, split: str) -> Any:
        if split == "test":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        return batches(self, split)

    train = ["train", "tree-lstm", *TINY, "--epochs", "2", "--output", str(tmp_path), "--quiet"]
    assert threading.current_thread() is threading.main_thread()
    with monkeypatch.context() as patch:
        patch.setattr(TreeTask, "batches", interrupted)
        assert main(train) == 130
    error = capsys.readouterr().err
    assert "stopped after epoch 2, while the test set was scored; go on with:" in error
    assert main(["train", "tree-lstm", "--resume", str(tmp_path / LAST), "--quiet"]) == 0
    assert json.loads((tmp_path / METRICS).read_text())["test"]["graphs"] == 1000
    whole = tmp_path / "whole"
    assert main([*train[:-2], str(whole), "--quiet"]) == 0
    one, other = (load_checkpoint(folder / LAST) for folder in (tmp_path, whole))
    assert {k: v.tobytes() for k, v in one.parameters.items()} == {
        k: v.tobytes() for k, v in other.parameters.items()
    }


def test_progress_says_how_many_epochs_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "tree-lstm", *TINY, "--epochs", "2", "--output", str(tmp_path)]
    assert main(train) == 0
    assert "epoch   2/2  loss" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["-1", str(2**64), "x"])
def test_seeds_out_of_range_name_the_range(capsys: pytest.CaptureFixture[str], value: str) -> None:
    assert main(["train", "tree-lstm", f"--seed={value}"]) == 2
    assert "0..18446744073709551615" in capsys.readouterr().err
    assert main(["train", "tree-lstm", "--help"]) == 0
    assert "0..2**64-1" in capsys.readouterr().out.replace("\n", " ")


def test_options_that_are_off_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "tree-lstm", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "0: any" not in said
    assert said.count("0: off") == 3
