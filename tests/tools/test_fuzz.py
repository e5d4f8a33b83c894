"""The fuzzer: a slice of fixed seeds finds nothing, and finds what is wrong where something is."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

import cavs
from cavs.errors import CheckpointError, DataError, InputError
from cavs.training import Checkpoint, save_checkpoint

FUZZ = Path(__file__).resolve().parents[2] / "tools" / "fuzz"
MODULES = (
    *("attending", "checkpoints", "convolving", "datafiles", "differential", "drawing"),
    *("drawing_attention", "drawing_convolution", "drawing_newer", "functions"),
    *("graphs", "hostile", "kills", "modelfiles", "mutations", "newer", "operations", "oracle"),
    *("runs", "table", "tape", "tensorfiles", "workers"),
)


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Its modules, fresh ones. What it sets for the process is set back."""
    core = import_module("cavs._core")
    before = core.execution_options(), cavs.get_num_threads()
    monkeypatch.syspath_prepend(str(FUZZ))
    yield {name: import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name)
    core.set_execution_options(**before[0])
    cavs.set_num_threads(before[1])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FUZZ), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.parametrize("kind", ["differential", "operations"])
def test_a_slice_of_fixed_seeds(kind: str) -> None:
    done = run(kind, "--seed", "20000", "--count", "250")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seeds 20000..20249, 250 trials" in done.stdout


def test_each_newer_operation_is_drawn(fuzz: dict[str, Any]) -> None:
    """And the operations that were there before are drawn from their own lists alone."""
    newer = {*fuzz["newer"].UNARY, *fuzz["newer"].OTHER}
    draw, older = fuzz["drawing_newer"].draw_newer_function, fuzz["drawing"].draw_function
    drawn = {step.op for seed in range(120) for step in draw(seed).steps}
    assert newer <= drawn
    assert not newer & {step.op for seed in range(120) for step in older(seed).steps}


@pytest.mark.parametrize("kind", ["attention", "convolution"])
def test_a_slice_of_fixed_seeds_of_layers(kind: str) -> None:
    done = run(kind, "--seed", "20000", "--count", "120")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seeds 20000..20119, 120 trials" in done.stdout


def test_each_form_of_attention_is_drawn(fuzz: dict[str, Any]) -> None:
    """Over lists that are short and long; known ones become one operation."""
    attending, draw = fuzz["attending"], fuzz["drawing_attention"].draw_attention_function
    functions = [draw(seed, random_numbers=seed % 2 == 0) for seed in range(60)]
    steps = [step for function in functions for step in function.steps]
    drawn = [step for step in steps if step.op in attending.OPERATIONS]
    assert {step.attrs["form"] for step in drawn} == set(attending.FORMS)
    assert {step.op for step in drawn} == set(attending.OPERATIONS)
    assert {type(step.attrs["position"]) for step in drawn} == {bool, np.ndarray, type(None)}
    assert len({function.most_children for function in functions}) == 2
    fused = [
        cavs.compile(fuzz["functions"].DescribedFunction(f, "float32"), extra_children="ignore")
        for f in functions[:20]
    ]
    found = ["attention(" in str(model.program) for model in fused]
    assert 5 <= sum(found) < 20


def test_each_convolution_is_drawn(fuzz: dict[str, Any]) -> None:
    convolving, draw = fuzz["convolving"], fuzz["drawing_convolution"].draw_convolution_function
    steps = [step for seed in range(60) for step in draw(seed).steps]
    drawn = [step for step in steps if step.op in convolving.OPERATIONS]
    assert {step.op for step in drawn} == set(convolving.OPERATIONS)
    kernels = [step.attrs["kernel"] for step in drawn]
    assert any(kernel.taps for kernel in kernels)
    assert any(kernel.padding is None for kernel in kernels)
    assert any(kernel.groups > 1 for kernel in kernels)
    assert any(any(a != b for a, b in kernel.padding or ()) for kernel in kernels)
    assert {"max_pool", "avg_pool", "upsample"} <= {step.op for step in steps}


@pytest.mark.parametrize("kind", ["graphs", "programs", "models"])
def test_a_slice_of_hostile_trials(kind: str) -> None:
    done = run(kind, "--seed", "5000", "--count", "600")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seeds 5000..5599, 600 trials" in done.stdout


def test_a_trial_that_crashes_is_a_finding(
    fuzz: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next seed is tried by another process."""
    (tmp_path / "fragile.py").write_text(
        "import os\n"
        "def trial(seed):\n"
        "    if seed == 1: os.abort()\n"
        "    if seed == 2: raise KeyError(seed)\n"
        "    if seed == 3: os._exit(7)\n"
        "    return 'something' if seed == 4 else None\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = fuzz["workers"].Worker("fragile")
    found = [worker.check(seed) for seed in range(6)]
    worker.close()
    assert found[0] is found[5] is None
    assert "seed 1: the process ended by SIGABRT" in str(found[1])
    assert "KeyError: 2" in str(found[2])
    assert "exit status 7" in str(found[3])
    assert found[4] == "seed 4: something"


def test_errors_that_nobody_expects_are_findings(fuzz: dict[str, Any]) -> None:
    wrong = fuzz["mutations"].wrong
    assert wrong(cavs.InputError("one line")) is None
    assert wrong(TypeError("f(): incompatible function arguments.\n1. (a: int)")) is None
    assert "several lines" in str(wrong(ValueError("one\ntwo")))
    assert "SystemError" in str(wrong(SystemError("set without an exception")))


def test_a_graph_that_is_taken_for_another_is_a_finding(
    fuzz: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        cavs.InputGraph, "levels", property(lambda graph: [0] * len(graph.children))
    )
    found = [fault for seed in range(60) if (fault := fuzz["hostile"].trial(seed))]
    assert found
    assert all("WrongResultError" in fault for fault in found)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ("_check_consent", "HarmError: import of foreign_to_fuzz"),
        ("checksum", "another model"),
    ],
)
def test_what_reading_a_model_must_not_do_is_found(
    fuzz: dict[str, Any], monkeypatch: pytest.MonkeyPatch, broken: str, what: str
) -> None:
    saving, modelfiles = import_module("cavs.saving"), fuzz["modelfiles"]
    monkeypatch.setattr(saving, broken, lambda *_: "")
    monkeypatch.setattr(modelfiles, "checksum", saving.checksum)
    found = [fault for seed in range(400) if (fault := modelfiles.trial(seed))]
    assert any(what in fault for fault in found)


def test_the_command_line() -> None:
    assert run("differential", "--seconds", "0").returncode == 0
    assert "seeds 7..7, 1 trials" in run("differential", "--seed", "7", "--count", "1").stdout
    assert run("sideways").returncode == 2
    assert "random vertex functions" in run("--help").stdout


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("--seed", value) for value in ("-3", "1.5", str(2**64), "9" * 5000)],
        *[("--count", value) for value in ("0", "-1", "1e3")],
        *[("--seconds", value) for value in ("-1", "nan", "inf", "x")],
    ],
)
def test_numbers_out_of_range_are_wrong_command_lines(
    fuzz: dict[str, Any],
    option: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A seed that is none was a fault found, or a traceback."""
    monkeypatch.setattr(sys, "argv", ["fuzz", "differential", "--count", "1", f"{option}={value}"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(FUZZ), run_name="__main__")
    assert stopped.value.code == 2
    assert f"argument {option}: expected a " in capsys.readouterr().err


def test_a_seed_gives_the_same_function_again(fuzz: dict[str, Any]) -> None:
    draw = fuzz["drawing"].draw_function
    assert str(draw(7)) == str(draw(7))
    assert str(draw(7)) != str(draw(8))


@pytest.mark.parametrize(
    ("op", "check"),
    [
        *[(op, "check") for op in ("tanh", "linear", "embedding", "children_sum", "mul")],
        *[(op, "check_newer") for op in ("max_pool", "avg_pool", "cumsum", "permute", "gelu")],
        ("children_attention", "check_attention"),
        *[(op, "check_convolution") for op in ("conv1d", "conv2d", "conv_transpose2d")],
    ],
)
def test_a_wrong_value_is_found(fuzz: dict[str, Any], op: str, check: str) -> None:
    """Were cavs to differ from the meaning of an operation by 2 %, some of 300 seeds would tell."""
    tables = fuzz["table"]
    right = tables.OPERATIONS[op]

    def wrong(*operands: Any, **attrs: Any) -> Any:
        return fuzz["tape"].mul(right.mean(*operands, **attrs), fuzz["tape"].constant(1.02))

    tables.OPERATIONS[op] = right._replace(mean=wrong)
    trial = getattr(fuzz["differential"], check)
    found = next((fault for seed in range(300) if (fault := trial(seed))), "none")
    assert "Difference" in found


def test_a_wrong_gradient_is_found(fuzz: dict[str, Any]) -> None:
    tables, tape = fuzz["table"], fuzz["tape"]
    tables.OPERATIONS["tanh"] = tables.OPERATIONS["tanh"]._replace(
        mean=lambda x: tape.unary(x, np.tanh(x.data), 1.02 - np.tanh(x.data) ** 2)
    )
    found = [fault for seed in range(60) if (fault := fuzz["differential"].check(seed))]
    assert found
    assert all("gradient" in fault.splitlines()[0] for fault in found)


@pytest.mark.parametrize("kind", ["", "attention", "convolution"])
def test_gradients_of_the_tape_by_differences(fuzz: dict[str, Any], kind: str) -> None:
    """Its own, so that it is no mistake of the tape that is found."""
    checked = 0
    draw = fuzz["drawing"].draw_function
    if kind:
        draw = getattr(fuzz[f"drawing_{kind}"], f"draw_{kind}_function")
    for seed in range(8 if kind else 40):
        description = draw(seed)
        rng, numbers = Random(seed), np.random.default_rng(seed)
        graphs = fuzz["graphs"].draw_batch(rng, description.most_children)
        inputs = fuzz["graphs"].draw_inputs(description.pulls, graphs, numbers)
        evaluate = fuzz["oracle"].evaluate
        first = evaluate(description, graphs, description.weights, inputs)
        cotangents = {n: numbers.standard_normal(y.shape) for n, y in first.outputs.items()}
        found = evaluate(description, graphs, description.weights, inputs, cotangents)
        if found.margin < 1e-4 or not all(np.isfinite(g).all() for g in found.weights):
            continue
        for number, grad in enumerate(found.weights):
            direction = numbers.standard_normal(grad.shape)
            sums = []
            for step in (1e-6, -1e-6):
                moved = list(description.weights)
                moved[number] = moved[number] + step * direction
                outputs = evaluate(description, graphs, moved, inputs).outputs
                sums.append(sum(float((outputs[n] * dy).sum()) for n, dy in cotangents.items()))
            slope = float((grad * direction).sum())
            assert (sums[0] - sums[1]) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-5), seed
            checked += 1
    assert checked > 20


@pytest.mark.parametrize(("kind", "count"), [("checkpoints", 100), ("data", 200), ("kills", 1)])
def test_slices_of_files_and_kills(kind: str, count: int) -> None:
    done = run(kind, "--seed", "20000", "--count", str(count))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} trials" in done.stdout


def raising(error: BaseException) -> Any:
    def use(_: Path) -> None:
        raise error

    return use


def of_lines(error: Exception, second: str) -> Exception:
    """The error with a second line, which its own constructor would have joined."""
    error.args = (f"{error.args[0]}\n{second}",)
    return error


def test_bad_refusals_of_checkpoints_are_found(fuzz: dict[str, Any], tmp_path: Path) -> None:
    path, said_badly = tmp_path / "a", fuzz["checkpoints"].said_badly
    good = CheckpointError(f"[checkpoint] {path}: damaged")
    assert said_badly(raising(good), path) is None
    assert said_badly(lambda _: None, path) is None
    for error, what in (
        (KeyError("model"), "KeyError: 'model'"),
        (RecursionError(), "RecursionError"),
        (MemoryError(), "MemoryError"),
        (of_lines(CheckpointError(f"[checkpoint] {path}: two"), "and lines"), "not one line"),
        (CheckpointError("[checkpoint] damaged"), "names no file"),
        (fuzz["checkpoints"].TooSlowError(), "TooSlowError"),
    ):
        assert what in said_badly(raising(error), path)


def test_bad_refusals_of_data_are_found(fuzz: dict[str, Any], tmp_path: Path) -> None:
    path, said_badly = tmp_path / "a", fuzz["datafiles"].said_badly
    path.write_bytes(b"x" * 100)
    assert said_badly(raising(DataError("[data] a: damaged")), path) is None
    for error, what in (
        (ValueError("x"), "ValueError: x"),
        (InputError("[data] x"), "InputError, and no DataError"),
        (of_lines(DataError("two"), "lines"), "not one line"),
    ):
        assert what in said_badly(raising(error), path)
    assert "MiB of memory for 100 bytes" in said_badly(lambda _: bytes(100 << 20), path)


@pytest.mark.parametrize("seed", range(40))
def test_files_that_are_drawn_differ_and_come_again(fuzz: dict[str, Any], seed: int) -> None:
    text = fuzz["datafiles"].TREES
    one, two = (fuzz["datafiles"].draw_text(Random(seed), text) for _ in range(2))
    assert one == two
    array = {"model.x": np.ones(3, np.float32)}
    metadata = {"config": '{"a": 1}', "vocabulary": "null", "training": "{}", "model": "x"}
    content = fuzz["runs"].canonical(save(array, metadata))
    (changed, what), again = (
        fuzz["checkpoints"].draw_file(Random(seed), content) for _ in range(2)
    )
    assert (changed, what) == again


def test_what_a_killed_run_must_not_leave_is_found(fuzz: dict[str, Any], tmp_path: Path) -> None:
    kills = fuzz["kills"]
    for name, identity in ((kills.LAST, "a"), (kills.BEST, "b")):
        checkpoint = Checkpoint("x", {}, None, {}, training={"run": identity})
        save_checkpoint(tmp_path / name, checkpoint)
    with pytest.raises(kills.WrongError, match="files of several runs"):
        kills.check_left(tmp_path)
    (tmp_path / kills.BEST).write_bytes(b"half")
    with pytest.raises(CheckpointError):
        kills.check_left(tmp_path)
    (tmp_path / ".last.safetensors.abcdefgh.tmp").touch()
    with pytest.raises(kills.WrongError, match="left are"):
        kills.check_end(tmp_path, tmp_path)
