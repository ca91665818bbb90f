"""Reports: tables, pictures and sentences from a study's folder. Reads only files, never a database or a server."""

from harness.reporting.study.page import build_report, publish_report, summary
from harness.reporting.study.tables import terminal_table

__all__ = ["build_report", "publish_report", "summary", "terminal_table"]
