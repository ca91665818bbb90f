"""Decodes a split's image files into a face set, several in parallel. Broken files are skipped and listed."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.core.files import read_regular
from harness.core.machine import available_cores
from harness.data.faces import FaceSet, FaceSetWriter
from harness.data.lists import lists_by_height
from harness.data.widerface import Annotations, Entry, Fault
from harness.errors import DataError

Progress = Callable[[str, int, int], None]

MOST_UNREADABLE = 0.05
"""A split is refused if a larger share of its images is missing or broken."""

MOST_BYTES = 2**28
"""Largest image file."""

_JPEG, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


class UnreadableImageError(Exception):
    """An image file cannot be used. The message says why."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the image as (H, W, 3) BGR uint8.

    Raises:
        UnreadableImageError: the file is missing, empty, cut off or no file, or OpenCV cannot decode it.
    """
    try:
        data = read_regular(path, MOST_BYTES)
    except FileNotFoundError as error:
        raise UnreadableImageError("is missing") from error
    except OSError as error:
        raise UnreadableImageError(f"cannot be read ({error.strerror})") from error
    if not data:
        raise UnreadableImageError("is empty")
    # OpenCV fills the missing part of a cut-off JPEG with grey and reports no error.
    if data.startswith(_JPEG) and data.rfind(_END) < data.rfind(_SCAN):
        raise UnreadableImageError("is cut off")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise UnreadableImageError(f"cannot be decoded ({error.err})") from error
    if image is None:
        raise UnreadableImageError("cannot be decoded")
    return image.astype(np.uint8, copy=False)


def decode_split(
    annotations: Annotations,
    folder: Path,
    name: str,
    shorter_side: int = 0,
    listed: bool = False,
    progress: Progress | None = None,
    processes: int | None = None,
) -> FaceSet:
    """Decode all annotated images into a face set.

    Args:
        annotations: a split without fatal faults.
        folder: target folder of the face set.
        name: the face set's name, for messages and progress.
        shorter_side: larger images are reduced until their shorter side has this many pixels; 0 reduces none.
        listed: compute the easy, medium and hard lists from face height instead of taking them from the annotations.
        progress: called with (name, images done, total images).
        processes: number of images that are decoded in parallel; by default, the number of cores.

    Raises:
        DataError: more than 5 % of the images are missing or unreadable.
    """
    total = len(annotations.entries)
    faults: list[str] = []
    lost_images = lost_faces = 0
    started = perf_counter()
    with FaceSetWriter(folder, name) as writer:
        for done, (entry, image, found) in enumerate(decode(annotations, shorter_side, processes), start=1):
            faults.extend(map(str, found))
            if image is None:
                lost_images += 1
                lost_faces += len(entry.boxes) + len(found) - 1
                if lost_images > MOST_UNREADABLE * total:
                    raise DataError(
                        f"{found[-1]}; more than {MOST_UNREADABLE:.0%} of the {total:,} images are missing or "
                        "unreadable: repair the copy (`python -m harness.data check` lists every fault)"
                    )
            else:
                lost_faces += len(found)
                keep = lists_by_height(entry.boxes, image.shape[1]) if listed else entry.keep
                writer.add(entry.identity, image, entry.boxes, entry.landmarks, keep)
            if progress is not None:
                progress(name, done, total)
        seconds = perf_counter() - started
        writer.notes = {
            "layout": annotations.layout.name,
            "shorter_side": shorter_side,
            "skipped_images": lost_images,
            "skipped_faces": lost_faces,
            "faults": faults,
            "seconds": round(seconds, 3),
            "images_per_second": round(total / seconds, 1),
        }
        return writer.finish()


def decode(
    annotations: Annotations, shorter_side: int, processes: int | None = None
) -> Iterator[tuple[Entry, NDArray[np.uint8] | None, list[Fault]]]:
    """Yield every entry with its image and its faults, in order. Image, boxes and landmarks are reduced together.

    An image that cannot be read is None, and its fault is the last one.
    """
    # Threads, because OpenCV releases the GIL while it decodes, and nothing has to be copied between processes.
    count = processes or available_cores()
    labels = annotations.layout.labels
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(count, thread_name_prefix="decode") as pool:
        waiting: deque[Future[tuple[Entry, NDArray[np.uint8] | None, list[Fault]]]] = deque()
        try:
            for entry in annotations.entries:
                waiting.append(pool.submit(_decode_one, labels, entry, shorter_side))
                if len(waiting) > 4 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _decode_one(labels: Path, entry: Entry, shorter_side: int) -> tuple[Entry, NDArray[np.uint8] | None, list[Fault]]:
    try:
        image = read_image(entry.path)
    except UnreadableImageError as error:
        return entry, None, [*entry.faults, Fault(labels, entry.line, f"image {entry.path} {error}; skipped")]
    height, width = image.shape[:2]
    faults = list(entry.faults)
    if entry.lines:
        seen = ((entry.boxes[:, :2] < (width, height)) & (entry.boxes[:, 2:] > 0)).all(axis=1)
        for row in np.flatnonzero(~seen):
            what = f"face of {entry.identity} lies outside its {width} × {height} px; skipped"
            faults.append(Fault(labels, entry.lines[row], what))
        entry = replace(entry, boxes=entry.boxes[seen], landmarks=entry.landmarks[seen])
    if 0 < shorter_side < min(height, width):
        scale = shorter_side / min(height, width)
        new = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, new, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        ratio = np.array([new[0] / width, new[1] / height])
        entry = replace(entry, boxes=entry.boxes * np.tile(ratio, 2), landmarks=entry.landmarks * np.tile(ratio, 5))
    return entry, image, faults
