"""Arrays as values of a vertex function."""

from __future__ import annotations

from typing import Any

from cavs._arguments import of_pytorch
from cavs.core.ops._holding import makers
from cavs.errors import TraceError


def constant(array: Any) -> Any:
    """An array as a value without rows, which is the same for every vertex and in every call.

    In a vertex function NumPy's arrays may stand wherever a value may, so this is only needed for
    what a value alone has, as in ``ops.constant(array)[0]``. The array is copied. Its numbers, of
    any dtype, become those of the model's, anew where the model's dtype changes. It is no
    parameter: it does not learn, has no gradient and stands in no checkpoint.

    Args:
        array: of any shape; an array of NumPy, a number, or nested lists of numbers.

    Returns:
        In a vertex function a symbol of the array's shape, of the space ``none``; else a tensor.

    Raises:
        DTypeError: it does not hold real numbers. NaN is allowed, and warned of once.
    """
    if of_pytorch(array):
        raise TraceError(
            "[constant] expected an array of NumPy, got PyTorch's; pass x.detach().numpy()"
        )
    return makers.value(array)
