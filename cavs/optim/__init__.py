"""Optimizers, gradient clipping and learning-rate schedules."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from cavs._missing import of_package as _of_package
from cavs.optim._optimizer import Optimizer as Optimizer
from cavs.optim.clip import clip_grad_norm as clip_grad_norm
from cavs.optim.optimizers import SGD as SGD
from cavs.optim.optimizers import Adagrad as Adagrad
from cavs.optim.optimizers import Adam as Adam
from cavs.optim.optimizers import AdamW as AdamW
from cavs.optim.optimizers import RMSprop as RMSprop
from cavs.optim.schedules import ConstantLR as ConstantLR
from cavs.optim.schedules import CosineLR as CosineLR
from cavs.optim.schedules import ExponentialLR as ExponentialLR
from cavs.optim.schedules import LRSchedule as LRSchedule
from cavs.optim.schedules import ReduceLROnPlateau as ReduceLROnPlateau
from cavs.optim.schedules import StepLR as StepLR
from cavs.optim.schedules import WarmupLinear as WarmupLinear

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ConstantLR",
    "CosineLR",
    "ExponentialLR",
    "LRSchedule",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "StepLR",
    "WarmupLinear",
    "clip_grad_norm",
]


def __dir__() -> list[str]:
    return sorted(__all__)


if not _TYPE_CHECKING:  # type checkers would take it for names of any kind
    __getattr__ = _of_package("cavs.optim")
