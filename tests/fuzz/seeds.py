"""Valid files, made by what writes them."""

import tempfile
from collections.abc import Callable
from pathlib import Path


def written(make: Callable[[Path], object]) -> dict[str, bytes]:
    """Return name → content of the files that ``make`` writes into a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }
