"""Loaders: every sample once an epoch, a repeatable order, resuming at any batch."""

import json
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.data import Dataset, Loader, chain_graph
from cavs.errors import InputError

SIZES = np.random.default_rng(0).integers(1, 30, size=103)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make(103)


def make(count: int) -> Dataset:
    sizes = SIZES[:count]
    return Dataset(
        [chain_graph(int(size)) for size in sizes],
        vertex={"sample": np.repeat(np.arange(count, dtype=np.int32), sizes)},
    )


def keys(loader: Loader) -> list[list[int]]:
    return [graphs.keys.tolist() for graphs, _ in loader]


def test_order_without_shuffling(dataset: Dataset) -> None:
    loader = Loader(dataset, 25)
    assert len(loader) == 5
    batches = keys(loader)
    assert list(chain.from_iterable(batches)) == list(range(103))
    assert [len(batch) for batch in batches] == [25, 25, 25, 25, 3]
    assert keys(loader) == batches
    assert len(Loader(dataset, 25, drop_last=True)) == 4
    assert [len(batch) for batch in keys(Loader(dataset, 25, drop_last=True))] == [25] * 4


@given(
    st.integers(0, 103),
    st.integers(1, 110),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
    st.integers(0, 2**40),
)
def test_every_sample_once_an_epoch(
    count: int, batch_size: int, shuffle: bool, drop_last: bool, size_window: int, seed: int
) -> None:
    loader = Loader(
        make(count),
        batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        size_window=size_window,
    )
    batches = loader.batch_indices(epoch=3)
    assert len(batches) == len(loader)
    numbers = np.concatenate([np.empty(0, int), *batches]).tolist()
    assert len(set(numbers)) == len(numbers)
    if drop_last:
        assert len(numbers) == count - count % batch_size
        assert all(len(batch) == batch_size for batch in batches)
    else:
        assert sorted(numbers) == list(range(count))


def test_inputs_travel_with_their_graphs(dataset: Dataset) -> None:
    for graphs, inputs in Loader(dataset, 10, shuffle=True):
        np.testing.assert_array_equal(inputs["sample"], np.repeat(graphs.keys, np.diff(graphs.ptr)))


def test_each_epoch_has_its_own_order(dataset: Dataset) -> None:
    loader = Loader(dataset, 10, shuffle=True, seed=1)
    first, second = keys(loader), keys(loader)
    assert first != second
    assert loader.epoch == 2
    again = Loader(dataset, 10, shuffle=True, seed=1)
    again.set_epoch(1)
    assert keys(again) == second
    assert keys(Loader(dataset, 10, shuffle=True, seed=2)) != first
    # The numbers that NumPy promises to keep between versions.
    assert first[0] == [93, 61, 75, 9, 36, 39, 85, 55, 96, 31]


@pytest.mark.parametrize("arguments", [{"shuffle": True}, {}, {"shuffle": True, "size_window": 3}])
@pytest.mark.parametrize("stop", range(12))
def test_resuming_gives_the_batches_that_follow(
    dataset: Dataset, arguments: dict[str, Any], stop: int
) -> None:
    whole = Loader(dataset, 10, **arguments)
    expected = keys(whole) + keys(whole)
    loader = Loader(dataset, 10, **arguments)
    seen: list[list[int]] = []
    for graphs, _ in loader:
        if len(seen) == stop:
            break
        seen.append(graphs.keys.tolist())
        state = json.loads(json.dumps(loader.state_dict()))
    if stop == 0:
        state = Loader(dataset, 10, **arguments).state_dict()
    if stop == 11:  # the whole epoch is behind: state taken in its last batch
        assert (state["epoch"], state["batch"]) == (0, 11)
    resumed = Loader(dataset, 10, **arguments)
    resumed.load_state_dict(state)
    assert seen + keys(resumed) + keys(resumed) == expected


def test_an_iteration_left_begins_anew(dataset: Dataset) -> None:
    loader = Loader(dataset, 10, shuffle=True)
    expected = loader.batch_indices(0)[0].tolist()
    for _ in range(2):
        graphs, _ = next(iter(loader))
        assert graphs.keys.tolist() == expected
        assert (loader.epoch, loader.position) == (0, 1)


def test_two_iterations_at_a_time_are_refused(dataset: Dataset) -> None:
    loader = Loader(dataset, 10)
    first = iter(loader)
    next(first)
    next(iter(loader))
    with pytest.raises(InputError, match="another that was begun"):
        next(first)


def test_batches_of_like_size(dataset: Dataset) -> None:
    def spread(loader: Loader) -> float:
        return float(np.mean([np.ptp(SIZES[batch]) for batch in loader.batch_indices(0)]))

    mixed = Loader(dataset, 10, shuffle=True)
    sorted_ = Loader(dataset, 10, shuffle=True, size_window=5)
    assert spread(sorted_) < spread(mixed) / 2
    assert keys(sorted_) != keys(sorted_)
    fixed = Loader(dataset, 10, size_window=len(dataset))
    numbers = np.concatenate(fixed.batch_indices(0))
    assert (np.diff(SIZES[numbers]) >= 0).all()


def test_cached_batches_are_the_same_objects(dataset: Dataset) -> None:
    loader = Loader(dataset, 25, cache=True)
    first, second = list(loader), list(loader)
    assert all(a[0] is b[0] for a, b in zip(first, second, strict=True))
    assert [graphs.keys.tolist() for graphs, _ in first] == keys(Loader(dataset, 25))
    with pytest.raises(InputError, match="expected cache without shuffle"):
        Loader(dataset, 25, cache=True, shuffle=True)


def test_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="batch_size >= 1, got 0"):
        Loader(dataset, 0)
    with pytest.raises(InputError, match="an integer seed in 0"):
        Loader(dataset, 1, seed=-1)
    loader = Loader(dataset, 10)
    with pytest.raises(InputError, match=r"start in \[0, 11\], got epoch 0 and start 12"):
        loader.set_epoch(0, 12)
    state = Loader(dataset, 20).state_dict()
    with pytest.raises(InputError, match="batch_size 10, as this loader has, got 20"):
        loader.load_state_dict(state)
    with pytest.raises(InputError, match="integer epoch in the saved order, got None"):
        loader.load_state_dict({})
