"""Detections of a few images on disk, each file whole or not there: what an interrupted prediction goes on from."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.models.weights import write_atomically

Rows = NDArray[np.float32]


def save_chunk(path: Path, detections: Sequence[Rows]) -> None:
    """Write each image's detections (k, 15) atomically; folders are made.

    Raises:
        OSError: the disk is full or not writable.
    """
    content = io.BytesIO()
    offsets = np.cumsum([0, *(len(rows) for rows in detections)])
    np.savez(content, allow_pickle=False, detections=np.concatenate(detections), offsets=offsets)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def load_chunk(path: Path, images: int) -> list[Rows] | None:
    """Return each of ``images`` images' detections (k, 15); None where there is no such file, or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            detections, offsets = stored["detections"], stored["offsets"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if detections.shape != (offsets[-1], 15) or offsets.shape != (images + 1,):
        return None
    return np.split(detections, offsets[1:-1])
