"""The generator of random tensors."""

import numpy as np
import pytest

import cavs
from cavs.errors import DTypeError, InputError, ShapeError
from cavs.execution.philox import uniform


def test_rows_depend_on_their_keys_alone() -> None:
    whole = cavs.Generator(7).normal((4, 3), keys=[10, 11, 12, 13]).data
    part = cavs.Generator(7).normal((2, 3), keys=[13, 11]).data
    np.testing.assert_array_equal(part, whole[[3, 1]])
    assert (cavs.Generator(8).normal((4, 3)).data != whole).all()


def test_places_tell_rows_of_one_key_apart() -> None:
    draw = cavs.Generator(7).uniform
    whole = draw((4, 3), keys=[5, 5, 2**40, 5], places=[0, 1, 0, 2**32 - 1]).data
    assert len(np.unique(whole)) == 12
    np.testing.assert_array_equal(cavs.Generator(7).uniform((1, 3), keys=[5]).data[0], whole[0])
    part = cavs.Generator(7).uniform((1, 3), keys=[5], places=[1]).data
    np.testing.assert_array_equal(part[0], whole[1])


def test_each_tensor_is_another_and_a_state_repeats_it() -> None:
    generator = cavs.Generator(1)
    first = generator.uniform((2, 5))
    state = generator.state()
    second = generator.uniform((2, 5))
    assert (first.data != second.data).all()
    again = cavs.Generator()
    again.set_state(state)
    np.testing.assert_array_equal(again.uniform((2, 5)).data, second.data)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(), 7, (0,), (3, 0), (5, 1), (4, 3, 11), (2, 129)])
def test_numbers_are_those_of_the_definition(dtype: str, sizes: int | tuple[int, ...]) -> None:
    generator = cavs.Generator(2**63 + 5)
    generator.set_state({"seed": 2**63 + 5, "step": 2**40 + 3})
    drawn = generator.uniform(sizes, dtype).data
    rows = drawn.shape[0] if drawn.shape else 1
    width = int(np.prod(drawn.shape[1:], dtype=int))
    keys, local = np.arange(rows), np.zeros(rows, int)
    expected = uniform(2**63 + 5, 2**40 + 3, 2**32 - 1, keys, local, width)
    np.testing.assert_array_equal(drawn, expected.reshape(drawn.shape).astype(dtype))


@pytest.mark.parametrize("keys", [[-1, 2**40], np.array([2**63 + 1, 7], np.uint64), [True, False]])
def test_keys_are_integers_of_any_width(keys: list[int]) -> None:
    drawn = cavs.Generator(3).uniform((2, 6), keys=keys).data
    expected = uniform(3, 0, 2**32 - 1, np.asarray(keys).astype(np.int64), np.zeros(2), 6)
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments(dtype: str) -> None:
    u = cavs.Generator().uniform(50_000, dtype).data
    z = cavs.Generator().normal((50_000, 2), dtype).data
    assert u.dtype == z.dtype == dtype
    assert u.shape == (50_000,)
    assert abs(u.mean() - 0.5) < 0.01
    np.testing.assert_allclose([z.mean(), z.std()], [0, 1], atol=0.01)
    assert cavs.Generator().normal(()).shape == ()


def test_errors() -> None:
    generator = cavs.Generator()
    with pytest.raises(ShapeError, match=r"\[random\] expected an integer size >= 0, got -1"):
        generator.uniform(-1)
    with pytest.raises(ShapeError, match=r"\[random\] expected 2 keys, got shape \(3,\)"):
        generator.uniform((2, 1), keys=[1, 2, 3])
    with pytest.raises(DTypeError, match=r"\[random\] expected integers as keys, got fl"):
        generator.uniform((2, 1), keys=[1.5, 2.0])
    with pytest.raises(ShapeError, match=r"\[random\] expected 2 places, got shape \(1,\)"):
        generator.normal((2, 1), places=[1])
    with pytest.raises(DTypeError, match=r"\[random\] expected float32 or float64"):
        generator.normal(3, "int32")
    with pytest.raises(InputError, match=r"\[random\] expected an integer in 0..2\*\*64-1"):
        cavs.Generator(-1)
    with pytest.raises(InputError, match=r"\[random\] expected a seed and a step"):
        generator.set_state({"seed": 1})
