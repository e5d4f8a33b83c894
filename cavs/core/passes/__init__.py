"""The passes, each a file, each with a switch; on and off give the same results to rounding."""

from cavs.core.passes.commute_gather import commute_gather as commute_gather
from cavs.core.passes.read_parents import read_parents as read_parents
from cavs.core.passes.remember_pulls import remember_pulls as remember_pulls
from cavs.core.passes.simplify import Simplifier as Simplifier
from cavs.core.passes.specialize_leaves import specialize_leaves as specialize_leaves
from cavs.core.passes.unique_pulls import unique_pulls as unique_pulls

PASSES = (
    "simplify",
    "commute_gather",
    "specialize_leaves",
    "unique_pulls",
    "skip_missing",
    "skip_masked",
    "remember_pulls",
    "read_parents",
    "phases",
    "merge_matmuls",
    "fuse",
)
"""Names of the passes, in order; the default is all of them."""
