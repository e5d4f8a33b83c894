"""Says of the passes that leave rows out of products which do, and where zeros are lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cavs.core.ir import Node, ancestors
from cavs.core.lowering.nodes import summed_rows, sums_all_rows
from cavs.core.lowering.zeros import Rows, Zeros
from cavs.core.ops._spaces import Space, Unique
from cavs.core.ops.structure import PULL
from cavs.core.remarks import Missing, Notes, Stake, counted, listed, products_after


def say_rows(
    notes: Notes, name: str, zeros: Zeros, roots: Iterable[Node], found: Mapping[Node, Rows]
) -> None:
    """`name`: of the pass; `zeros`: what it knows of the function of these roots; `found`: the
    products that leave out rows."""
    what = "the id" if name == "skip_missing" else "the mask"
    value = -1 if name == "skip_missing" else 0
    after = products_after(ancestors(roots))
    for node in zeros.lost:
        # Distinct ids have one row of -1: nothing is lost there.
        stay = [
            x
            for x in sorted(after[node], key=lambda x: x.number)
            if x not in found and not isinstance(_rows(x), Unique)
        ]
        if stay and not isinstance(node.space, Unique):
            rows = frozenset().union(*(zeros.zero.get(x, frozenset()) for x in node.inputs))
            reason = (
                f"{node.op.name} gives other numbers than 0 where {what} {_names(rows)} is "
                f"{value}, so the products after it have all rows"
            )
            work = [Stake(_missing(_rows(x), rows), x.flops) for x in stay]
            notes.refuse(name, node, reason, work)
    of_rows = [x for x in found if not isinstance(_rows(x), Unique)]
    if of_rows:
        names = _names(frozenset().union(*(found[x] for x in of_rows)))
        words = (
            f"{counted(len(of_rows), 'product')} left out the rows where {what} {names} is {value}"
        )
        notes.did(name, words, [Stake(_missing(_rows(x), found[x]), x.flops) for x in of_rows])


def _rows(product: Node) -> Space:
    """The rows that a product is over."""
    return summed_rows(product) if sums_all_rows(product) else product.space


def _missing(space: Space, rows: Rows) -> Space | Missing:
    """The rows, if the ids and masks that say which are inputs of these rows."""
    if not all(x.op is PULL and x.space == space for clause in rows for x in clause):
        return space
    return Missing(space, frozenset(frozenset(x.attrs["name"] for x in c) for c in rows))


def _names(rows: Rows) -> str:
    found = {str(x.attrs["name"]): None for clause in rows for x in clause if "name" in x.attrs}
    return listed(sorted(found), "or")
