"""Measures for `Model.explain` where the time and the memory of a call go, by instruction."""

from cavs.execution.profile._call import CallMemory as CallMemory
from cavs.execution.profile._call import MemoryBytes as MemoryBytes
from cavs.execution.profile._call import call_memory as call_memory
from cavs.execution.profile._call import outputs_of_loss as outputs_of_loss
from cavs.execution.profile._call import together as together
from cavs.execution.profile._memory import MemoryUse as MemoryUse
from cavs.execution.profile._remarks import with_remarks as with_remarks
from cavs.execution.profile._time import InstructionProfile as InstructionProfile
from cavs.execution.profile._time import Profile as Profile
from cavs.execution.profile._time import measure as measure
