"""From IR to programs in three steps: order and places, numbers of values, instructions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from cavs.core.ir import Name, Node
from cavs.core.lowering.analyse import analyse as analyse
from cavs.core.lowering.masks import find_masks as find_masks
from cavs.core.lowering.number import number as number
from cavs.core.lowering.operands import distinct_tables as distinct_tables
from cavs.core.lowering.sinks import Lowered as Lowered
from cavs.core.lowering.sinks import Sinks as Sinks
from cavs.core.lowering.sinks import read_from_forward as read_from_forward
from cavs.core.lowering.write import write as write
from cavs.core.ops._spaces import Space, Unique
from cavs.core.remarks import Notes
from cavs.core.type_order import TypeOrder


def lower(
    sinks: Sinks,
    forward: Lowered | None,
    params: Mapping[str, Any],
    switches: Collection[str],
    counted: Sequence[tuple[Unique, Space]] = (),
    masks: Mapping[Node, Node] = MappingProxyType({}),
    types: TypeOrder | None = None,
    given: Mapping[Name, Space] = MappingProxyType({}),
    notes: Notes | None = None,
) -> Lowered:
    """Lowers F (``forward`` None) or a gradient over its lowered F.

    `params`: by path; `switches`: the passes that are on; `counted`: the distinct ids that a
    gradient by rows needs; `masks`: maps a product that may leave out rows to its mask, a
    node that is zero (an id: -1) in these rows; `types`: the order of a function's types; `given`:
    the rows of the caller's arrays, in a function of types; `notes`: takes what passes say.
    """
    lowering = analyse(sinks, forward, switches, masks, notes)
    values = number(lowering, params, counted, given)
    program = write(lowering, values, params, types)
    value_of = {place: n for place, n in values.number_of.items() if isinstance(place, Node)}
    storage = lowering.storage
    return Lowered(program, value_of, frozenset(storage.order), storage.sinks.saved)
