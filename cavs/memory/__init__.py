"""The memory that the engine holds between runs, and the memory that a run will take."""

from cavs.memory.arenas import pooled_bytes as pooled_bytes
from cavs.memory.arenas import release_memory as release_memory
from cavs.memory.dry_run import SweepMemory as SweepMemory
from cavs.memory.dry_run import plan_run as plan_run
