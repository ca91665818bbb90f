"""What architectures and whole spaces cost: closed forms, the budget, enumeration, and other counters beside them."""

from harness.counting.closed_form import broken, check_budget, costs, count, count_parts, macs, shares
from harness.counting.counters import Comparison, compare
from harness.counting.spaces import SpaceCounts
from harness.counting.tree import Node, tree

__all__ = [
    "Comparison",
    "Node",
    "SpaceCounts",
    "broken",
    "check_budget",
    "compare",
    "costs",
    "count",
    "count_parts",
    "macs",
    "shares",
    "tree",
]
