"""Models come back from files as they were; what no file can hold is named."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_models
import vertex_functions
from model_runs import draw_inputs
from safetensors.numpy import load as from_bytes

import cavs
from cavs import models, nn, ops
from cavs.errors import CavsRuntimeError, CheckpointError, InputError

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])
WORD = np.int32([1, 2, -1, 0, 1])


def same(a: cavs.Model, b: cavs.Model, inputs: dict[str, Any]) -> None:
    """Both give the same bits, train to the same bits, and draw the same."""
    for mode in (a.training, not a.training):
        for left, right in zip(
            *(m.train(mode)(GRAPHS, **inputs).values() for m in (a, b)), strict=True
        ):
            np.testing.assert_array_equal(left.data, right.data)
    assert a.random_state() == b.random_state()
    for m in (a, b):
        if any(p.requires_grad for p in m.parameters()):
            m.step(GRAPHS, cavs.optim.SGD(m.parameters(), 0.01), **inputs)
    for (left, p), (right, q) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert left == right
        assert p.dtype == q.dtype
        assert p.requires_grad == q.requires_grad
        np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["ChildSumTreeLSTM", "NaryTreeLSTM", "ChildSumTreeGRU", "TreeFC"])
def test_models_of_the_library_come_back(name: str, dtype: str, file: Path) -> None:
    function = getattr(models, name)(vertex_functions.IDS, 4, 5, 6)
    model = cavs.compile(
        function, dtype=dtype, seed=3, policy="serial", passes=["simplify", "fuse"]
    )
    inputs = draw_inputs(model, GRAPHS)
    inputs["label"] = np.int32([0, 1, -1, 0, 1])
    model(GRAPHS, **inputs)
    cavs.save(model, file)
    loaded = cavs.load(file)
    assert type(loaded.function) is getattr(models, name)
    assert loaded._options == model._options
    assert loaded.random_state() == {"seed": 3, "step": 1}
    same(model, loaded, inputs)


def test_a_model_of_the_users_comes_back_with_all_that_it_holds(file: Path) -> None:
    model = cavs.compile(saved_models.make(), outputs=["loss"]).eval()
    model.note = ["the user's own", 3]  # type: ignore[attr-defined]
    cavs.save(model, str(file))
    for trust in ("saved_models", ("saved_models",), [saved_models.Everything], saved_models.Scale):
        loaded: Any = cavs.load(file, trust=trust)
    f, g = model.function, loaded.function
    assert list(vars(g)) == list(vars(f))
    assert g.words.to_list() == ["<unk>", "a", "b"]
    assert g.words.unknown == "<unk>"
    assert g.act is ops.tanh
    assert g.kind is saved_models.Scale
    assert g.shared is g.scales[0]
    assert g.bias is g.shared.weight
    assert g.above is g
    assert g.numbers[:6] == f.numbers[:6]
    assert [type(x) for x in g.numbers] == [type(x) for x in f.numbers]
    assert g.sets == f.sets
    assert g.by_number[1] == "one"
    np.testing.assert_array_equal(g.by_number[2, 3][0], [1, 2])
    assert np.isnan(g.by_number["nan"])
    assert g.dtype == np.float32
    assert g.noise.state() == f.noise.state()
    np.testing.assert_array_equal(g.constant.data, f.constant.data)
    assert not g.embedding.weight.requires_grad
    assert loaded.note == ["the user's own", 3]
    assert not loaded.training
    assert list(loaded(GRAPHS, word=WORD)) == ["loss"]
    same(model, loaded, {"word": WORD})


def test_what_stands_in_several_places_is_one_object_again(file: Path) -> None:
    """A generator that two modules draw from, above all, was two that draw the same."""
    function = Local(None)
    noise, table = cavs.Generator(4), np.arange(3.0)
    constant, loose = cavs.tensor([1.0]), cavs.Parameter([2.0])
    function.held = [[noise, table, constant, {"a": (noise, table, constant)}]]
    function.sets = [{loose}, {loose, 1}]  # type: ignore[attr-defined]
    model = cavs.compile(function)
    model.mine = [noise, table, constant]  # type: ignore[attr-defined]
    cavs.save(model, file)
    loaded: Any = cavs.load(file, trust=Local)
    [(noise, table, constant, inner)] = loaded.function.held
    for held in (inner["a"], loaded.mine):
        assert all(x is y for x, y in zip(held, (noise, table, constant), strict=True))
    assert noise.uniform(3).numpy().tolist() == cavs.Generator(4).uniform(3).numpy().tolist()
    assert loaded.function.sets[0] <= loaded.function.sets[1]


TYPES = (bool, int, float, str, np.bool_, np.int8, np.int32, np.int64, np.float32, np.float64)


@pytest.mark.parametrize("kind", TYPES)
def test_types_of_numbers_need_no_consent(kind: type, file: Path) -> None:
    cavs.save(cavs.compile(Local(kind)), file)
    loaded: Any = cavs.load(file, trust=Local)
    assert loaded.function.held[0] is kind


def test_programs_come_back(file: Path) -> None:
    program = cavs.compile(
        cavs.VertexProgram({"a": saved_models.Outer.Inner(), "b": saved_models.Outer.Inner()}),
        seed=5,
    )
    program["b"].eval()
    x = np.ones((5, 2), np.float32)
    program["a"](GRAPHS, x=x)
    cavs.save(program, file)
    loaded: Any = cavs.load(file, trust=("saved_models",))
    assert isinstance(loaded, cavs.Program)
    assert loaded.random_state() == program.random_state()
    assert (loaded["a"].training, loaded["b"].training) == (True, False)
    for name, array in program.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name], array)
    with pytest.raises(InputError, match=r"^\[save\] .* no part of a program"):
        cavs.save(program["a"], file)


def test_arrays_are_there_for_other_programs_by_their_paths(file: Path) -> None:
    model = cavs.compile(models.TreeFC(5, 4, 4, 2))
    cavs.save(model, file)
    arrays = from_bytes(file.read_bytes())
    assert set(arrays) == {f"parameter.{name}" for name in model.state_dict()}


# --- What cannot be saved -------------------------------------------------------------------------


class Local(cavs.VertexFunction):
    def __init__(self, held: Any) -> None:
        self.held = [held]

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=v.pull("x", 2))


def _endless() -> list[Any]:
    found: list[Any] = []
    found.append({"a": found})
    return found


def _deep() -> Any:
    found: Any = []
    for _ in range(100_000):
        found = [found]
    return found


UNFIT: dict[str, tuple[Callable[[], Any], str]] = {
    "object": (object, r"got object as Local\.held\[0\]"),
    "lambda": (lambda: lambda x: x, r"that can be imported, got .*<lambda> as Local\.held\[0\]"),
    "file": (lambda: io.BytesIO(), r"got BytesIO"),
    "path": (lambda: Path("a"), r"got \w*Path as"),
    "objects": (lambda: np.array([None]), r"arrays of numbers, got one of object"),
    "text": (lambda: np.array(["a"]), r"arrays of numbers, got one of <U1"),
    "complex": (lambda: np.array([1j]), r"arrays of numbers, got one of complex"),
    "endless": (_endless, r"no collection within itself, got one as Local\.held\[0\]\[0\]\['a'\]"),
    "deep": (_deep, r"not too deep"),
    "digits": (
        lambda: {10**4400: 1},
        r"at most 4000 digits, got a longer one as key 0 of Local\.h",
    ),
    "slots": (saved_models.Slotted, r"without __slots__"),
    "subclass": (lambda: type("Own", (dict,), {})(), r"got Own"),
    "optimizer": (lambda: cavs.optim.SGD([cavs.Parameter([1.0])], 0.1), r"got SGD"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_no_data_is_named(kind: str, file: Path) -> None:
    make, message = UNFIT[kind]
    held: Any = make()
    file.write_text("before")
    model = cavs.compile(Local(None))
    model.function.held[0] = held
    with pytest.raises(CavsRuntimeError, match=rf"^\[save\] .*{message}.*; .*"):
        cavs.save(model, file)
    assert file.read_text() == "before"
    assert os.listdir(file.parent) == [file.name]


def test_a_class_that_cannot_be_imported_is_named(file: Path) -> None:
    class Hidden(Local):
        pass

    with pytest.raises(CavsRuntimeError, match=r"^\[save\] .*<locals>.Hidden as Hidden; define"):
        cavs.save(cavs.compile(Hidden(None)), file)


@pytest.mark.parametrize("model", [None, 3, Local(None), "model", cavs.Model])
def test_what_is_no_model_is_refused(model: Any, file: Path) -> None:
    with pytest.raises(InputError, match=r"^\[save\] expected a compiled model or program, got"):
        cavs.save(model, file)


def test_a_model_that_was_changed_is_not_saved(file: Path) -> None:
    model = cavs.compile(saved_models.make())
    model.function.shared = saved_models.Scale(4)
    with pytest.raises(CavsRuntimeError, match="'shared'"):
        cavs.save(model, file)
    rewritten = cavs.Model(saved_models.Outer.Inner(), rewrite=lambda trace: trace)
    with pytest.raises(InputError, match="whose function was rewritten"):
        cavs.save(rewritten, file)


@pytest.mark.parametrize("path", [None, 3, "", "a\0b", b"bytes", ".", "/", "a\ud800", Path()])
def test_wrong_paths_are_refused(path: Any) -> None:
    model = cavs.compile(Local(None))
    for call in (lambda: cavs.save(model, path), lambda: cavs.load(path)):
        with pytest.raises(InputError, match=r"expected the path of a file, got"):
            call()


def test_places_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    model = cavs.compile(Local(None))
    for path in (tmp_path / "none" / "model", tmp_path):
        with pytest.raises(CheckpointError, match=r"^\[save\] .*: expected to write it, got"):
            cavs.save(model, path)
    assert os.listdir(tmp_path) == []


def test_a_file_stays_whole_until_the_new_one_is(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cavs.compile(saved_models.Outer.Inner())
    cavs.save(model, file)
    before = file.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    nn.init.constant_(model.function.layer.weight, 3.0)
    with pytest.raises(CheckpointError, match="got No space left on device"):
        cavs.save(model, file)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]
