"""Where values live: arenas that grow, tensors whose rows come with the batch, and lifetimes."""

from cavs.memory.dynamic_tensor import Arena as Arena
from cavs.memory.dynamic_tensor import DynamicTensor as DynamicTensor
from cavs.memory.planner import Lifetime as Lifetime
from cavs.memory.planner import Plan as Plan
from cavs.memory.planner import plan as plan
