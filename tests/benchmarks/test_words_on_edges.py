"""The lattice LSTM with words on edges, in benchmarks: the same function as that with types."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cavs
from cavs.data import Lattice, lattice_dataset
from cavs.errors import CavsError, CheckpointError, InputError
from cavs.models import LatticeLSTM

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
CHARACTERS, WORDS, TAGS = 5, 7, 3


@pytest.fixture(scope="module")
def edges() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("words_on_edges")
    sys.path.remove(str(BENCHMARKS))


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    """Words of any length between places, several between the same two, some places without a
    character."""
    length = draw(st.integers(1, 9))
    children: list[list[int]] = [[]]
    for place in range(1, length):
        words = draw(st.lists(st.integers(0, place - 2), max_size=3)) if place > 1 else []
        before = [place - 1] if not words or draw(st.booleans()) else []
        children.append(draw(st.permutations([*before, *words])))
    is_word = np.array([k != v - 1 for v, some in enumerate(children) for k in some], np.bool_)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids = rng.integers(0, np.where(is_word, WORDS, CHARACTERS), len(is_word)).astype(np.int32)
    tags = rng.integers(0, TAGS, length).astype(np.int32)
    return Lattice(cavs.InputGraph(children), tags, ids, is_word)


def gradients(model: cavs.Model) -> dict[str, Any]:
    found = {}
    for name, parameter in model.named_parameters():
        grad = parameter.grad
        found[name] = grad.to_dense() if isinstance(grad, cavs.RowSparse) else grad
        if grad is None:
            found[name] = np.zeros(parameter.shape)
    return found


@settings(max_examples=60)
@given(some=st.lists(lattices(), min_size=1, max_size=4), seed=st.integers(0, 9))
def test_losses_and_gradients_are_those_of_words_as_vertices(
    edges: Any, some: list[Lattice], seed: int
) -> None:
    cavs.nn.init.manual_seed(seed)
    typed = cavs.compile(LatticeLSTM(CHARACTERS, WORDS, 4, 5, TAGS), dtype="float64")
    on_edges = cavs.compile(edges.WordsOnEdges(CHARACTERS + WORDS, 4, 5, TAGS), dtype="float64")
    on_edges.load_state_dict(edges.weights_on_edges(typed.state_dict()))
    losses = []
    for model, dataset in (
        (typed, lattice_dataset(some)),
        (on_edges, edges.edge_dataset(some, CHARACTERS)),
    ):
        batch, inputs = dataset.batch(range(len(some)))
        losses.append(model(batch, **inputs)["loss"])
        losses[-1].sum().backward()
    np.testing.assert_allclose(losses[0].numpy(), losses[1].numpy(), rtol=1e-10, atol=1e-12)
    expected = edges.weights_on_edges(gradients(typed))
    found = gradients(on_edges)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[name], 1e-9, 1e-11, err_msg=name)


def test_characters_are_counted_over_all_files(edges: Any) -> None:
    lattice = Lattice(
        cavs.InputGraph([[], [0]]),
        *(np.array(x, np.int32) for x in ([0, 1], [21])),
        np.zeros(1, bool),
    )
    with pytest.raises(InputError, match=r"expected characters in \[0, 21\), got 21"):
        edges.edge_dataset([lattice], 21)


def test_a_model_saved_before_there_were_types_is_refused(
    edges: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a line that says so: the class has the name of that with types."""
    name = {"__module__": "cavs.models.lattice_lstm", "__qualname__": "LatticeLSTM"}
    old: Any = type("LatticeLSTM", (edges.WordsOnEdges,), name)
    with monkeypatch.context() as patch:
        patch.setattr("cavs.models.lattice_lstm.LatticeLSTM", old)
        cavs.save(cavs.compile(old(6, 3, 4, 3)), tmp_path / "old.safetensors")
    with pytest.raises(CheckpointError, match="take the code that it was saved with") as error:
        cavs.load(tmp_path / "old.safetensors")
    assert "LatticeLSTM" in str(error.value)
    assert "\n" not in str(error.value)
    model = cavs.compile(LatticeLSTM(3, 3, 3, 4, 3))
    with pytest.raises(CavsError, match=r"expected .*char\.embedding\.weight"):
        model.load_state_dict(cavs.compile(old(6, 3, 4, 3)).state_dict())
