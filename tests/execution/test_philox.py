"""The generator against the known answers that Random123 publishes for Philox4x32-10."""

import numpy as np
import pytest

from cavs.execution.philox import GRAPH_LOCAL, philox4x32, uniform, uniform_by_id

KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers(counter, key, expected):
    words = philox4x32(np.array(counter, np.uint64), np.array(key, np.uint64))
    assert [hex(word) for word in words] == [hex(word) for word in expected]


def test_rows_do_not_depend_on_each_other():
    keys = np.array([3, 2**40 + 1, -5], np.int64)
    local = np.array([0, 7, 2**31 - 1], np.int32)
    together = uniform(2**35 + 9, 2**33 + 4, 11, keys, local, 10)
    for row in range(3):
        alone = uniform(2**35 + 9, 2**33 + 4, 11, keys[row : row + 1], local[row : row + 1], 7)
        np.testing.assert_array_equal(alone[0], together[row, :7])
    assert len(np.unique(together)) == together.size


def test_every_part_of_the_key_matters():
    base = {"seed": 1, "step": 2, "op_key": 3}
    first = uniform(**base, graph_key=[4], local=[5], width=8)
    for change in ({"seed": 2**32 + 1}, {"step": 2**32 + 2}, {"op_key": 4}):
        assert not np.array_equal(
            uniform(**{**base, **change}, graph_key=[4], local=[5], width=8), first
        )
    assert not np.array_equal(uniform(**base, graph_key=[4 + 2**32], local=[5], width=8), first)
    assert not np.array_equal(uniform(**base, graph_key=[4], local=[GRAPH_LOCAL], width=8), first)


def test_mean_and_range():
    sample = uniform(0, 0, 0, np.arange(1000), np.zeros(1000, np.int32), 100)
    assert sample.min() >= 0
    assert sample.max() < 1
    assert abs(sample.mean() - 0.5) < 0.005


SEED, STEP, OPERATION = 2**40 + 17, 2**33 + 5, 77


def test_one_or_two_ids_stand_for_vertex_and_graph():
    """With the same bits as a vertex and a graph of these numbers."""
    for ids in ([3], [0], [-1], [3, 8], [8, 3], [-1, -1], [2**31 - 1, 0]):
        vertex, graph = (n & 0xFFFFFFFF for n in (*ids, 0)[:2])
        expected = uniform(SEED, STEP, OPERATION, [graph], [vertex], 9)
        np.testing.assert_array_equal(uniform_by_id(SEED, STEP, OPERATION, [ids], 9), expected)


def test_further_ids_are_folded_in():
    """By blocks of the generator itself, put together here word by word."""
    key = [
        (SEED & 0xFFFFFFFF) ^ (STEP * 0x9E3779B9 & 0xFFFFFFFF),
        SEED >> 32 ^ ((STEP >> 32) * 0xBB67AE85 & 0xFFFFFFFF),
    ]

    def block(*counter: int) -> list[int]:
        return [int(w) for w in philox4x32(np.array(counter, np.uint64), np.array(key, np.uint64))]

    for ids in ([5, 2, 9], [5, 2, -1], [4, -1, 0, 6]):
        first, second = (n & 0xFFFFFFFF for n in ids[:2])
        for n in ids[2:]:
            first, second, *_ = block(n & 0xFFFFFFFF, first, second, OPERATION)
        words = [*block(0, first, second, OPERATION), *block(1, first, second, OPERATION)]
        found = uniform_by_id(SEED, STEP, OPERATION, [ids], 7)[0]
        assert found.tolist() == [(w >> 8) / 2**24 for w in words[:7]]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_equal_ids_have_equal_numbers_and_others_others(count):
    rng = np.random.default_rng(count)
    ids = np.unique(rng.integers(-1, 6, (40, count)), axis=0)
    rows = rng.integers(0, len(ids), 100)
    drawn = uniform_by_id(1, 2, 3, ids, 30)
    np.testing.assert_array_equal(uniform_by_id(1, 2, 3, ids[rows], 30), drawn[rows])
    assert len(np.unique(drawn)) > 0.999 * drawn.size
    for change in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not (uniform_by_id(*change, ids, 30) == drawn).all(axis=1).any()
