"""Which threads and functions look for NaN and infinities."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.errors import InputError, NonFiniteError


@pytest.fixture(autouse=True)
def off_afterwards() -> Iterator[None]:
    yield
    cavs.set_detect_nonfinite(False)


def nan() -> None:
    """Backward from NaN."""
    x = cavs.tensor(np.array([-1.0], np.float32), requires_grad=True)
    ops.log(x).sum().backward()


def found() -> bool:
    """Whether a NaN raises here."""
    try:
        nan()
    except NonFiniteError:
        assert cavs.get_detect_nonfinite()
        return True
    assert not cavs.get_detect_nonfinite()
    return False


def test_off_at_first() -> None:
    assert not found()


def test_set_is_of_the_process_and_with_is_of_a_block() -> None:
    cavs.set_detect_nonfinite(True)
    assert found()
    with cavs.detect_nonfinite(False):
        assert not found()
        with cavs.detect_nonfinite():
            assert found()
            cavs.set_detect_nonfinite(False)
            assert found()
        assert not found()
    assert not found()


def test_an_error_ends_the_block() -> None:
    with pytest.raises(NonFiniteError), cavs.detect_nonfinite():
        nan()
    assert not found()


def test_one_object_may_be_entered_again() -> None:
    look = cavs.detect_nonfinite()
    with look:
        with look:
            assert found()
        assert found()
    assert not found()
    with look:
        assert found()


def test_as_a_decorator() -> None:
    @cavs.detect_nonfinite()
    def look(depth: int) -> bool:
        """Says so."""
        return found() and (depth == 0 or look(depth - 1))

    assert look(3)
    assert not found()
    assert look.__name__ == "look"
    assert look.__doc__ == "Says so."

    @cavs.detect_nonfinite(False)
    def other() -> bool:
        return found()

    with cavs.detect_nonfinite():
        assert not other()
        assert found()


def in_thread(run: object) -> list[bool]:
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(found()))
    thread.start()
    thread.join()
    return results


def test_other_threads_look_as_the_process_does() -> None:
    with cavs.detect_nonfinite():
        assert in_thread(found) == [False]
    cavs.set_detect_nonfinite(True)
    assert in_thread(found) == [True]
    with cavs.detect_nonfinite(False):
        assert in_thread(found) == [True]


@pytest.mark.parametrize("value", [1, 0, None, "yes", nan])
def test_what_is_no_bool_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"\[nonfinite\] expected True or False, got"):
        cavs.detect_nonfinite(value)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"\[nonfinite\] expected True or False, got"):
        cavs.set_detect_nonfinite(value)  # type: ignore[arg-type]
    assert not cavs.get_detect_nonfinite()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda x: ops.log(x - 2.0).sum(), "got nan"),
        (lambda x: ops.log(x - 1.0).sum(), "got -inf"),
        (lambda x: (x / (x - 1.0)).mean(), "got inf"),
        (lambda x: (x * 1e30 * 1e30).sum(), "got inf"),
    ],
)
def test_backward_starts_from_finite_values(loss: object, words: str) -> None:
    x = cavs.tensor(np.ones(3, np.float32), requires_grad=True)
    with np.errstate(all="ignore"):
        value = loss(x)  # type: ignore[operator]
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError) as caught:
        value.backward()
    assert "expected backward from a finite value" in str(caught.value)
    assert words in str(caught.value)
    assert x.grad is None


def test_a_gradient_of_a_tensor_is_looked_at() -> None:
    x = cavs.tensor(np.array([0.0, 4.0], np.float32), requires_grad=True)
    y = ops.sqrt(x).sum()
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError) as caught:
        y.backward()
    assert "expected a finite gradient of a tensor of shape (2,), got inf at 0" in str(caught.value)
    assert "the derivative of 'sqrt'" in str(caught.value)
    assert x.grad is None


def test_infinities_on_the_way_are_right() -> None:
    x = cavs.tensor(np.array([0.0, 4.0], np.float32), requires_grad=True)
    with cavs.detect_nonfinite(), np.errstate(all="ignore"):
        low = ops.log(x.detach())
        ops.softmax(low + x).sum().backward()
    assert np.isfinite(x.grad).all()
