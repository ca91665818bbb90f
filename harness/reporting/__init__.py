"""Reports: tables, pictures and sentences from a study's folder. Reads only files, never a database or a server."""

from harness.reporting.by_kind import build_report, publish_report, summary, terminal_table

__all__ = ["build_report", "publish_report", "summary", "terminal_table"]
