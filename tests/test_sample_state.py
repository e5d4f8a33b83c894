"""Rows that calls read by number and write back."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.errors import DTypeError, InputError, ShapeError


class Walk(cavs.VertexFunction):
    """A step of a random walk."""

    def forward(self, v: cavs.Vertex) -> None:
        v.push(at=v.pull("at", 3) + v.normal(3))


def walk(steps: int, rows: Any, **options: Any) -> cavs.SampleState:
    model, state = cavs.compile(Walk(), seed=4, **options), cavs.SampleState(8, at=3)
    for _ in range(steps):
        state.write(rows, **model(state.batch(rows), **state.read(rows)))
    return state


def test_rows_come_back() -> None:
    state = cavs.SampleState(4, at=3, count=())
    state.write([2, 0], at=[[1, 2, 3], [4, 5, 6]], count=[7, 8])
    found = state.read([0, 1, 2])
    np.testing.assert_array_equal(found["at"], np.float32([[4, 5, 6], [0, 0, 0], [1, 2, 3]]))
    np.testing.assert_array_equal(found["count"], np.float32([8, 0, 7]))
    state.write(count=[1, 2, 3, 4])
    np.testing.assert_array_equal(state.read()["count"], np.float32([1, 2, 3, 4]))
    np.testing.assert_array_equal(state.read([2])["at"], np.float32([[1, 2, 3]]))
    assert len(state) == 4
    assert "4 rows on cpu: at (3,), count ()" in repr(state)


def test_what_is_read_and_written_is_a_copy() -> None:
    state, values = cavs.SampleState(2, at=1), np.ones((2, 1), np.float32)
    state.write(at=values)
    values[:] = 2
    for found in (state.read(), state.read([0, 1]), state.state_dict()):
        found["at"] += 5
    np.testing.assert_array_equal(state.read()["at"], 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_values_have_the_dtype(dtype: str) -> None:
    state = cavs.SampleState(2, dtype=dtype, at=())
    state.write(at=cavs.tensor([1, 2], dtype="int32" if dtype == "int32" else "float64"))
    assert state.read()["at"].dtype == state.dtype == np.dtype(dtype)


def test_a_row_draws_the_same_whatever_is_read_with_it() -> None:
    whole, some = walk(3, None).read([5, 1])["at"], walk(3, [1, 7, 5]).read([5, 1])["at"]
    np.testing.assert_array_equal(whole, some)
    assert len(np.unique(walk(1, None).read()["at"])) == 24


def test_a_row_is_no_sample_of_a_data_set() -> None:
    """A chain and the sample of its number draw different numbers in the same step."""
    state = cavs.SampleState(8, at=3)
    chains = walk(1, None).read()["at"]
    model = cavs.compile(Walk(), seed=4)
    samples = model(cavs.batch([cavs.InputGraph([[]])] * 8), at=state.read()["at"])["at"]
    assert not np.isin(samples.numpy(), chains).any()
    np.testing.assert_array_equal(state.batch([3, 0]).keys, [-4, -1])


def test_rows_may_be_larger_graphs() -> None:
    state = cavs.SampleState(3, at=())
    batch = state.batch([2, 1], cavs.InputGraph([[], [0]]))
    assert (batch.num_graphs, batch.num_vertices, batch.num_edges) == (2, 4, 2)


def test_a_state_goes_on_to_the_same_bits() -> None:
    whole = walk(6, [0, 3, 6])
    model, half = cavs.compile(Walk(), seed=4), cavs.SampleState(8, at=3)
    half.load_state_dict(walk(3, [0, 3, 6]).state_dict())
    model.set_random_state({"seed": 4, "step": 3})
    for copied in (copy.deepcopy(half), pickle.loads(pickle.dumps(half)), half):
        model.set_random_state({"seed": 4, "step": 3})
        for _ in range(3):
            copied.write([0, 3, 6], **model(copied.batch([0, 3, 6]), **copied.read([0, 3, 6])))
        np.testing.assert_array_equal(copied.read()["at"], whole.read()["at"])


def test_nothing_is_written_where_something_is_wrong() -> None:
    state = cavs.SampleState(3, at=2, other=())
    with pytest.raises(ShapeError, match=r"expected other of shape \(1,\), got \(2,\)"):
        state.write([0], at=np.ones((1, 2)), other=np.ones(2))
    with pytest.raises(InputError, match=r"values \['at', 'other'\], got \['at'\]"):
        state.load_state_dict({"at": np.ones((3, 2), np.float32)})
    with pytest.raises(DTypeError, match="expected float32 as other, got float64"):
        state.load_state_dict({"at": np.ones((3, 2), np.float32), "other": np.ones(3)})
    values = {"at": np.ones((3, 2), np.float32), "other": np.ones(4, np.float32)}
    with pytest.raises(ShapeError, match=r"expected other of shape \(3,\), got \(4,\)"):
        state.load_state_dict(values)
    assert not state.read()["at"].any()


def test_refusals() -> None:
    with pytest.raises(InputError, match="expected the shape of a value at least, got none"):
        cavs.SampleState(3)
    with pytest.raises(InputError, match="count >= 0, got -1"):
        cavs.SampleState(-1, at=2)
    state = cavs.SampleState(3, at=2)
    with pytest.raises(InputError, match=r"rows in 0\.\.2, got 3"):
        state.read([0, 3])
    with pytest.raises(InputError, match="expected each row once"):
        state.write([1, 1], at=np.ones((2, 2)))
    with pytest.raises(DTypeError, match="expected integers as numbers of rows, got float64"):
        state.batch([0.5])
    with pytest.raises(ShapeError, match=r"of shape \(n,\), got shape \(1, 1\)"):
        state.read([[0]])
    with pytest.raises(InputError, match=r"values among \['at'\], got it"):
        state.write([0], it=np.ones(1))


@pytest.mark.gpu
def test_values_stay_on_the_gpu() -> None:
    model = cavs.compile(Walk(), seed=4, device="cuda")
    state = cavs.SampleState(8, device="cuda", at=3)
    for _ in range(3):
        state.write([1, 7], **model(state.batch([1, 7]), **state.read([1, 7])))
    assert state.device == "cuda:0"
    assert type(state.read()["at"]) is not np.ndarray
    expected = walk(3, [1, 7]).state_dict()["at"]
    np.testing.assert_allclose(state.state_dict()["at"], expected, rtol=1e-5)
