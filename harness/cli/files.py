"""Folders and pictures that options name."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")


def require_writable(option: str, folder: Path) -> None:
    """Make the folder that ``option`` names, and refuse one that cannot be written, before any work is done.

    Raises:
        InputError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{option}: {folder} is not a writable folder ({error.strerror})") from error


def require_picture(path: Path | None) -> None:
    """Refuse a ``--plot`` that cannot be written, before any work is done.

    Raises:
        InputError: the suffix is unknown, the path is a folder, or its folder cannot be written.
    """
    if path is None:
        return
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"--plot must end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}, got {path}")
    if path.is_dir():
        raise InputError(f"--plot {path} is a folder: name a file")
    require_writable("--plot", path.parent)


def write_picture(figure: "Figure", path: Path) -> None:
    """Write a figure to a path that ``require_picture`` accepted."""
    figure.savefig(path, dpi=150)
