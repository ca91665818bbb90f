"""What architectures and whole spaces cost: closed forms, the budget, enumeration, and other counters beside them."""

from harness.counting.closed_form import broken, check_budget, costs, count, count_parts, macs, shares
from harness.counting.counters import Comparison, compare
from harness.counting.spaces import SpaceCounts

__all__ = [
    "Comparison",
    "SpaceCounts",
    "broken",
    "check_budget",
    "compare",
    "costs",
    "count",
    "count_parts",
    "macs",
    "shares",
]
