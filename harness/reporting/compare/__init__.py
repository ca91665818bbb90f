"""Comparison of several studies: trainings that differ only in seed are grouped, and differences have intervals."""

from harness.reporting.compare.data import Comparison
from harness.reporting.compare.page import check_comparison, summary, write_comparison
from harness.reporting.compare.read import compare, read_studies

__all__ = ["Comparison", "check_comparison", "compare", "read_studies", "summary", "write_comparison"]
