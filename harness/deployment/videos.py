"""Reads and writes video files frame by frame, with OpenCV. Needs no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from harness.deployment.pictures import UnreadableError
from harness.detection.framing import Image
from harness.errors import HarnessError

SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
"""Files with these names are read as videos."""


class Video:
    """A video file.

    Attributes:
        fps: frames per second, as the file states them; 25 if it does not.
        frames: number of frames, as the file states it; it may be wrong.

    Raises:
        UnreadableError: OpenCV cannot decode the file.
    """

    def __init__(self, path: Path) -> None:
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise UnreadableError("is no video that OpenCV decodes")
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[Image]:
        """Yield every frame, (H, W, 3) uint8, BGR, upright."""
        try:
            while True:
                read, image = self._capture.read()
                if not read:
                    return
                yield image  # type: ignore[misc]
        finally:
            self._capture.release()


class Writer:
    """Writes frames of one size as MPEG-4; the first frame opens the file."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._writer: cv2.VideoWriter | None = None

    def add(self, image: Image) -> None:
        """Append a frame.

        Raises:
            HarnessError: OpenCV cannot write the file.
        """
        if self._writer is None:
            size = (image.shape[1], image.shape[0])
            self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, size)
            if not self._writer.isOpened():
                raise HarnessError(
                    f"{self._path} cannot be written: OpenCV has no encoder for MPEG-4, or the disk is full"
                )
        self._writer.write(image)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


@contextmanager
def writing(path: Path | None, fps: float) -> Iterator[Writer | None]:
    """Yield a writer, whose file appears at ``path`` at the end, and only if nothing fails; None without a path."""
    if path is None:
        yield None
        return
    partial = path.with_suffix(f".partial{path.suffix}")
    writer = Writer(partial, fps)
    try:
        try:
            yield writer
        finally:
            writer.close()
        if partial.exists():  # Not if there was no frame.
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
