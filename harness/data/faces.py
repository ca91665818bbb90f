"""``FaceSet``: decoded images and their faces on disk, memory-mapped and shared by all processes.

A face set is a folder of three files: ``pixels.bin`` (all images, BGR uint8, one after another), ``arrays.npz``
(shapes, boxes, landmarks, offsets, lists) and ``meta.json`` (ids, digest, notes). It is written under a temporary name
and then renamed, so a folder with its final name is complete.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from harness.core.record import write_json
from harness.data.arrays import load_arrays
from harness.data.truth import GroundTruth
from harness.errors import DataError

FORMAT = 1
"""Version of the file format. Raise it when the format changes; older folders are then created again."""

_unchanged: set[tuple[Any, ...]] = set()
"""Sets whose content this process has compared with their digest: folder, and state of its files."""


@dataclass(frozen=True, eq=False, repr=False)
class FaceSet:
    """N images with M faces in total. Processes share the pixels through the page cache.

    Attributes:
        folder: its folder on disk.
        name: its name in messages, such as ``synthetic train``.
        digest: 16 hex digits of its content: pixels, faces, lists and ids.
        ids: one unique name per image.
        shapes: (N, 2) int64, height and width.
        boxes: (M, 4) float32, x1, y1, x2, y2 in pixels; pixel column i covers [i, i + 1).
        landmarks: (M, 10) float32, five points x, y in pixels; NaN if a face has none.
        offsets: (N + 1,) int64; image i has faces ``offsets[i]:offsets[i + 1]``.
        keep: list name → (M,) bool: the faces on ``easy``, ``medium`` and ``hard``; empty for training images.
        notes: how it was created, as plain data; not part of the digest.
        pixels: (bytes,) uint8, read-only.
    """

    folder: Path
    name: str
    digest: str
    ids: list[str]
    shapes: NDArray[np.int64]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    offsets: NDArray[np.int64]
    keep: dict[str, NDArray[np.bool_]]
    notes: dict[str, Any]
    pixels: NDArray[np.uint8]

    @cached_property
    def starts(self) -> list[int]:
        """Where each image begins in ``pixels``, and where the last one ends."""
        return [0, *np.cumsum(self.shapes.prod(axis=1) * 3).tolist()]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"FaceSet({self.name}: {len(self):,} images, {len(self.boxes):,} faces, {self.digest})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the folder's path, so that another process maps the same pages."""
        return open_faceset, (self.folder,)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return image ``index`` as a read-only (H, W, 3) BGR uint8 view."""
        height, width = (int(side) for side in self.shapes[index])
        start = self.starts[index]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def faces(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return image ``index``'s boxes (n, 4) and landmarks (n, 10), pixels."""
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.boxes[rows], self.landmarks[rows]

    def truth(self) -> GroundTruth:
        """Return the ground truth for an AP: boxes and lists.

        Raises:
            DataError: the set has no easy, medium and hard lists, because it consists of training images.
        """
        if not self.keep:
            raise DataError(f"{self.name} has no easy, medium and hard lists: an AP needs the search or val split")
        cuts = self.offsets[1:-1]
        return GroundTruth(
            boxes=np.split(self.boxes.astype(np.float64), cuts),
            keep={name: np.split(mask, cuts) for name, mask in self.keep.items()},
            ids=list(self.ids),
        )

    def subset(self, count: int, seed: int) -> NDArray[np.int64]:
        """Return ``count`` image indices, ascending, drawn by ``seed``; all of them if ``count`` is 0 or large."""
        return choose(len(self), count, seed)


def choose(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return ``count`` of ``range(total)``, ascending, drawn by ``seed``; all of them if ``count`` is 0 or large.

    With the same seed, a larger draw contains a smaller one.
    """
    if count == 0 or count >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).permutation(total)[:count])


class FaceSetWriter:
    """Writes a face set image by image. ``finish`` moves the complete folder to its final name.

    Leaving the ``with`` block without ``finish`` removes everything that was written.

    Args:
        folder: folder of the set; its parent is created.
        name: the set's name in messages.

    Raises:
        DataError: an image or its faces have a wrong shape or type (raised by ``add``).
        OSError: the disk is full or not writable.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.notes: dict[str, Any] = {}
        self._partial = partial_folder(folder)
        self._pixels: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._ids: list[str] = []
        self._shapes: list[tuple[int, int]] = []
        self._boxes: list[NDArray[np.float32]] = []
        self._landmarks: list[NDArray[np.float32]] = []
        self._keep: list[dict[str, NDArray[np.bool_]]] = []

    def __enter__(self) -> Self:
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._pixels = (self._partial / "pixels.bin").open("wb")
        return self

    @property
    def images(self) -> int:
        """Number of images added so far."""
        return len(self._ids)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._pixels is not None:
                self._pixels.close()
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def add(
        self,
        identity: str,
        image: NDArray[np.uint8],
        boxes: NDArray[Any],
        landmarks: NDArray[Any],
        keep: Mapping[str, NDArray[np.bool_]] | None = None,
    ) -> None:
        """Append one image.

        Args:
            identity: a name that is unique in the set.
            image: (H, W, 3) uint8, BGR.
            boxes: (n, 4) x1, y1, x2, y2 in pixels.
            landmarks: (n, 10) in pixels, NaN rows for faces without landmarks.
            keep: list name → (n,) bool; all images of a set have the same lists.
        """
        if self._pixels is None:
            raise RuntimeError("use FaceSetWriter in a with block")
        count = len(boxes)
        lists = {name: np.asarray(mask, dtype=np.bool_) for name, mask in (keep or {}).items()}
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise DataError(f"{identity}: an image is (H, W, 3) uint8, got {image.shape} {image.dtype}")
        if np.shape(boxes) != (count, 4) or np.shape(landmarks) != (count, 10):
            raise DataError(f"{identity}: boxes {np.shape(boxes)} and landmarks {np.shape(landmarks)} do not match")
        if any(mask.shape != (count,) for mask in lists.values()) or (self._keep and set(lists) != set(self._keep[0])):
            raise DataError(f"{identity}: lists {sorted(lists)} do not match its {count:,} faces or the other images")
        pixels = np.ascontiguousarray(image).data
        self._pixels.write(pixels)
        self._hash.update(pixels)
        self._ids.append(identity)
        self._shapes.append((image.shape[0], image.shape[1]))
        self._boxes.append(np.asarray(boxes, dtype=np.float32).reshape(count, 4))
        self._landmarks.append(np.asarray(landmarks, dtype=np.float32).reshape(count, 10))
        self._keep.append(lists)

    def finish(self) -> FaceSet:
        """Write the arrays, move the folder to its final name and open it.

        If another process has created the same set in the meantime, that set is opened.

        Raises:
            DataError: the set holds no image, or two with the same name.
        """
        if self._pixels is None or not self._ids:
            raise DataError(f"{self.name} holds no image")
        if len(set(self._ids)) != len(self._ids):
            double = next(name for name in self._ids if self._ids.count(name) > 1)
            raise DataError(f"{self.name} holds two images named {double}")
        arrays: dict[str, NDArray[Any]] = {
            "shapes": np.array(self._shapes, dtype=np.int64),
            "boxes": np.concatenate(self._boxes),
            "landmarks": np.concatenate(self._landmarks),
            "offsets": np.cumsum([0, *(len(b) for b in self._boxes)], dtype=np.int64),
        }
        for name in sorted(self._keep[0]):
            arrays[f"keep_{name}"] = np.concatenate([lists[name] for lists in self._keep])
        digest = _digest(self._hash, arrays, self._ids)
        self._pixels.flush()
        os.fsync(self._pixels.fileno())
        self._pixels.close()
        with (self._partial / "arrays.npz").open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        meta = {
            "format": FORMAT,
            "name": self.name,
            "digest": digest,
            "ids": self._ids,
            "notes": self.notes,
        }
        write_json(self._partial / "meta.json", meta)
        try:
            self._partial.rename(self.folder)
            _unchanged.add(_state(self.folder))
        except OSError:
            if not self.folder.is_dir():
                raise
        return open_faceset(self.folder)


def partial_folder(folder: Path) -> Path:
    """Return the temporary folder in which this process writes a face set."""
    return folder.with_name(f"{folder.name}.{os.getpid()}.partial")


def _digest(pixels: "hashlib._Hash", arrays: Mapping[str, NDArray[Any]], ids: list[str]) -> str:
    """Return the digest of a set, from the hash of its pixels."""
    for key in sorted(arrays):
        pixels.update(key.encode())
        pixels.update(np.ascontiguousarray(arrays[key]).tobytes())
    pixels.update(json.dumps(ids).encode())
    return pixels.hexdigest()[:16]


def _state(folder: Path) -> tuple[Any, ...]:
    stats = [(folder / name).stat() for name in ("pixels.bin", "arrays.npz", "meta.json")]
    return str(folder), *((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


def open_faceset(folder: Path) -> FaceSet:
    """Map a finished face set into memory. The first time, a process compares its content with its digest.

    Raises:
        DataError: files are missing, unreadable, of another format, damaged, or of sizes that do not match.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT:
            raise DataError(f"{folder} has format {meta['format']}, this version reads format {FORMAT}")
        arrays = load_arrays(folder / "arrays.npz")
        ids, shapes, offsets = list(meta["ids"]), arrays["shapes"], arrays["offsets"]
        wanted = int(shapes.prod(axis=1).sum() * 3)
        faces = int(offsets[-1])
        lists = {name.removeprefix("keep_"): mask for name, mask in arrays.items() if name.startswith("keep_")}
        pixels = np.memmap(folder / "pixels.bin", dtype=np.uint8, mode="r")
        sound = (
            pixels.size == wanted
            and shapes.shape == (len(ids), 2)
            and offsets.shape == (len(ids) + 1,)
            and arrays["boxes"].shape == (faces, 4)
            and arrays["landmarks"].shape == (faces, 10)
            and all(mask.shape == (faces,) for mask in lists.values())
        )
        if not sound:
            raise DataError(
                f"{folder} is not complete: pixels.bin has {pixels.size:,} of {wanted:,} bytes, or arrays do not match"
            )
        state = _state(folder)
        if state not in _unchanged:
            if _digest(hashlib.sha256(pixels.data), arrays, ids) != meta["digest"]:
                raise DataError(f"{folder} is damaged: its content does not match its digest")
            _unchanged.add(state)
        # A plain view, because indexing a memmap object takes longer than the crop that follows.
        return FaceSet(
            folder=folder,
            name=meta["name"],
            digest=meta["digest"],
            ids=ids,
            shapes=shapes,
            boxes=arrays["boxes"],
            landmarks=arrays["landmarks"],
            offsets=offsets,
            keep=lists,
            notes=meta["notes"],
            pixels=pixels.view(np.ndarray),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{folder} is not a readable face set ({error})") from error
