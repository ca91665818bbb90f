"""Reports of ablations: which exchange of a part changes what, which differences are shown, which claims hold."""

from harness.reporting.ablation.data import load
from harness.reporting.ablation.page import build, summary
from harness.reporting.ablation.tables import terminal_table

__all__ = ["build", "load", "summary", "terminal_table"]
