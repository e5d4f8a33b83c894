"""The commands on a GPU: a run goes on, and is scored, on another device than it began on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from option_settings import settings_of, words_of
from safetensors.numpy import load_file
from user_model_files import write_small_data

import cavs
from cavs import cuda
from cavs.cli import main
from cavs.training.tasks import MODELS

pytestmark = pytest.mark.gpu

MODEL = "tree-lstm"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_data(tmp_path_factory.mktemp("data"))


def parameters(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "last.safetensors")


def test_a_run_goes_on_elsewhere(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words_of({**settings_of(MODEL, data), "epochs": 1})
    folders = {}
    for first, second in (("cpu", "cpu"), ("cuda", "cpu"), ("cpu", "cuda")):
        folder = folders[first, second] = tmp_path / f"{first}-{second}"
        started = ["train", MODEL, *given, "--quiet", "--output", str(folder)]
        assert main([*started, "--device", first]) == 0
        last = str(folder / "last.safetensors")
        resumed = ["train", MODEL, "--resume", last, "--epochs", "2", "--quiet"]
        assert main([*resumed, "--device", second]) == 0
    expected = parameters(folders["cpu", "cpu"])
    for pair in (("cuda", "cpu"), ("cpu", "cuda")):
        found = parameters(folders[pair])
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    capsys.readouterr()
    best = str(folders["cuda", "cpu"] / "best.safetensors")
    scores = []
    for device in ("cpu", "cuda"):
        assert main(["evaluate", best, "--json", "--device", device]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0].keys() == scores[1].keys()
    for name, value in scores[0].items():
        assert scores[1][name] == pytest.approx(value, rel=1e-3), name


@pytest.mark.parametrize("model", [name for name in MODELS if name != MODEL])
def test_each_model_trains_as_on_the_cpu(
    model: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words_of({**settings_of(model, data), "epochs": 1})
    for device in ("cpu", "cuda"):
        words = ["train", model, *given, "--quiet", "--output", str(tmp_path / device)]
        assert main([*words, "--device", device]) == 0
    expected, found = parameters(tmp_path / "cpu"), parameters(tmp_path / "cuda")
    for name, values in expected.items():
        # Adam takes a whole step by a gradient that is rounding alone.
        np.testing.assert_allclose(found[name], values, rtol=5e-3, atol=1e-3, err_msg=name)
    best = str(tmp_path / "cuda" / "best.safetensors")
    capsys.readouterr()
    printed = []
    for device in ("cpu", "cuda"):
        if main(["sample", best, "--device", device]) != 0:
            assert "expected" in capsys.readouterr().err  # it cannot be drawn from
            return
        printed.append(capsys.readouterr().out)
    assert printed[0].count("\n") == printed[1].count("\n")


def test_the_header_names_the_device(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words_of({**settings_of(MODEL, data), "epochs": 1})
    assert main(["train", MODEL, *given, "--output", str(tmp_path), "--device", "cuda"]) == 0
    assert "cuda:0" in capsys.readouterr().out.splitlines()[0]


def test_info_lists_the_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert {"driver", "NVRTC", "cuBLAS", "cuda:0"} <= lines.keys()
    assert "GiB free" in lines["cuda:0"]


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_wrong_device_is_one_line(
    command: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words_of({**settings_of(MODEL, data), "epochs": 1})
    words = [MODEL, *given] if command == "train" else [str(tmp_path / "none.safetensors")]
    assert main([command, *words, "--device", "gpu"]) != 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "expected device 'cpu', 'cuda' or 'cuda:1', got 'gpu'" in error


def test_the_functions_of_the_module() -> None:
    assert cuda.is_available()
    assert cavs.cuda.why_not() == ""
    assert cuda.device_count() >= 1
    for device in (None, "cuda", "cuda:0", 0):
        cuda.synchronize(device)
    for wrong in ("cpu", "gpu", -1, 1.5):
        with pytest.raises(cavs.InputError, match=r"^\[synchronize\]"):
            cuda.synchronize(wrong)
    with pytest.raises(cavs.DeviceError):
        cuda.synchronize(99)


def test_saved_models_go_from_one_device_to_another(tmp_path: Path) -> None:
    model = cavs.compile(cavs.models.LSTM(7, 4, 5, 3), device="cuda")
    cavs.save(model, tmp_path / "model.safetensors")
    for device in ("cpu", "cuda"):
        loaded = cavs.load(tmp_path / "model.safetensors", device=device)
        assert loaded.device == ("cpu" if device == "cpu" else "cuda:0")
        for p, q in zip(loaded.parameters(), model.parameters(), strict=True):
            np.testing.assert_array_equal(p.numpy(), q.numpy())
    assert cavs.load(tmp_path / "model.safetensors").device == "cpu"
    with pytest.raises(cavs.InputError, match=r"^\[load\] expected device"):
        cavs.load(tmp_path / "model.safetensors", device="gpu")


@pytest.mark.slow
def test_bench_measures_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--hidden-sizes", "4", "--batch-sizes", "1", "--threads", "1"]
    assert main(["bench", "tree-fc", "--quick", "--device", "cuda", *sizes]) == 0
    assert "trees/s" in capsys.readouterr().out


def test_tags_are_the_same(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = words_of({**settings_of("tagger", data), "epochs": 2, "output": str(tmp_path)})
    assert main(["train", "tagger", *given, "--quiet", "--device", "cuda"]) == 0
    found = []
    for device in ("cpu", "cuda"):
        capsys.readouterr()
        best = str(tmp_path / "best.safetensors")
        assert main(["evaluate", best, "--json", "--device", device]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == pytest.approx(found[1], rel=1e-3)
