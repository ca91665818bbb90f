"""Counts of architectures and whole spaces: exact totals, sampling within a budget, comparison with other counters."""

from harness.counting.counters import Comparison, compare
from harness.counting.spaces import SpaceCounts
from harness.counting.tree import Node, tree

__all__ = ["Comparison", "Node", "SpaceCounts", "compare", "tree"]
