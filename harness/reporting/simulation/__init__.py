"""Reports of searches that were replayed on a table."""

from harness.reporting.simulation.page import check_simulation, summary, write_simulation

__all__ = ["check_simulation", "summary", "write_simulation"]
