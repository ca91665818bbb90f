"""Detections as text files in WIDER FACE's submission format: one ``event/name.txt`` an image."""

import lzma
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.truth import Array, image_id
from harness.errors import DataError


def parse_predictions(text: str, source: str) -> Array:
    """Read one official prediction file: the image's name, the number of boxes, then ``x y w h score`` a line.

    Returns:
        (k, 5) x1, y1, x2, y2, score.

    Raises:
        DataError: it is anything else; names ``source``.
    """
    lines = text.rstrip().split("\n", 2)
    values = lines[2].split() if len(lines) > 2 else []
    try:
        count = int(lines[1])
        if len(values) != 5 * count:
            raise ValueError(f"{count:,} boxes need {5 * count:,} values, {len(values):,} follow")
        rows = np.array(values, dtype=np.float64).reshape(count, 5)
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{source} is not a prediction file ({error}): a line with the image's name, a line with the number of "
            "boxes, then 'x y w h score' a line"
        ) from error
    rows[:, 2:4] += rows[:, :2]
    return rows


def _read_tar(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """Return the wanted files of an archive, from memory: nothing is written, so no member's path can do harm."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = image_id(member.name)
                if member.isfile() and member.name.endswith(".txt") and name in wanted:
                    if name in contents:
                        raise DataError(f"{path} holds {name}.txt twice: pack the files of one detector only")
                    stream = archive.extractfile(member)
                    contents[name] = stream.read() if stream else b""
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
        raise DataError(f"{path} is neither a folder nor a readable tar archive: {reason}") from error
    return contents


def _read_folder(path: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for name in wanted:
        file = path / f"{name}.txt"
        try:
            contents[name] = file.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"prediction file {file} cannot be read: {error.strerror}") from error
    return contents


def load_predictions(path: Path, ids: Sequence[str]) -> list[Array]:
    """Read official-format predictions, ``event/name.txt`` an image, from a folder or a tar archive.

    Args:
        path: the folder, or a ``.tar``, ``.tar.gz``, … file.
        ids: the images, ``event/name``.

    Returns:
        for each image (k, 5) x1, y1, x2, y2, score.

    Raises:
        DataError: there is nothing at ``path``, an image has no file, or a file is broken; names it. A missing
            file is never read as an image without detections.
    """
    if not path.exists():
        raise DataError(f"predictions {path} do not exist: give a folder or a tar archive of event/name.txt files")
    contents = _read_folder(path, ids) if path.is_dir() else _read_tar(path, set(ids))
    missing = [name for name in ids if name not in contents]
    if missing:
        raise DataError(
            f"{path} has no prediction file for {len(missing):,} of {len(ids):,} images, the first is "
            f"{missing[0]}.txt; to score a part of the images name them with --images LIST"
        )
    found = []
    for name in ids:
        try:
            text = contents[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}/{name}.txt is not a text file: {error}") from error
        found.append(parse_predictions(text, f"{path}/{name}.txt"))
    return found


def write_predictions(folder: Path, ids: Sequence[str], detections: Sequence[NDArray[np.floating]]) -> None:
    """Write each image's detections (k, 5 or more: x1, y1, x2, y2, score) as ``folder/<id>.txt``.

    Nine significant digits bring single precision back as it was, so that the files score the same AP; the whole
    pixels that many such files hold are too coarse for small faces.

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
