"""Reads image files of every kind as upright 8-bit BGR, or refuses them by name. Needs no torch."""

from pathlib import Path

import cv2
import numpy as np

from harness.core.files import read_regular
from harness.detection.framing import Image

WHITE = 255
"""Grey level that transparent pixels are shown on."""

MOST_BYTES = 2**28
"""Largest image file."""

_ROWS = 256

_KINDS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n": "PNG",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
"""First bytes → name, to tell a damaged image from another kind of file."""

_SCAN, _END = b"\xff\xda", b"\xff\xd9"
"""Markers of JPEG: what follows is image data, and the end."""


class UnreadableError(Exception):
    """A file cannot be used. The message says why, without the file's name."""


def read_picture(path: Path) -> Image:
    """Return the picture that a file holds, as ``decode_picture`` does.

    Raises:
        UnreadableError: the file is missing, no regular file or too large, or as ``decode_picture``.
    """
    try:
        return decode_picture(read_regular(path, MOST_BYTES))
    except OSError as error:
        raise UnreadableError(_why(error)) from error


def decode_picture(data: bytes) -> Image:
    """Return a picture as viewers show it: (H, W, 3) uint8, BGR.

    EXIF orientation is applied. Grey, palette, CMYK and 16-bit pictures are converted, transparent pixels are shown on
    white, and of an animation or of several pages the first one is read.

    Raises:
        UnreadableError: the content is empty, truncated or damaged, or no image that OpenCV decodes, which refuses more
            pixels than ``harness.MOST_PIXELS``.
    """
    if not data:
        raise UnreadableError("is empty")
    kind = next((name for start, name in _KINDS.items() if data.startswith(start)), "")
    # Older versions of OpenCV fill the missing part of a JPEG with grey.
    if kind == "JPEG" and data.rfind(_END) < data.rfind(_SCAN):
        raise UnreadableError("is a truncated JPEG file")
    shown = _decode(data, cv2.IMREAD_COLOR)
    if shown is None:
        raise UnreadableError(f"is a damaged or truncated {kind} file" if kind else "is no image that OpenCV decodes")
    return shown if kind in ("JPEG", "BMP") else _on_white(shown, data)


def _why(error: OSError) -> str:
    return "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"


def _decode(data: bytes, how: int) -> Image | None:
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        found: Image | None = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), how)  # type: ignore[assignment]
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(before)
    return found


def _on_white(shown: Image, data: bytes) -> Image:
    """Return ``shown`` blended with white where the file is transparent.

    OpenCV returns transparency without applying the orientation. Rotated pictures with transparency, which cameras do
    not write, keep the colours behind it.
    """
    full = _decode(data, cv2.IMREAD_UNCHANGED)
    if full is None or full.ndim != 3 or full.shape[2] != 4 or full.shape[:2] != shown.shape[:2]:
        return shown
    for start in range(0, len(shown), _ROWS):  # In parts, because floats take four times the memory.
        rows = slice(start, start + _ROWS)
        alpha = full[rows, :, 3:].astype(np.float32) / np.iinfo(full.dtype).max
        shown[rows] = np.rint(shown[rows] * alpha + WHITE * (1 - alpha)).astype(np.uint8)
    return shown
