"""Layers, the initial values of their parameters, distributions, and
estimators of bounds and their gradients."""

from cavs.core.vertex import Module as Module
from cavs.nn import distributions as distributions
from cavs.nn import estimators as estimators
from cavs.nn import init as init
from cavs.nn.convolution import Conv1d as Conv1d
from cavs.nn.convolution import Conv2d as Conv2d
from cavs.nn.convolution import ConvTranspose1d as ConvTranspose1d
from cavs.nn.convolution import ConvTranspose2d as ConvTranspose2d
from cavs.nn.convolution import MaskedConv2d as MaskedConv2d
from cavs.nn.layers import Dropout as Dropout
from cavs.nn.layers import Embedding as Embedding
from cavs.nn.layers import GroupNorm as GroupNorm
from cavs.nn.layers import LayerNorm as LayerNorm
from cavs.nn.layers import Linear as Linear
from cavs.nn.norms import BatchNorm as BatchNorm
from cavs.nn.norms import SpectralNorm as SpectralNorm
from cavs.nn.norms import WeightNorm as WeightNorm
from cavs.tensor import Parameter as Parameter
