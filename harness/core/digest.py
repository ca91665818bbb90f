"""Short digests of plain data, by which protocols, spaces and trainings are known."""

import hashlib
import json
from typing import Any


def digest(value: Any, digits: int = 12) -> str:
    """Return hex digits that identify plain data (dicts, lists, numbers, strings).

    Raises:
        ValueError: a float is not finite.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()[:digits]
