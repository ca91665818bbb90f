"""JSON files that hold a digest of their content, so that a change from outside is found and not believed."""

import json
from pathlib import Path
from typing import Any, NoReturn

from harness.core.digest import digest
from harness.core.files import read_regular, write_atomically
from harness.errors import DataError

DIGEST = "digest"
"""The key that is added. A file without it, as earlier versions wrote them, is read as it is."""

DIGITS = 16

MOST_BYTES = 2**28


def write_sealed(path: Path, data: dict[str, Any], *, private: bool = False) -> None:
    """Write ``data`` and its digest to ``path`` atomically; ``private`` as in ``write_atomically``.

    Raises:
        OSError: the disk is full or not writable.
        ValueError: a number is not finite.
    """
    write_atomically(path, sealed(data), private=private)


def sealed(data: dict[str, Any]) -> bytes:
    """Return the content of the file that ``write_sealed`` writes.

    Raises:
        ValueError: a number is not finite.
    """
    content = json.loads(json.dumps(data, allow_nan=False))  # As it will be read: keys are texts, tuples are lists.
    text = json.dumps(content | {DIGEST: digest(content, DIGITS)}, indent=1)
    return f"{text}\n".encode()


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the content of a file that ``write_sealed`` wrote, without its digest.

    Raises:
        DataError: the file is missing, not readable, no JSON object, or was changed since it was written.
    """
    try:
        content = json.loads(read_regular(path, MOST_BYTES).decode("utf-8"), parse_constant=_refuse)
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
        said = content.pop(DIGEST, None)
        changed = said is not None and said != digest(content, DIGITS)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except OSError as error:
        raise DataError(f"{path} is not readable: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not readable as JSON: {error}") from error
    if changed:
        raise DataError(f"{path} was changed after it was written: its content does not match its digest")
    return content


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
