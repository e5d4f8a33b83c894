"""cavs: dynamic neural networks as static vertex functions over input graphs.

Declare a :class:`VertexFunction` once, :func:`compile` it, and call the model on batches of graphs.
"""

from cavs import _startup as _startup  # isort: skip
from typing import TYPE_CHECKING as _TYPE_CHECKING

from cavs import linalg as linalg
from cavs import nn as nn
from cavs import optim as optim
from cavs._missing import of_package as _of_package
from cavs._native import core as _core
from cavs._signatures import publish as _publish
from cavs._signatures import shorten as _shorten
from cavs.core import ops as ops
from cavs.core.ops._pytorch import instead_of as _instead_of
from cavs.core.remarks import Remark as Remark
from cavs.core.symbol import Symbol as Symbol
from cavs.core.traced_vertex import Vertex as Vertex
from cavs.core.typed_function import TypedFunction as TypedFunction
from cavs.core.vertex import Module as Module
from cavs.core.vertex import VertexFunction as VertexFunction
from cavs.core.vertex_program import VertexProgram as VertexProgram
from cavs.derivatives import grad as grad
from cavs.errors import CavsError as CavsError
from cavs.errors import CavsRuntimeError as CavsRuntimeError
from cavs.errors import CheckpointError as CheckpointError
from cavs.errors import DataError as DataError
from cavs.errors import DeviceError as DeviceError
from cavs.errors import DTypeError as DTypeError
from cavs.errors import GraphError as GraphError
from cavs.errors import InputError as InputError
from cavs.errors import NonFiniteError as NonFiniteError
from cavs.errors import ShapeError as ShapeError
from cavs.errors import TraceError as TraceError
from cavs.execution.profile import InstructionProfile as InstructionProfile
from cavs.execution.profile import MemoryUse as MemoryUse
from cavs.execution.profile import Profile as Profile
from cavs.execution.settings import get_flush_denormals as get_flush_denormals
from cavs.execution.settings import get_matmul_precision as get_matmul_precision
from cavs.execution.settings import get_num_threads as get_num_threads
from cavs.execution.settings import instruction_set as instruction_set
from cavs.execution.settings import set_flush_denormals as set_flush_denormals
from cavs.execution.settings import set_matmul_precision as set_matmul_precision
from cavs.execution.settings import set_num_threads as set_num_threads
from cavs.model import Model as Model
from cavs.pictures import draw as draw
from cavs.policy import learn_policy as learn_policy
from cavs.program import Program as Program
from cavs.program import compile as compile
from cavs.randomness import manual_seed as manual_seed
from cavs.readout import readout as readout
from cavs.readout import readout_pairs as readout_pairs
from cavs.sample_state import SampleState as SampleState
from cavs.scheduler import GraphBatch as GraphBatch
from cavs.scheduler import InputGraph as InputGraph
from cavs.scheduler import LearnedPolicy as LearnedPolicy
from cavs.scheduler import batch as batch
from cavs.scheduler import unbatch as unbatch
from cavs.tensor import Buffer as Buffer
from cavs.tensor import Generator as Generator
from cavs.tensor import Parameter as Parameter
from cavs.tensor import RowSparse as RowSparse
from cavs.tensor import Tensor as Tensor
from cavs.tensor import concat as concat
from cavs.tensor import detect_nonfinite as detect_nonfinite
from cavs.tensor import get_detect_nonfinite as get_detect_nonfinite
from cavs.tensor import no_grad as no_grad
from cavs.tensor import pairwise_kernel_sum as pairwise_kernel_sum
from cavs.tensor import set_detect_nonfinite as set_detect_nonfinite
from cavs.tensor import stack as stack
from cavs.tensor import tensor as tensor
from cavs.unfold import Frontier as Frontier
from cavs.unfold import Growth as Growth
from cavs.unfold import Unfolded as Unfolded
from cavs.unfold import unfold as unfold
from cavs.values import LineValue as LineValue
from cavs.values import VertexValues as VertexValues

__version__: str = _core.__version__

if _TYPE_CHECKING:
    from cavs import cuda as cuda
    from cavs import data as data
    from cavs import models as models
    from cavs import training as training
    from cavs.saving import load as load
    from cavs.saving import save as save

# What few programs need, or not at once: imported when it is first asked for.
_PACKAGES, _OF_SAVING = ("cuda", "data", "models", "training"), ("load", "save")


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _PACKAGES:
        return import_module(f"cavs.{name}")
    if name in _OF_SAVING:
        saving = import_module("cavs.saving")
        globals().update({each: getattr(saving, each) for each in _OF_SAVING})
        return globals()[name]
    return _of_package("cavs", _instead_of)(name)


_publish(__name__, "__version__", "linalg", "nn", "ops", "optim", *_PACKAGES, *_OF_SAVING)
_publish(ops.__name__)
_shorten(vars(linalg).values())
_publish(optim.__name__)
_publish(
    nn.__name__,
    "distributions",
    "estimators",
    "init",
    elsewhere=lambda name: _instead_of(name.lower()),
)
_shorten(x for each in (nn.distributions, nn.estimators, nn.init) for x in vars(each).values())
