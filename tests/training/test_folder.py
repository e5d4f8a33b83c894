"""The folder of a run: one process at a time, and nothing left of killed ones."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cavs._files import write_atomically
from cavs.errors import CavsError, CheckpointError, InputError
from cavs.training.folder import LOCK, RunFolder, _make_new

HOLD = """
import sys, time
from pathlib import Path
from cavs.training.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
folder.open()
print("open", flush=True)
time.sleep(60)
"""


def test_a_second_run_is_kept_out_until_the_first_process_has_died(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    with pytest.raises(InputError, match="expected a folder that no other run writes to") as said:
        RunFolder(tmp_path).open()
    assert "\n" not in str(said.value)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with RunFolder(tmp_path).opened() as folder:
        assert folder.locked
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_of_one_process_is_kept_out_too(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a").opened() as folder:
        with pytest.raises(InputError, match="no other run writes to"):
            RunFolder(tmp_path / "a").open()
        with folder.opened():
            folder.check()
        folder.check()  # what is opened within does not close it
        assert (tmp_path / "a").is_dir()


def test_a_folder_that_nothing_was_written_to_goes_again(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a").opened():
        pass
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").mkdir()
    with RunFolder(tmp_path / "b").opened():
        pass
    assert (tmp_path / "b").is_dir()


def test_new_folders_are_numbered_whoever_makes_them(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / "runs" / "x", new=True) for _ in range(4)]
    for folder in folders:
        folder.open()
    assert [folder.path.name for folder in folders] == ["x", "x-2", "x-3", "x-4"]
    for folder in folders:
        folder.close()


def test_a_file_that_comes_between_looking_and_making_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process made the folder just before."""
    mkdir = Path.mkdir

    def late(self: Path, *args: Any, **options: Any) -> None:
        if self.name == "x" and not options.get("exist_ok"):
            mkdir(self)
        mkdir(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", late)
    with RunFolder(tmp_path / "x", new=True).opened() as folder:
        assert folder.path.name == "x-2"


@pytest.mark.parametrize("locks_files", [True, False])
def test_file_systems_that_cannot_lock_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks_files: bool
) -> None:
    """As NFS does; or one that locks nothing, of which the run says so."""
    flock = fcntl.flock

    def limited(handle: int, operation: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}") or not locks_files:
            raise OSError(errno.EBADF if locks_files else errno.ENOLCK, "no locks")
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", limited)
    half = tmp_path / ".last.safetensors.abcdefgh.tmp"
    half.touch()
    with RunFolder(tmp_path).opened() as folder:
        assert folder.locked == locks_files
        folder.clear(("last.safetensors",))  # of a run that is writing it, perhaps
        assert half.exists() != locks_files
        assert (tmp_path / LOCK).exists()
        if locks_files:
            with pytest.raises(InputError, match="no other run writes to"):
                RunFolder(tmp_path).open()


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_was_removed_is_noticed(tmp_path: Path, again: bool) -> None:
    with RunFolder(tmp_path / "a").opened() as folder:
        folder.check()
        (tmp_path / "a").rmdir()
        if again:
            (tmp_path / "a").mkdir()
        with pytest.raises(CheckpointError, match=r"expected the folder .*a that the run began"):
            folder.check()


def test_a_folder_that_is_not_open_is_not_written_to(tmp_path: Path) -> None:
    with pytest.raises(CavsError, match="expected an open folder"):
        RunFolder(tmp_path).check()


def test_folders_that_cannot_be_written_to_are_refused_at_once() -> None:
    with pytest.raises((CheckpointError, OSError)):
        RunFolder(Path("/proc/self")).open()
    with pytest.raises(OSError, match="No such file or directory"):
        RunFolder(Path("/proc/no")).open()


def test_what_killed_runs_left_is_cleared(tmp_path: Path) -> None:
    killed = (
        "import os, signal, sys, cavs._files as files\n"
        "files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_atomically(sys.argv[1], b'half')\n"
    )
    for name in ("last.safetensors", "best.safetensors", "other.safetensors"):
        command = [sys.executable, "-c", killed, str(tmp_path / name)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    kept = [".last.safetensors.old.tmp", ".last.safetensors.abcdefgh", "last.safetensors.tmp"]
    for name in kept:
        (tmp_path / name).touch()
    assert len(list(tmp_path.iterdir())) == 6
    with RunFolder(tmp_path).opened() as folder:
        folder.clear(("last.safetensors", "best.safetensors"))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left[0].startswith(".last.safetensors.abcdefgh")
    assert next(name for name in left if name not in kept).startswith(".other.safetensors.")
    assert len(left) == 4


def test_files_are_written_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"one")
    write_atomically(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("below", ["", "deep/"])
def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"got .*run, in whose way a file is"):
        _make_new(tmp_path / "file" / f"{below}run")
