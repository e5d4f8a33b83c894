"""What Python and the engine call the parts of a program."""

from enum import Enum
from typing import Any

import pytest

from cavs._native import core
from cavs.core.attributes import Read
from cavs.core.ops._spaces import SpaceKind
from cavs.core.program import Role, SegmentKind, TableKind


@pytest.mark.parametrize(
    ("python", "native"),
    [
        (SpaceKind, core.SpaceKind),
        (Role, core.Role),
        (TableKind, core.TableKind),
        (SegmentKind, core.SegmentKind),
        (Read, core.Read),
    ],
    ids=lambda kind: kind.__name__,
)
def test_enumerations_have_the_same_names(python: type[Enum], native: Any) -> None:
    assert {member.name for member in python} == {member.name for member in native}


@pytest.mark.parametrize("native", [core.SpaceKind, core.Role, core.TableKind, core.DType])
def test_enumerations_are_pythons_own(native: Any) -> None:
    """By value and by name, and refused without a line of C++ where there is none."""
    for member in native:
        assert native(member.value) is member
        assert native[member.name] is member
    with pytest.raises(ValueError, match="is not a valid"):
        native(99)
