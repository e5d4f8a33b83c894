"""Files run no code that nobody trusts, and whatever is wrong in them is one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_models
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

import cavs
from cavs import models
from cavs.errors import CheckpointError, InputError
from cavs.saving import checksum


def change(file: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    """Changes the description in a file."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    described = json.loads(metadata["model"])
    how(described)
    arrays, text = from_bytes(content), json.dumps(described)
    metadata |= {"model": text, "checksum": checksum(text, arrays)}
    file.write_bytes(to_bytes(arrays, metadata))


def refusal(file: Path) -> str | None:
    """The line that says why a file is refused; None where it is not."""
    message = None
    try:
        cavs.load(file, trust="saved_models")
    except CheckpointError as error:
        message = str(error)
    assert message is None or (message.startswith("[load] ") and "\n" not in message)
    return message


# --- Consent --------------------------------------------------------------------------------------


def test_code_that_nobody_trusts_does_not_run(file: Path, tmp_path: Path) -> None:
    (tmp_path / "strange_module.py").write_text("open('ran', 'w').close()\n")
    cavs.save(cavs.compile(saved_models.Outer.Inner()), file)
    change(file, lambda d: d["modules"][0].update({"class": "strange_module:Cell"}))
    code = (
        "import sys, cavs\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "for trust in ((), ('strange',), ('strange_module_too', 'saved_models'), cavs.Model):\n"
        "    try:\n        cavs.load('model.safetensors', trust=trust)\n"
        "    except cavs.CheckpointError as error:\n"
        "        assert \"trust=('strange_module',)\" in str(error), error\n"
        "    else:\n        raise SystemExit('no error')\n"
        "assert 'strange_module' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "path",
    [
        "os:system",
        "cavs.__main__:main",
        "cavs.cli.main:main",
        "cavs:save",
        "cavs.training.tasks:Task",
        "builtins:eval",
        ":eval",
        "cavs.models_of_mine:X",
        "saved_models:Scale",
    ],
)
@pytest.mark.parametrize("where", ["class", "object", "own"])
def test_what_is_not_of_cavs_needs_consent(path: str, where: str, file: Path) -> None:
    cavs.save(cavs.compile(models.TreeFC(5, 4, 4, 2)), file)

    def put(described: dict[str, Any]) -> None:
        first = described["modules"][0]
        if where == "class":
            first["class"] = path
        elif where == "own":  # attributes of the model itself, which were imported unasked
            described["own"]["mine"] = [{"dict": [[1, {"object": path}]]}]
        else:
            first["attributes"]["forward"] = [{"dict": [[1, {"object": path}]]}]

    change(file, put)
    with pytest.raises(CheckpointError, match=r"^\[load\] .*; if you trust it, pass trust=\("):
        cavs.load(file)


def test_consent_to_a_module_is_none_to_what_it_imports(file: Path) -> None:
    cavs.save(cavs.compile(saved_models.Outer.Inner()), file)
    for path in (
        "saved_models:np.load",
        "saved_models:Everything.forward.__globals__",
        "saved_models:gone",
    ):
        change(file, lambda d, p=path: d["modules"][0]["attributes"].update(x={"object": p}))
        with pytest.raises(CheckpointError, match=r"^\[load\] .*'saved_models' has no"):
            cavs.load(file, trust="saved_models")


def test_a_module_that_cannot_be_imported_is_one_line(file: Path) -> None:
    cavs.save(cavs.compile(saved_models.Outer.Inner()), file)
    change(file, lambda d: d["modules"][0].update({"class": "not_there.at_all:Cell"}))
    with pytest.raises(CheckpointError, match=r"^\[load\] .*'not_there.at_all' cannot be imported"):
        cavs.load(file, trust="not_there")


@pytest.mark.parametrize("trust", [None, 3, [3], {"a": 1}, b"a"])
def test_wrong_consent_is_refused(trust: Any, file: Path) -> None:
    with pytest.raises(InputError, match=r"^\[load\] expected names of modules, and classes"):
        cavs.load(file, trust=trust)


# --- Files that are others ------------------------------------------------------------------------


def test_files_of_another_kind_are_one_line(file: Path, tmp_path: Path) -> None:
    cases: dict[str, bytes] = {
        "expected a checkpoint, got one that cannot be read": b"text",
        "a safetensors file of format None": to_bytes({}),
        "a safetensors file of format 'pt'": to_bytes({}, {"format": "pt"}),
        "a checkpoint of `cavs train`": to_bytes({}, {"format": "cavs-checkpoint"}),
        "expected format version 1, got '2'": to_bytes(
            {}, {"format": "cavs-model", "format_version": "2"}
        ),
        "is damaged": to_bytes({}, {"format": "cavs-model", "format_version": "1"}),
    }
    for words, content in cases.items():
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"^\[load\] .*model\.safetensors: expected") as e:
            cavs.load(file)
        assert words in str(e.value)
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CheckpointError, match=r"^\[load\] "):
            cavs.load(path)


def test_damage_is_one_line_and_never_another_model(file: Path) -> None:
    model = cavs.compile(saved_models.make()).eval()
    cavs.save(model, file)
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    graphs, word = cavs.batch([cavs.InputGraph([[], [], [0, 1]])]), np.int32([1, 2, -1])
    expected = {name: y.numpy() for name, y in model(graphs, word=word).items()}
    for _ in range(300):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        end = rng.integers(0, len(content)) if rng.random() < 0.2 else None
        file.write_bytes(bytes(damaged[:end]))
        if refusal(file) is None:
            loaded: Any = cavs.load(file, trust="saved_models")
            for name, y in loaded(graphs, word=word).items():
                np.testing.assert_array_equal(y.numpy(), expected[name])


def _strange(rng: np.random.Generator) -> Any:
    values: list[Any] = [
        *(None, 0, -1, 1.5, "", "a", [], {}, True, 2**70, [[]], {"a": 1}, {"module": 0}),
        *({"module": 9}, {"parameter": ["none", True]}, {"parameter": 3}, {"array": []}),
        *({"dict": [1]}, {"dict": [[[], 1]]}, {"set": [{"dict": []}]}, {"float": "1"}),
        *(
            {"object": 3},
            {"object": "cavs.core.ops.elementwise:tanh"},
            {"dtype": "O"},
            {"scalar": 0},
        ),
        *(
            {"generator": 3},
            {"generator": [0, 3]},
            {"type": "complex"},
            {"type": []},
            {"vocabulary": [["a", "a"], None]},
            {"tuple": {}},
            {"scalar": 0},
        ),
    ]
    return values[rng.integers(len(values))]


def test_no_description_is_more_than_one_line(file: Path) -> None:
    """Values of the description that are replaced at random."""
    cavs.save(cavs.compile(saved_models.make()), file)
    whole = file.read_bytes()
    rng = np.random.default_rng(1)

    def places(x: Any) -> list[tuple[Any, Any]]:
        pairs = list(x.items() if isinstance(x, dict) else enumerate(x))
        inner = [place for _, y in pairs if isinstance(y, (dict, list)) for place in places(y)]
        return [(x, key) for key, _ in pairs] + inner

    def put(described: dict[str, Any]) -> None:
        found = places(described)
        for _ in range(rng.integers(1, 3)):
            owner, key = found[rng.integers(len(found))]
            owner[key] = _strange(rng)

    refused = 0
    for _ in range(300):
        file.write_bytes(whole)
        change(file, put)
        refused += refusal(file) is not None
    assert refused > 100


@pytest.mark.parametrize("name", ["_compiler", "_stream", "function", "training", "_made"])
def test_no_file_replaces_what_compile_makes(name: str, file: Path) -> None:
    """It was loaded, and its first call failed somewhere within."""
    cavs.save(cavs.compile(saved_models.Outer.Inner()), file)
    change(file, lambda described: described["own"].update({name: 3}))
    with pytest.raises(
        CheckpointError, match=r"is damaged \(an attribute of the model is one that"
    ):
        cavs.load(file, trust="saved_models")


def test_deep_descriptions_are_one_line(file: Path) -> None:
    cavs.save(cavs.compile(saved_models.Outer.Inner()), file)
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    change(file, lambda d: d["own"].update(x=deep))
    for limit in (sys.getrecursionlimit(), 400):
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(limit)
        try:
            refusal(file)
        finally:
            sys.setrecursionlimit(before)
