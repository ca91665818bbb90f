"""Counting architectures and whole spaces: exact totals, sampling within a budget, other counters beside them."""

from harness.counting.counters import Comparison, compare
from harness.counting.spaces import SpaceCounts
from harness.counting.tree import Node, tree

__all__ = ["Comparison", "Node", "SpaceCounts", "compare", "tree"]
