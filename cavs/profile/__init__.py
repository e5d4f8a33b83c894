"""Where the time and the memory of a call go, by instruction: what `Model.explain` measures."""

from cavs.profile._call import CallMemory as CallMemory
from cavs.profile._call import call_memory as call_memory
from cavs.profile._call import outputs_of_loss as outputs_of_loss
from cavs.profile._call import together as together
from cavs.profile._memory import Held as Held
from cavs.profile._memory import MemoryUse as MemoryUse
from cavs.profile._time import InstructionProfile as InstructionProfile
from cavs.profile._time import Profile as Profile
from cavs.profile._time import measure as measure
