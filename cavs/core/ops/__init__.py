"""The operations, for vertex values and outer tensors alike. One table, one row per operation."""

import typing as _typing

from cavs.core.ops._def import OPS as OPS
from cavs.core.ops._def import OpDef as OpDef
from cavs.core.ops.attention import attention as attention
from cavs.core.ops.constant import constant as constant
from cavs.core.ops.convolve import conv1d as conv1d
from cavs.core.ops.convolve import conv2d as conv2d
from cavs.core.ops.convolve import conv_transpose1d as conv_transpose1d
from cavs.core.ops.convolve import conv_transpose2d as conv_transpose2d
from cavs.core.ops.elementwise import abs as abs
from cavs.core.ops.elementwise import clip as clip
from cavs.core.ops.elementwise import equal as equal
from cavs.core.ops.elementwise import erfinv as erfinv
from cavs.core.ops.elementwise import exp as exp
from cavs.core.ops.elementwise import greater as greater
from cavs.core.ops.elementwise import greater_equal as greater_equal
from cavs.core.ops.elementwise import less as less
from cavs.core.ops.elementwise import less_equal as less_equal
from cavs.core.ops.elementwise import log as log
from cavs.core.ops.elementwise import maximum as maximum
from cavs.core.ops.elementwise import minimum as minimum
from cavs.core.ops.elementwise import pow as pow
from cavs.core.ops.elementwise import reciprocal as reciprocal
from cavs.core.ops.elementwise import relu as relu
from cavs.core.ops.elementwise import rsqrt as rsqrt
from cavs.core.ops.elementwise import sigmoid as sigmoid
from cavs.core.ops.elementwise import sign as sign
from cavs.core.ops.elementwise import softplus as softplus
from cavs.core.ops.elementwise import sqrt as sqrt
from cavs.core.ops.elementwise import square as square
from cavs.core.ops.elementwise import stop_gradient as stop_gradient
from cavs.core.ops.elementwise import tanh as tanh
from cavs.core.ops.elementwise import where as where
from cavs.core.ops.lines import argmax as argmax
from cavs.core.ops.lines import argsort as argsort
from cavs.core.ops.lines import cumsum as cumsum
from cavs.core.ops.lines import sort as sort
from cavs.core.ops.lines import take as take
from cavs.core.ops.lines import top_k as top_k
from cavs.core.ops.loss import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from cavs.core.ops.loss import cross_entropy as cross_entropy
from cavs.core.ops.loss import embedding as embedding
from cavs.core.ops.loss import one_hot as one_hot
from cavs.core.ops.loss import pick as pick
from cavs.core.ops.loss import squared_error as squared_error
from cavs.core.ops.matmul import linear as linear
from cavs.core.ops.matmul import matmul as matmul
from cavs.core.ops.mode import by_mode as by_mode
from cavs.core.ops.mode import running as running
from cavs.core.ops.pooling import avg_pool as avg_pool
from cavs.core.ops.pooling import max_pool as max_pool
from cavs.core.ops.pooling import upsample as upsample
from cavs.core.ops.random import bernoulli as bernoulli
from cavs.core.ops.random import categorical as categorical
from cavs.core.ops.random import dropout as dropout
from cavs.core.ops.random import gumbel_softmax as gumbel_softmax
from cavs.core.ops.random import normal as normal
from cavs.core.ops.random import one_hot_max as one_hot_max
from cavs.core.ops.random import uniform_like as uniform_like
from cavs.core.ops.reduce import group_norm as group_norm
from cavs.core.ops.reduce import layer_norm as layer_norm
from cavs.core.ops.reduce import log_softmax as log_softmax
from cavs.core.ops.reduce import logsumexp as logsumexp
from cavs.core.ops.reduce import max as max
from cavs.core.ops.reduce import mean as mean
from cavs.core.ops.reduce import min as min
from cavs.core.ops.reduce import softmax as softmax
from cavs.core.ops.reduce import sum as sum
from cavs.core.ops.shape import concat as concat
from cavs.core.ops.shape import permute as permute
from cavs.core.ops.shape import reshape as reshape
from cavs.core.ops.shape import slice_last as slice_last
from cavs.core.ops.shape import split as split
from cavs.core.ops.shape import stack as stack
from cavs.core.ops.special import cos as cos
from cavs.core.ops.special import digamma as digamma
from cavs.core.ops.special import elu as elu
from cavs.core.ops.special import erf as erf
from cavs.core.ops.special import expm1 as expm1
from cavs.core.ops.special import gelu as gelu
from cavs.core.ops.special import leaky_relu as leaky_relu
from cavs.core.ops.special import lgamma as lgamma
from cavs.core.ops.special import log1p as log1p
from cavs.core.ops.special import silu as silu
from cavs.core.ops.special import sin as sin
from cavs.core.ops.special import trigamma as trigamma
from cavs.core.ops.structure import batch_count as batch_count
from cavs.core.ops.structure import batch_max as batch_max
from cavs.core.ops.structure import batch_mean as batch_mean
from cavs.core.ops.structure import batch_sum as batch_sum
from cavs.core.ops.structure import graph_max as graph_max
from cavs.core.ops.structure import graph_mean as graph_mean
from cavs.core.ops.structure import graph_sum as graph_sum
from cavs.core.ops.structure import segment_log_softmax as segment_log_softmax
from cavs.core.ops.structure import segment_logsumexp as segment_logsumexp
from cavs.core.ops.structure import segment_max as segment_max
from cavs.core.ops.structure import segment_mean as segment_mean
from cavs.core.ops.structure import segment_softmax as segment_softmax
from cavs.core.ops.structure import segment_sum as segment_sum

if not _typing.TYPE_CHECKING:  # type checkers would take it for names of any kind
    from cavs.core.ops._pytorch import no_such_operation as __getattr__  # noqa: F401
