"""Checks a WIDER FACE copy before training: counts its images and faces and finds every fault."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.contact import contact_sheet
from harness.data.decode import MOST_UNREADABLE, Progress, decode
from harness.data.faces import FaceSetWriter, choose
from harness.data.widerface import find_layout, fingerprint, read_annotations
from harness.errors import DataError

HEIGHTS = (2, 4, 8, 16, 32, 64, 128, 256)
"""Limits of the histogram of face heights, pixels."""

SHEET_IMAGES = 28


@dataclass(frozen=True)
class SplitReport:
    """The contents of a split and its faults.

    Attributes:
        refused: why training would refuse the split, in one line; empty if it can be used.
        layout: ``retinaface`` or ``official``.
        annotated: number of images in the label file.
        images: number of those images that can be read.
        faces: number of faces in the readable images.
        landmarks: number of those faces that have landmarks.
        listed: list name → number of its faces; empty for training images.
        heights: range of face heights in pixels → number of faces.
        faults: every fault with file and line, in the order of the label file.
        sheet: contact sheet, (H, W, 3) BGR uint8; None if no image can be read.
    """

    refused: str
    layout: str
    annotated: int
    images: int
    faces: int
    landmarks: int
    listed: dict[str, int]
    heights: dict[str, int]
    faults: list[str]
    sheet: NDArray[np.uint8] | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the contact sheet as plain data."""
        return {name: value for name, value in vars(self).items() if name != "sheet"}


def inspect(root: Path, split: str, progress: Progress | None = None, processes: int | None = None) -> SplitReport:
    """Read a split's labels and decode all of its images. Faults are collected.

    Raises:
        DataError: the folder does not have the split, a part of it cannot be read, or its label file names no image.
    """
    layout = find_layout(root, split)
    fingerprint(layout)  # Training reads all folders for it.
    annotations = read_annotations(layout, split)
    total = len(annotations.entries)
    shown = set(choose(total, SHEET_IMAGES, 0).tolist())
    faults = list(annotations.fatal)
    heights: list[NDArray[np.float64]] = [np.zeros(0)]
    listed: dict[str, int] = {}
    lost = landmarks = 0
    with tempfile.TemporaryDirectory() as scratch, FaceSetWriter(Path(scratch) / "sheet", f"{split} sheet") as writer:
        for index, (entry, image, found) in enumerate(decode(annotations, 0, processes)):
            faults.extend(found)
            if progress is not None:
                progress(f"widerface {split}", index + 1, total)
            if image is None:
                lost += 1
                continue
            heights.append(entry.boxes[:, 3] - entry.boxes[:, 1])
            landmarks += int(np.isfinite(entry.landmarks).all(axis=1).sum())
            for name, mask in entry.keep.items():
                listed[name] = listed.get(name, 0) + int(mask.sum())
            if index in shown:
                # The line number tells apart images that a faulty label file names twice.
                writer.add(f"{entry.line} {entry.identity}", image, entry.boxes, entry.landmarks, entry.keep)
        sheet = None
        if writer.images:
            faces = writer.finish()
            sheet = contact_sheet(faces, range(len(faces))).astype(np.uint8, copy=False)
    refused = ""
    try:
        annotations.require_sound()
        if lost > MOST_UNREADABLE * total:
            refused = f"{lost:,} of {total:,} images are missing or unreadable, more than {MOST_UNREADABLE:.0%}"
    except DataError as error:
        refused = str(error)
    every = np.concatenate(heights)
    return SplitReport(
        refused=refused,
        layout=layout.name,
        annotated=total,
        images=total - lost,
        faces=len(every),
        landmarks=landmarks,
        listed=listed,
        heights=histogram(every),
        faults=[str(fault) for fault in sorted(faults)],
        sheet=sheet,
    )


def histogram(heights: NDArray[np.float64]) -> dict[str, int]:
    """Count face heights (n,) in pixels by range: ``{"0-2": 3, …, "256-": 1}``."""
    edges = [0, *HEIGHTS]
    counts = np.histogram(heights, bins=[*edges, np.inf])[0]
    names = [*(f"{low}-{high}" for low, high in zip(edges, HEIGHTS, strict=False)), f"{HEIGHTS[-1]}-"]
    return dict(zip(names, counts.tolist(), strict=True))


def write_sheet(path: Path, sheet: NDArray[np.uint8]) -> None:
    """Write a contact sheet.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", sheet)
    if not done:
        raise RuntimeError(f"{path}: a sheet of shape {sheet.shape} could not be encoded")
    path.write_bytes(data.tobytes())
