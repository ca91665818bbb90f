"""Pages in Chromium, without a window."""

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=20000",
)
_PATIENCE = 240.0


def page_elements(page: str, folder: Path) -> str:
    """Return a page's elements after its scripts have run; ``folder`` keeps the browser's files."""
    return _run(page, folder, "--window-size=1800,1200", "--dump-dom")


def screenshot(page: str, folder: Path, picture: Path, width: int, height: int) -> None:
    """Write a picture of a page after its scripts have run, ``width`` × ``height`` pixels."""
    _run(page, folder, f"--window-size={width},{height}", f"--screenshot={picture}")


def _run(page: str, folder: Path, *flags: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, *_FLAGS, *flags, f"--user-data-dir={folder / 'browser'}", page]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE).stdout
