"""Optimizers, gradient clipping and learning-rate schedules."""

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
