"""What shells do to the streams of the command, and Ctrl-C: a line or silence, no more."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cavs.bench.workloads import find
from cavs.cli import main
from cavs.cli._options import number
from cavs.data import Vocabulary, load_sst, parse_listops, parse_tree
from cavs.errors import DataError
from cavs.models import ChildSumTreeLSTM
from cavs.training import Checkpoint, save_checkpoint

COMMAND = f"exec {sys.executable} -m cavs"
Done = subprocess.CompletedProcess[bytes]


def shell(line: str, stdin: bytes = b"", **environment: str) -> Done:
    """A command line after `cavs`, as a shell runs it."""
    done = subprocess.run(
        ["sh", "-c", f"{COMMAND} {line}"],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
    for noise in (b"Traceback", b"Exception ignored"):
        assert noise not in done.stderr, done.stderr.decode()
    assert done.stderr.count(b"\n") <= 2
    return done


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a classifier of trees whose words are not ASCII."""
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    words = Vocabulary(["<unk>", "schön", "ж"])
    sizes = {"embedding_size": 2, "hidden_size": 2, "num_classes": 5}
    function = ChildSumTreeLSTM(len(words), **sizes)
    made = Checkpoint(
        model="tree-lstm",
        config={"vocab_size": len(words), **sizes},
        parameters={name: np.array(x) for name, x in function.state_dict().items()},
        vocabulary=words,
    )
    save_checkpoint(path, made)
    return path


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids=str,
)
def test_predictions_are_utf_8_whatever_the_locale(
    checkpoint: Path, environment: dict[str, str]
) -> None:
    trees = "(1 (2 schön) (3 ж))\n".encode()
    done = shell(f"predict {checkpoint} --all", trees, **environment)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\(\d \(\d schön\) \(\d ж\)\)\n", done.stdout.decode("utf-8"))


def test_a_byte_order_mark_is_dropped(checkpoint: Path) -> None:
    plain = b"(1 (2 a) (3 b))\n"
    with_mark = shell(f"predict {checkpoint}", b"\xef\xbb\xbf" + plain)
    assert with_mark.returncode == 0, with_mark.stderr
    assert with_mark.stdout == shell(f"predict {checkpoint}", plain).stdout
    for empty in (b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"):
        assert b"got none" in shell(f"predict {checkpoint}", empty).stderr


@pytest.mark.parametrize(
    "line", ["info >&-", "info 1>/dev/full", "--help >/dev/full", "info >&- 2>&-"]
)
def test_an_output_that_nobody_can_read_is_an_error(line: str) -> None:
    done = shell(line)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"cavs: ") == ("2>&-" not in line)


def test_a_training_that_prints_to_a_full_disk_says_so(tmp_path: Path) -> None:
    sizes = "--num-train 20 --max-depth 2 --hidden-size 4 --embedding-size 4 --epochs 1"
    done = shell(f"train tree-lstm {sizes} --output {tmp_path / 'run'} >/dev/full")
    assert done.returncode == 1
    assert done.stderr == b"cavs: standard output: No space left on device\n"


def test_closed_streams_that_are_not_needed_are_no_error(checkpoint: Path) -> None:
    done = shell("info 2>&- <&-")
    assert done.returncode == 0
    assert done.stdout.startswith(b"cavs ")
    said = shell(f"predict {checkpoint} <&-")
    assert (said.returncode, said.stdout) == (1, b"")
    assert b"expected trees" in said.stderr
    for closed in ("2>&-", "2>/dev/full"):
        done = shell(f"predict /nowhere/at.all {closed}")
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_files_do_not_take_the_place_of_closed_streams(tmp_path: Path) -> None:
    done = shell(f"draw tree-lstm -o {tmp_path / 'f.svg'} >&- 2>&- <&-")
    assert done.returncode in (0, 1)
    assert (tmp_path / "f.svg").read_text().startswith("<svg")


def test_a_bad_option_says_what_is_wrong_first_and_one_line_of_usage() -> None:
    for line, message in (
        ("train tree-lstm --lr x", "--lr"),
        ("nonsense", "nonsense"),
        ("predict", "checkpoint"),
    ):
        done = shell(line)
        assert done.returncode == 2
        first, second = done.stderr.decode().splitlines()
        assert first.startswith("cavs: ")
        assert message in first
        assert second.startswith("usage: cavs")


HOSTILE = "\x1b[31m\x9b2J\u202e"


@pytest.mark.parametrize(
    "line",
    [
        f"evaluate '{HOSTILE}'",
        f"evaluate a --model '{HOSTILE}.py:A'",
        f"train '{HOSTILE}.py:A'",
        f"train tree-lstm --data '{HOSTILE}'",
        f"train tree-lstm --config '{HOSTILE}'",
        f"train tree-lstm --resume '{HOSTILE}'",
        f"'{HOSTILE}'",
        f"draw lstm -o '{HOSTILE}'",
        f"draw tree-lstm -o '/no/{HOSTILE}.svg'",
        f"draw --tree '(1 {HOSTILE}'",
    ],
)
def test_errors_show_escapes_and_have_none(line: str) -> None:
    done = shell(line)
    assert done.returncode in (1, 2)
    assert all(part.isprintable() for part in done.stderr.decode().splitlines()), done.stderr


def test_a_terminal_follows_no_escape_of_data(checkpoint: Path) -> None:
    """What is piped is as it was; what a terminal gets moves no cursor."""
    trees = f"(1 (2 schön) (3 \xa0{HOSTILE}))\n".encode()
    assert shell(f"predict {checkpoint} --all", trees).stdout.endswith(HOSTILE.encode() + b"))\n")
    master, terminal = os.openpty()
    process = subprocess.Popen(
        ["sh", "-c", f"{COMMAND} predict {checkpoint} --all"],
        stdin=subprocess.PIPE,
        stdout=terminal,
    )
    process.communicate(trees, timeout=120)
    os.close(terminal)
    said = os.read(master, 1000).decode()
    os.close(master)
    assert process.returncode == 0
    assert re.fullmatch(r"\(\d \(\d schön\) \(\d \xa0\\x1b\[31m\\x9b2J\\u202e\)\)\r\n", said), said


def test_no_number_is_negative_zero() -> None:
    assert str(number(0)("-0")) == "0.0"
    assert main(["train", "tree-lstm", "--embedding-std", "-0", "--epochs", "0"]) == 2


@pytest.mark.parametrize("delay", [0.15, 0.3, 0.6])
def test_ctrl_c_while_the_command_starts_is_silent(delay: float) -> None:
    command = ["sh", "-c", f"{COMMAND} bench --quick --seconds 5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    # Python itself is not ours until it comes to the package.
    assert b"/cavs/" not in said, said
    assert process.returncode in (130, -signal.SIGINT, 1)


def test_ctrl_c_at_work_is_one_line() -> None:
    script = (
        "import os, signal, sys\n"
        "sys.argv = ['cavs', 'info']\n"
        "from cavs.cli import info, main\n"
        "info.run.__code__ = (lambda options: os.kill(os.getpid(), signal.SIGINT)).__code__\n"
        "info.run.__globals__.update(os=os, signal=signal)\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"cavs: interrupted\n")


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_tree, "(" * 20_000_000),
        (parse_tree, ")" * 20_000_000),
        (parse_tree, "a" * 20_000_000),
        (parse_tree, "(" + "9" * 20_000_000 + " a)"),
        (parse_tree, "(1 " * 300_000),
        (parse_listops, "[" * 20_000_000),
        (parse_listops, "9" * 20_000_000),
        (parse_listops, "[MAX " * 300_000),
    ],
    ids=lambda x: x[:3] if isinstance(x, str) else x.__name__,
)
def test_a_huge_line_that_is_no_tree_is_refused_at_once(parse: object, text: str) -> None:
    began = time.process_time()
    with pytest.raises(DataError) as caught:
        parse(text)  # type: ignore[operator]
    assert time.process_time() - began < 100  # a second or so; what is quadratic takes days
    assert len(str(caught.value)) <= 1100


def test_memory_of_a_huge_line_is_bounded() -> None:
    script = (
        "import resource, cavs\n"
        "from cavs.data import parse_tree, parse_listops\n"
        "def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "texts = ['(' * 20_000_000, '(1 ' * 2_000_000]\n"
        "before = most()\n"
        "for text in texts:\n"
        "    try: parse_tree(text)\n"
        "    except cavs.DataError: pass\n"
        "print(most() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert int(done.stdout) < 200


def test_data_may_be_the_folder_or_the_one_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "sst").mkdir()
    for name in ("train", "dev", "test"):
        (tmp_path / "sst" / f"{name}.txt").write_text("(3 (2 so) (3 good))\n(1 (1 bad) (2 a))\n")
    for given in (tmp_path, tmp_path / "sst"):
        assert len(load_sst(given).train) == 2
        workload = find("tree-lstm")
        assert workload.data(given, 2).what.startswith("SST")
