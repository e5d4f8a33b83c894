"""Samplers: draws follow the weights, orders repeat, and a loader takes them in turn."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.data import Dataset, Loader, Sampler, WeightedSampler, chain_graph, class_weights
from cavs.errors import InputError, ShapeError


def make(count: int) -> Dataset:
    return Dataset(
        [chain_graph(1 + number % 4) for number in range(count)],
        graph={"number": np.arange(count), "label": np.arange(count, dtype=np.int32) % 3},
    )


def test_draws_follow_the_weights() -> None:
    weights = np.array([1.0, 0.0, 2.0, 5.0])
    sampler = WeightedSampler(weights, 80_000, seed=4)
    counts = np.bincount(sampler.order(0), minlength=4)
    np.testing.assert_allclose(counts / 10_000, weights, atol=0.15)
    assert counts[1] == 0
    assert not np.array_equal(sampler.order(0), sampler.order(1))
    np.testing.assert_array_equal(
        sampler.order(1), WeightedSampler(weights, 80_000, seed=4).order(1)
    )
    assert not np.array_equal(sampler.order(0), WeightedSampler(weights, 80_000, seed=5).order(0))


def test_without_replacement_the_first_draw_follows_the_weights() -> None:
    sampler = WeightedSampler([1.0, 3.0, 0.0, 6.0], 3, replacement=False)
    orders = np.stack([sampler.order(epoch) for epoch in range(3000)])
    assert all(sorted(order) == [0, 1, 3] for order in orders.tolist())
    first = np.bincount(orders[:, 0], minlength=4) / len(orders)
    np.testing.assert_allclose(first, [0.1, 0.3, 0.0, 0.6], atol=0.04)
    # The second is drawn among those that are left.
    after = orders[orders[:, 0] == 3, 1]
    np.testing.assert_allclose(np.mean(after == 1), 0.75, atol=0.04)


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(5e-324, 1e308)), min_size=1, max_size=20),
    st.integers(0, 50),
    st.integers(0, 2**64 - 1),
)
def test_only_samples_that_may_come_are_drawn(weights: list[float], count: int, seed: int) -> None:
    positive = np.flatnonzero(weights)
    if not len(positive):
        with pytest.raises(InputError, match="expected a weight above 0"):
            WeightedSampler(weights, 1)
        return
    drawn = WeightedSampler(weights, count, seed=seed).order(2)
    assert len(drawn) == count
    assert np.isin(drawn, positive).all()
    apart = WeightedSampler(weights, len(positive), replacement=False, seed=seed).order(2)
    assert sorted(apart.tolist()) == positive.tolist()
    alone = WeightedSampler(weights, len(positive), replacement=False, seed=seed)
    assert sorted(alone.order(0)) == positive.tolist()
    with pytest.raises(InputError, match="without replacement"):
        WeightedSampler(weights, len(positive) + 1, replacement=False)


def test_wrong_weights() -> None:
    with pytest.raises(InputError, match="got -1 for sample 1"):
        WeightedSampler([0.5, -1.0])
    with pytest.raises(InputError, match="got nan for sample 0"):
        WeightedSampler([np.nan])
    with pytest.raises(ShapeError, match="list of numbers"):
        WeightedSampler([[1.0, 2.0]])
    with pytest.raises(ShapeError, match="list of numbers"):
        WeightedSampler(["a"])


def test_class_weights_even_out_classes() -> None:
    labels = [0, 0, 0, 7, -1, 7, 2]
    weights = class_weights(labels)
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 1, 0, 1, 2])
    drawn = np.array(labels)[WeightedSampler(weights, 30_000).order(0)]
    np.testing.assert_allclose([np.mean(drawn == label) for label in (0, 7, 2)], 1 / 3, atol=0.01)
    assert class_weights(np.empty(0, np.int32)).shape == (0,)
    np.testing.assert_array_equal(class_weights([-1, -1]), [0, 0])
    with pytest.raises(InputError, match="dtype float64"):
        class_weights([0.0, 1.0])
    with pytest.raises(InputError, match="-2 to 1"):
        class_weights([1, -2])
    with pytest.raises(ShapeError, match="list of labels"):
        class_weights([[1]])


def numbers(loader: Loader) -> list[list[int]]:
    return [inputs["number"].tolist() for _, inputs in loader]


def test_a_loader_takes_the_order_of_its_sampler() -> None:
    sampler = WeightedSampler(np.arange(10), 23, seed=3)
    loader = Loader(make(10), 4, sampler=sampler)
    assert len(loader) == 6
    for epoch in range(2):
        batches = numbers(loader)
        assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 3]
        assert list(chain.from_iterable(batches)) == sampler.order(epoch).tolist()
    assert len(Loader(make(10), 4, sampler=sampler, drop_last=True)) == 5


def test_buckets_of_a_sampler() -> None:
    sampler = WeightedSampler(np.ones(40), 40, seed=1)
    plain = np.concatenate(Loader(make(40), 5, sampler=sampler).batch_indices(0))
    loader = Loader(make(40), 5, sampler=sampler, size_window=8)
    sizes = [make(40).sizes[batch] for batch in loader.batch_indices(0)]
    assert sorted(plain) == sorted(np.concatenate(loader.batch_indices(0)))
    assert all(size[0] <= size[-1] for size in sizes)


def test_a_place_in_an_epoch_survives_a_restart() -> None:
    def loader(seed: int = 3) -> Loader:
        return Loader(make(10), 4, sampler=WeightedSampler(np.arange(10), 23, seed=seed))

    first = loader()
    batches = iter(first)
    next(batches), next(batches)
    state = first.state_dict()
    second = loader()
    second.load_state_dict(state)
    assert numbers(second) == numbers(loader())[2:]
    with pytest.raises(InputError, match="a saved order with sampler"):
        loader(seed=4).load_state_dict(state)
    with pytest.raises(InputError, match="a saved order with"):
        Loader(make(10), 4).load_state_dict(state | {"num_samples": 10})


class Reversed(Sampler):
    def __init__(self, order: npt.ArrayLike, length: int) -> None:
        self._given = order
        self._length = length

    def __len__(self) -> int:
        return self._length

    def order(self, epoch: int) -> npt.ArrayLike:
        return self._given


class Sized:
    """As PyTorch's samplers: begun anew for each epoch, whose number it is told."""

    def __init__(self) -> None:
        self.epoch = -1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[int]:
        return iter([self.epoch, 1, 2])


def test_samplers_of_others() -> None:
    assert numbers(Loader(make(10), 2, sampler=Reversed([9, 3, 3], 3))) == [[9, 3], [3]]
    assert numbers(Loader(make(10), 2, sampler=[5, 4, 4])) == [[5, 4], [4]]
    assert numbers(Loader(make(10), 2, sampler=np.array([], np.int64))) == []
    loader = Loader(make(10), 2, sampler=Sized())
    assert [numbers(loader) for _ in range(2)] == [[[0, 1], [2]], [[1, 1], [2]]]


def test_wrong_samplers() -> None:
    data = make(10)
    for wrong in (Reversed([1, 2], 3), Reversed([0.5], 1), Reversed([[1]], 1)):
        with pytest.raises(InputError, match="integers from the sampler"):
            numbers(Loader(data, 2, sampler=wrong))
    for outside in (-1, 10):
        with pytest.raises(InputError, match=f"from 0 to 9 from the sampler, got {outside}"):
            numbers(Loader(data, 2, sampler=[1, outside]))
    with pytest.raises(InputError, match="as sampler, got 3"):
        Loader(data, 2, sampler=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got it with shuffle"):
        Loader(data, 2, sampler=[1], shuffle=True)
    with pytest.raises(InputError, match="got it with cache"):
        Loader(data, 2, sampler=[1], cache=True)


def test_targets_stand_beside_the_inputs() -> None:
    for options in ({}, {"cache": True}, {"workers": 1}):
        loader = Loader(make(10), 4, targets=["label"], **options)  # type: ignore[arg-type]
        for _ in range(2):
            for graphs, inputs, targets in loader:
                assert list(inputs) == ["number"]
                np.testing.assert_array_equal(targets["label"], graphs.keys % 3)
    with pytest.raises(InputError, match="among the inputs"):
        Loader(make(10), 4, targets=["lable"])
    with pytest.raises(InputError, match="each target once"):
        Loader(make(10), 4, targets=["label", "label"])
    with pytest.raises(InputError, match="names in a list as targets"):
        Loader(make(10), 4, targets="label")


class Failing(Dataset):
    """A data set that fails at a sample."""

    fails_at = 7

    def batch(self, indices: npt.ArrayLike):  # type: ignore[no-untyped-def]
        if self.fails_at in np.asarray(indices):
            raise OSError("the disk is gone")
        return super().batch(indices)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_keep_the_order(workers: int) -> None:
    given = make(23)
    alone = Loader(given, 2, shuffle=True, seed=2)
    ahead = Loader(given, 2, shuffle=True, seed=2, workers=workers)
    for _ in range(2):
        assert numbers(ahead) == numbers(alone)
    for count, _ in enumerate(ahead):
        if count == 3:
            break
    assert ahead.position == 4
    state = ahead.state_dict()
    rest = Loader(given, 2, shuffle=True, seed=2, workers=workers)
    rest.load_state_dict(state)
    alone.load_state_dict(state)
    assert numbers(rest) == numbers(alone)


def test_an_error_of_a_worker_comes_where_its_batch_would() -> None:
    chains = [chain_graph(2)] * 12
    loader = Loader(Failing(chains, graph={"number": np.arange(12)}), 2, workers=2)
    batches = iter(loader)
    seen = [next(batches)[1]["number"].tolist() for _ in range(3)]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert seen == [[0, 1], [2, 3], [4, 5]]
