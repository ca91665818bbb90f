"""Reads NumPy's archives without running code in them, and refuses damage in one line."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import first_line


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file. Pickled objects are refused.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or of another kind; the message is one line.
    """
    try:
        # Opened here and not by NumPy, which does not close a broken file.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # What a damaged file makes NumPy raise is not documented.
        raise ValueError(first_line(error)) from error
    strange = next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None)
    if strange is not None:  # NumPy returns the bytes of what is no array.
        raise ValueError(f"{strange} is not an array")
    return arrays
