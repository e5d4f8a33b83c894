"""Tensors of the outer program: eager arrays with a small tape, over the same table of operations.

Parameters and the outputs of a model are tensors; losses across samples, and computations between
several models, are written with them.
"""

from cavs.tensor._buffer import Buffer as Buffer
from cavs.tensor._buffer import Constant as Constant
from cavs.tensor._differentiable import gradients as gradients
from cavs.tensor._joining import concat as concat
from cavs.tensor._joining import stack as stack
from cavs.tensor._nonfinite import describe as describe
from cavs.tensor._nonfinite import detect_nonfinite as detect_nonfinite
from cavs.tensor._nonfinite import detecting as detecting
from cavs.tensor._nonfinite import get_detect_nonfinite as get_detect_nonfinite
from cavs.tensor._nonfinite import has_nan as has_nan
from cavs.tensor._nonfinite import magnitudes as magnitudes
from cavs.tensor._nonfinite import nonfinite as nonfinite
from cavs.tensor._nonfinite import set_detect_nonfinite as set_detect_nonfinite
from cavs.tensor._order import place_of as place_of
from cavs.tensor._pairs import pairwise_kernel_sum as pairwise_kernel_sum
from cavs.tensor._parameter import Parameter as Parameter
from cavs.tensor._parameter import bounded_parameters as bounded_parameters
from cavs.tensor._parameter import check_room as check_room
from cavs.tensor._random import Generator as Generator
from cavs.tensor._random import Stream as Stream
from cavs.tensor._random import check_seed as check_seed
from cavs.tensor._row_sparse import RowSparse as RowSparse
from cavs.tensor._tape import captures as captures
from cavs.tensor._tape import capturing as capturing
from cavs.tensor._tape import is_grad_enabled as is_grad_enabled
from cavs.tensor._tape import no_grad as no_grad
from cavs.tensor._tape import retaining as retaining
from cavs.tensor._tape import sole_cotangent as sole_cotangent
from cavs.tensor._tape import wrong_cotangent as wrong_cotangent
from cavs.tensor._tensor import Tensor as Tensor
from cavs.tensor._tensor import grad_lock as grad_lock
from cavs.tensor._tensor import record as record
from cavs.tensor._tensor import tensor as tensor
from cavs.tensor._watch import Watch as Watch
from cavs.tensor._writing import Writing as Writing
