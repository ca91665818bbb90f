"""Several studies in one report: what was trained alike belongs together, and every difference has its interval."""

from harness.reporting.compare.data import Comparison, compare
from harness.reporting.compare.page import check_comparison, read_studies, summary, write_comparison

__all__ = ["Comparison", "check_comparison", "compare", "read_studies", "summary", "write_comparison"]
