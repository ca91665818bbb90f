"""Reads WIDER FACE's labels in two layouts: that of RetinaFace and that of the official archives.

``decode.py`` reads the images. If the structure of a label file is faulty (a wrong number of values, a value that is
not a number, an image listed twice), the whole split is refused, because nothing after the fault can be trusted. Faces
without a size, missing images and unreadable images are skipped, counted and listed.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.files import read_regular
from harness.core.numbers import is_plain
from harness.data.truth import HOME, LISTS, MATS, MOST_PIXELS, load_ground_truth
from harness.errors import DataError, printable

MAT_FOLDERS = ("ground_truth", "wider_face_split", "eval_tools/ground_truth", "val/ground_truth")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

MOST_BYTES = 2**30
"""Largest label file; the official one of the training images has 12 MB."""

ON_DISK = ("train", "val")
"""The splits for which a copy has label files."""

Line = tuple[int, str]
"""Number and text of a line of a label file."""


class AbsentSplitError(DataError):
    """The folder has neither labels nor images of a split, which may be intended."""


class Fault(NamedTuple):
    """A fault at ``line`` of ``file``."""

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        return printable(f"{self.file}:{self.line}: {self.what}")


@dataclass(frozen=True)
class Entry:
    """An annotated image.

    Attributes:
        identity: ``event/name`` without the suffix.
        path: the image file.
        line: its line in the label file.
        boxes: (n, 4) float64 x1, y1, x2, y2 in pixels.
        landmarks: (n, 10) float64 in pixels, NaN if a face has none.
        lines: each face's line in the label file; empty if the boxes come from the ``.mat`` files.
        keep: list name → (n,) bool; empty for training images.
        faults: one per face that was left out.
    """

    identity: str
    path: Path
    line: int
    boxes: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    lines: tuple[int, ...] = ()
    keep: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Paths of a split's label file and image folder; for ``val``, ``truth`` is the folder of the ``.mat`` files."""

    name: str
    labels: Path
    images: Path
    truth: Path | None = None


@dataclass(frozen=True)
class Annotations:
    """The images in a split's label file. With ``fatal`` faults, the split is refused; faulty faces are skipped."""

    layout: Layout
    entries: list[Entry]
    fatal: list[Fault]

    def require_sound(self) -> None:
        """Raise a ``DataError`` that names the first fatal fault, if there is one."""
        if self.fatal:
            first = min(self.fatal, key=lambda fault: fault.line)
            more = f" (and {len(self.fatal) - 1:,} more)" if len(self.fatal) > 1 else ""
            raise DataError(f"{first}{more}; `python -m harness.data check` lists every fault")


def find_layout(root: Path, split: str) -> Layout:
    """Return the paths of ``split`` (``train`` or ``val``) below ``root``.

    Raises:
        AbsentSplitError: the split is absent; the message lists the expected paths.
        DataError: a part of the split is missing, or ``root`` is not a folder.
    """
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "does not exist"
        raise DataError(
            f"data folder {root} {state}: give the folder of a WIDER FACE copy (`python -m harness.data download` "
            "downloads one)"
        )
    ours = root / split
    candidates = (
        Layout("retinaface", ours / ("label.txt" if split == "train" else "wider_val.txt"), ours / "images"),
        Layout(
            "official",
            root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt",
            root / f"WIDER_{split}" / "images",
        ),
    )
    looked = []
    partial = False
    for layout in candidates:
        missing = [
            path.relative_to(root)
            for path, there in ((layout.labels, layout.labels.is_file()), (layout.images, layout.images.is_dir()))
            if not there
        ]
        if not missing:
            return layout if split == "train" else replace(layout, truth=_find_truth(root))
        partial = partial or len(missing) == 1
        wanted = f"{layout.labels.relative_to(root)} and {layout.images.relative_to(root)}/"
        found = f", of which {missing[0]} is missing" if len(missing) == 1 else ""
        looked.append(f"{wanted} ({layout.name} layout{found})")
    message = f"{root} has no WIDER FACE {split} split: looked for {' and for '.join(looked)}"
    raise DataError(message) if partial else AbsentSplitError(message)


def _find_truth(root: Path) -> Path:
    for folder in MAT_FOLDERS:
        if all((root / folder / name).is_file() for name in MATS):
            return root / folder
    raise DataError(
        f"{root} has validation images but not their easy, medium and hard lists: looked for {', '.join(MATS)} in "
        f"{', '.join(f'{folder}/' for folder in MAT_FOLDERS)}; take them from eval_tools.zip of {HOME} and "
        f"put them into {root / MAT_FOLDERS[0]}"
    )


def read_annotations(layout: Layout, split: str) -> Annotations:
    """Read a split's label file, and for ``val`` also boxes and lists from the ``.mat`` files. Faults are collected.

    Raises:
        DataError: the label file names no image, or a ``.mat`` file cannot be read.
    """
    lines = _read_lines(layout.labels)
    if layout.name == "official":
        read = _read_official(layout, lines)
    elif split == "train":
        read = _read_retinaface(layout, lines)
    else:
        read = _read_list(layout, lines)
    if not read.entries and not read.fatal:
        raise DataError(f"{layout.labels} names no image")
    _refuse_doubles(read)
    return read if layout.truth is None else _with_truth(read, layout.truth)


def fingerprint(layout: Layout) -> str:
    """Return 16 hex digits of the label and ``.mat`` files' content and of all images' names, sizes and times.

    Raises:
        DataError: a folder cannot be read.
    """
    found = hashlib.sha256(layout.labels.read_bytes())
    if layout.truth is not None:
        for name in MATS:
            found.update((layout.truth / name).read_bytes())
    for relative, size, time in sorted(_walk(layout.images)):
        found.update(f"{relative}\0{size}\0{time}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()[:16]


def _walk(
    folder: Path, prefix: str = "", above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and time of every file; links that lead nowhere, or into a folder above them, have neither."""
    try:
        state = folder.stat()
        here = above | {(state.st_dev, state.st_ino)}
        with os.scandir(folder) as found:
            items = list(found)
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}): repair the copy, or its permissions") from error
    for item in items:
        try:
            state = item.stat()
        except OSError:
            yield f"{prefix}{item.name}", -1, 0
            continue
        if not stat.S_ISDIR(state.st_mode):
            yield f"{prefix}{item.name}", state.st_size, state.st_mtime_ns
        elif (state.st_dev, state.st_ino) in here:
            yield f"{prefix}{item.name}", -1, 0
        else:
            yield from _walk(Path(item.path), f"{prefix}{item.name}/", here)


def _read_lines(path: Path) -> list[Line]:
    """Return the non-empty lines with their numbers. Bytes that are not UTF-8 are kept as surrogates."""
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    stripped = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in stripped if line]


def _read_retinaface(layout: Layout, lines: Sequence[Line]) -> Annotations:
    """Read blocks of ``# event/name.jpg`` and one line per face: x y w h, five times (x y visibility), blur.

    A face without landmarks may have only x y w h.
    """
    read = Annotations(layout, [], [])
    for header, faces in _blocks(layout, lines, read.fatal, lambda line: line.startswith("#")):
        number, line = header
        entry = _entry(layout, number, line[1:].strip(), read.fatal)
        values, at = _numbers(layout, faces, (20, 4), read.fatal)
        points = [row[4:19] if len(row) == 20 else [-1.0] * 15 for row in values]
        landmarks = np.array(points, dtype=np.float64).reshape(-1, 5, 3)[:, :, :2].reshape(-1, 10)
        landmarks[(landmarks == -1).all(axis=1)] = np.nan
        if entry is not None:
            read.entries.append(_with_faces(layout, entry, values, landmarks, at))
    return read


def _read_official(layout: Layout, lines: Sequence[Line]) -> Annotations:
    """Read blocks of ``event/name.jpg``, the number of faces, and one line per face: x y w h and six attributes.

    The attributes may be missing. An image with 0 faces is followed by one line of zeros.
    """
    read = Annotations(layout, [], [])
    for header, body in _blocks(layout, lines, read.fatal, lambda line: line.lower().endswith(IMAGE_SUFFIXES)):
        entry = _entry(layout, *header, read.fatal)
        if not body or not (body[0][1].isdecimal() and body[0][1].isascii()):
            given = _quote(body[0][1]) if body else "nothing"
            line = body[0][0] if body else header[0]
            read.fatal.append(Fault(layout.labels, line, f"expected the number of faces, got {given}"))
            continue
        said, faces = int(body[0][1]), body[1:]
        if said == 0 and len(faces) == 1 and set(faces[0][1].split()) == {"0"}:
            faces = []
        if said != len(faces):
            what = f"announces {said:,} faces, but {len(faces):,} lines follow"
            read.fatal.append(Fault(layout.labels, body[0][0], what))
        values, at = _numbers(layout, faces, (10, 4), read.fatal)
        if entry is not None:
            landmarks = np.full((len(values), 10), np.nan)
            read.entries.append(_with_faces(layout, entry, values, landmarks, at))
    return read


def _read_list(layout: Layout, lines: Sequence[Line]) -> Annotations:
    """Read one ``/event/name.jpg`` per line; the faces are in the ``.mat`` files."""
    read = Annotations(layout, [], [])
    for number, line in lines:
        entry = _entry(layout, number, line, read.fatal)
        if entry is not None:
            read.entries.append(entry)
    return read


def _blocks(
    layout: Layout, lines: Sequence[Line], fatal: list[Fault], is_header: Callable[[str], bool]
) -> Iterator[tuple[Line, list[Line]]]:
    """Yield the line of each image with the lines up to the next image."""
    header: Line | None = None
    body: list[Line] = []
    for line in lines:
        if is_header(line[1]):
            if header is not None:
                yield header, body
            header, body = line, []
        elif header is None:
            fatal.append(Fault(layout.labels, line[0], f"comes before the first image: {_quote(line[1])}"))
        else:
            body.append(line)
    if header is not None:
        yield header, body


def _entry(layout: Layout, number: int, name: str, fatal: list[Fault]) -> Entry | None:
    """Return an entry without faces. Record a fault and return None if ``name`` is no path below the image folder."""
    relative = PurePosixPath(name.lstrip("/"))
    if relative.suffix.lower() not in IMAGE_SUFFIXES or ".." in relative.parts or "\0" in name:
        what = f"expected an image as event/name.jpg, got {_quote(name)}"
        fatal.append(Fault(layout.labels, number, what))
        return None
    empty = np.zeros((0, 14))
    identity = str(relative.with_suffix(""))
    return Entry(identity, layout.images / relative, number, empty[:, :4], empty[:, 4:])


def _numbers(
    layout: Layout, lines: Sequence[Line], counts: tuple[int, ...], fatal: list[Fault]
) -> tuple[list[list[float]], list[int]]:
    """Return the values and the number of each line. Lines without one of ``counts`` plausible numbers are faults."""
    values: list[list[float]] = []
    at: list[int] = []
    for number, line in lines:
        try:
            row = [float(token) for token in line.split()] if is_plain(line) else None
        except ValueError:
            row = None
        if row is None:
            fatal.append(Fault(layout.labels, number, f"has a value that is not a number: {_quote(line)}"))
            continue
        if len(row) not in counts:
            wanted = " or ".join(map(str, counts))
            fatal.append(Fault(layout.labels, number, f"has {len(row)} numbers, but a face has {wanted}"))
        elif not all(abs(value) <= MOST_PIXELS for value in row):  # Also false for one that is not a number.
            what = f"has a value that is no number of pixels up to {MOST_PIXELS:,}: {_quote(line)}"
            fatal.append(Fault(layout.labels, number, what))
        else:
            values.append(row)
            at.append(number)
    return values, at


def _with_faces(
    layout: Layout, entry: Entry, values: list[list[float]], landmarks: NDArray[np.float64], at: list[int]
) -> Entry:
    """Return ``entry`` with its faces. Faces without a size are left out and recorded as faults."""
    boxes = np.array([row[:4] for row in values], dtype=np.float64).reshape(-1, 4)
    sized = (boxes[:, 2:] > 0).all(axis=1)
    faults = tuple(
        Fault(
            layout.labels,
            at[row],
            f"face of {entry.identity} has no size: {boxes[row, 2]:g} × {boxes[row, 3]:g} px; skipped",
        )
        for row in np.flatnonzero(~sized)
    )
    boxes[:, 2:] += boxes[:, :2]
    lines = tuple(at[row] for row in np.flatnonzero(sized))
    return replace(entry, boxes=boxes[sized], landmarks=landmarks[sized], lines=lines, faults=faults)


def _refuse_doubles(read: Annotations) -> None:
    first: dict[str, int] = {}
    for entry in read.entries:
        if entry.identity in first:
            what = f"names {entry.identity} again, first at line {first[entry.identity]}"
            read.fatal.append(Fault(read.layout.labels, entry.line, what))
        first.setdefault(entry.identity, entry.line)


def _with_truth(read: Annotations, folder: Path) -> Annotations:
    """Replace all boxes by those of the official ground truth, in its order, to which the lists refer."""
    truth = load_ground_truth(folder)
    rows = {identity: row for row, identity in enumerate(truth.ids)}
    entries = []
    for entry in read.entries:
        row = rows.get(entry.identity)
        if row is None:
            what = f"{entry.identity} is not in the ground truth of {folder}"
            read.fatal.append(Fault(read.layout.labels, entry.line, what))
            continue
        boxes = truth.boxes[row]
        keep = {name: truth.keep[name][row] for name in LISTS}
        landmarks = np.full((len(boxes), 10), np.nan)
        entries.append(replace(entry, boxes=boxes, landmarks=landmarks, lines=(), keep=keep, faults=()))
    return Annotations(read.layout, entries, read.fatal)


def _quote(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:57]}...")
