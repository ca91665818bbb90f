"""Detections on disk, in two formats.

- Prediction files: WIDER FACE's submission format, one text file ``event/name.txt`` per image with boxes and scores,
  in a folder or a tar archive (``load_predictions``, ``write_predictions``).
- A detections file: one ``.npz`` with boxes, scores and landmarks of many images and the images' names
  (``save_detections``, ``load_detections``).
"""

import io
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.files import read_regular, write_atomically
from harness.core.numbers import is_plain
from harness.data.arrays import load_arrays
from harness.data.truth import MOST_PIXELS, Array, image_id
from harness.detection.suppression import Detections
from harness.errors import DataError, first_line

COLUMNS = 15

MOST_BYTES = 2**24
"""Largest prediction file: some 300,000 boxes."""

MOST_GROWTH, LEAST_LIMIT = 100, 2**26
"""An archive whose prediction files have more than this many times its size, and more than this many bytes, is refused:
numbers do not compress that well."""


def parse_predictions(text: str, source: str) -> Array:
    """Read one prediction file: the image's name, the number of boxes, then one line ``x y w h score`` per box.

    Returns:
        (k, 5) x1, y1, x2, y2, score.

    Raises:
        DataError: the text is not of this format; names ``source``.
    """
    lines = text.rstrip().split("\n", 2)
    values = lines[2].split() if len(lines) > 2 else []
    try:
        if not is_plain(text.partition("\n")[2]):
            raise ValueError("its numbers have other characters than digits")
        count = int(lines[1])
        if len(values) != 5 * count:
            raise ValueError(f"{count:,} boxes need {5 * count:,} values, {len(values):,} follow")
        rows = np.array(values, dtype=np.float64).reshape(count, 5)
        if not (np.abs(rows) <= MOST_PIXELS).all():  # Also false for a value that is not a number.
            raise ValueError(f"a box is not one of pixels up to {MOST_PIXELS:,} with a score")
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{source} is not a prediction file ({error}): it holds a line with the image's name, a line with the "
            "number of boxes, then one line 'x y w h score' per box"
        ) from error
    rows[:, 2:4] += rows[:, :2]
    return rows


def _read_tar(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """Return the wanted files of an archive, read into memory: nothing is extracted, so member paths are harmless."""
    contents: dict[str, bytes] = {}
    try:
        left = max(LEAST_LIMIT, MOST_GROWTH * path.stat().st_size)
        with tarfile.open(path) as archive:
            for member in archive:
                name = image_id(member.name)
                if member.isfile() and member.name.endswith(".txt") and name in wanted:
                    if name in contents:
                        raise DataError(f"{path} holds {name}.txt twice: pack the files of one detector only")
                    left -= member.size
                    if member.size > MOST_BYTES or left < 0:
                        raise DataError(
                            f"{path} is refused: {member.name} would take {member.size:,} bytes; a prediction file has "
                            f"at most {MOST_BYTES:,}, and all of them at most {MOST_GROWTH} times the archive's size"
                        )
                    stream = archive.extractfile(member)
                    contents[name] = stream.read() if stream else b""
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        reason = first_line(error).rstrip(":")
        raise DataError(f"{path} is neither a folder nor a readable tar archive: {reason}") from error
    return contents


def _read_folder(path: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for name in wanted:
        file = path / f"{name}.txt"
        try:
            contents[name] = read_regular(file, MOST_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"prediction file {file} cannot be read: {error.strerror}") from error
    return contents


def load_predictions(path: Path, ids: Sequence[str]) -> list[Array]:
    """Read prediction files, one ``event/name.txt`` per image, from a folder or a tar archive.

    Args:
        path: the folder, or a ``.tar``, ``.tar.gz``, … file.
        ids: the images, ``event/name``.

    Returns:
        for each image (k, 5) x1, y1, x2, y2, score.

    Raises:
        DataError: ``path`` does not exist, an image has no file, or a file is broken; names it. A missing file is
            never read as an image without detections.
    """
    if not path.is_dir() and not path.is_file():
        raise DataError(f"predictions {path} do not exist: give a folder or a tar archive of event/name.txt files")
    contents = _read_folder(path, ids) if path.is_dir() else _read_tar(path, set(ids))
    missing = [name for name in ids if name not in contents]
    if missing:
        raise DataError(
            f"{path} has no prediction file for {len(missing):,} of {len(ids):,} images, the first is "
            f"{missing[0]}.txt; {_hint(path)}"
        )
    found = []
    for name in ids:
        try:
            text = contents[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}/{name}.txt is not a text file: {error}") from error
        found.append(parse_predictions(text, f"{path}/{name}.txt"))
    return found


def _hint(path: Path) -> str:
    """Return what to do about images without a file: a folder may hold the archive that was meant."""
    archives = sorted(path.glob("*.tar*")) if path.is_dir() else []
    if archives:
        return f"if you mean the archive in that folder, give {archives[0]}"
    return "to score a part of the images name them with --images LIST"


def write_predictions(folder: Path, ids: Sequence[str], detections: Sequence[NDArray[np.floating]]) -> None:
    """Write each image's detections (k, 5 or more: x1, y1, x2, y2, score) as ``folder/<id>.txt``.

    Nine significant digits restore single precision exactly, so that the files give the same AP. Whole pixels, which
    many such files hold, are too coarse for small faces.

    Raises:
        OSError: a file cannot be written.
    """
    for name, rows in zip(ids, detections, strict=True):
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = rows[:, :5].astype(np.float64)
        values[:, 2:4] -= values[:, :2]
        lines = [f"{x:.9g} {y:.9g} {w:.9g} {h:.9g} {score:.9g}" for x, y, w, h, score in values.tolist()]
        path.write_text("\n".join([name.split("/")[-1], str(len(lines)), *lines]) + "\n", encoding="utf-8")


def save_detections(path: Path, ids: Sequence[str], detections: Sequence[Detections]) -> None:
    """Write a detections file atomically; its folder is created if needed.

    Args:
        path: the ``.npz`` file.
        ids: the images' names.
        detections: for each image (k, 15).

    Raises:
        ValueError: the numbers of images and of detection arrays differ, or an array is not (k, 15).
        OSError: the disk is full or not writable.
    """
    if len(ids) != len(detections):
        raise ValueError(f"{len(ids):,} images and {len(detections):,} arrays of detections: give one array per image")
    rows = np.concatenate([np.zeros((0, COLUMNS), dtype=np.float32), *detections]).astype(np.float32)
    offsets = np.cumsum([0, *map(len, detections)])
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, detections=rows, offsets=offsets, ids=np.array(ids, dtype=np.str_))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def load_detections(path: Path, ids: Sequence[str] | None = None) -> tuple[list[str], list[Detections]]:
    """Read a detections file.

    Args:
        path: the ``.npz`` file.
        ids: the images that it must hold, in this order; any by default.

    Returns:
        the images' names, and for each image (k, 15).

    Raises:
        DataError: the file is missing or broken, or holds other images.
    """
    try:
        arrays = load_arrays(path)
        rows, offsets, names = arrays["detections"], arrays["offsets"], arrays["ids"]
        _check(rows, offsets, names)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: finish the training or evaluation that writes it") from error
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is not a readable detections file ({error}): delete it and make it again") from error
    found: list[str] = names.tolist()
    if ids is not None and found != list(ids):
        missing = sorted({*ids} - {*found})
        unlike = f"{missing[0]} is missing" if missing else "there are more, or they are in another order"
        raise DataError(
            f"{path} holds detections on {len(found):,} images, not on the {len(ids):,} that are evaluated: {unlike}"
        )
    return found, [rows[start:end] for start, end in pairwise(offsets.tolist())]


def _check(rows: NDArray[Any], offsets: NDArray[Any], names: NDArray[Any]) -> None:
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError("its images have no names")
    if rows.shape != (len(rows), COLUMNS) or rows.dtype != np.float32:
        raise ValueError(f"detections are (k, {COLUMNS}) float32, these are {rows.shape} {rows.dtype}")
    whole = offsets.dtype.kind == "i" and offsets.shape == (len(names) + 1,)
    if not whole or offsets[0] != 0 or offsets[-1] != len(rows) or (np.diff(offsets) < 0).any():
        raise ValueError(f"its offsets do not divide {len(rows):,} detections among {len(names):,} images")
