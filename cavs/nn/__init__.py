"""Layers, the initial values of their parameters, distributions, and
estimators of bounds and their gradients."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from cavs._missing import of_package as _of_package
from cavs.core.ops._pytorch import instead_of as _instead_of
from cavs.core.vertex import Module as Module
from cavs.nn import distributions as distributions
from cavs.nn import estimators as estimators
from cavs.nn import init as init
from cavs.nn.layers import Dropout as Dropout
from cavs.nn.layers import Embedding as Embedding
from cavs.nn.layers import LayerNorm as LayerNorm
from cavs.nn.layers import Linear as Linear
from cavs.tensor import Parameter as Parameter

__all__ = [
    "Dropout",
    "Embedding",
    "LayerNorm",
    "Linear",
    "Module",
    "Parameter",
    "distributions",
    "estimators",
    "init",
]


def __dir__() -> list[str]:
    return sorted(__all__)


if not _TYPE_CHECKING:  # type checkers would take it for names of any kind
    __getattr__ = _of_package("cavs.nn", lambda name: _instead_of(name.lower()))
