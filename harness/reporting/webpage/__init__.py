"""Reports as web pages: one HTML file each, which needs no other file and no network."""

from harness.reporting.webpage.document import page
from harness.reporting.webpage.images import inlined

__all__ = ["inlined", "page"]
