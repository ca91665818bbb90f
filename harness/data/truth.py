"""Ground truth for an AP: faces with their easy, medium and hard lists, and the official WIDER FACE ``.mat`` files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError

LISTS = ("easy", "medium", "hard")

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The faces of an image set.

    Attributes:
        boxes: one (n, 4) float64 array per image, x1, y1, x2, y2 in pixels.
        keep: list name → one (n,) bool array per image, True for the faces on the list.
        ids: one name per image.

    Raises:
        DataError: the lists are not easy, medium and hard, or lengths do not match.
    """

    boxes: list[Array]
    keep: dict[str, list[Mask]]
    ids: list[str]

    def __post_init__(self) -> None:
        if set(self.keep) != set(LISTS):
            raise DataError(f"ground truth has the lists {', '.join(LISTS)}, got {sorted(self.keep)}")
        counts = [len(boxes) for boxes in self.boxes]
        if len(counts) != len(self.ids) or any([len(m) for m in masks] != counts for masks in self.keep.values()):
            raise DataError("ground truth: boxes, lists and ids need one entry per image and one flag per face")

    @property
    def faces(self) -> int:
        """Number of all annotated faces, including those on no list."""
        return sum(len(boxes) for boxes in self.boxes)

    def pick(self, indices: Iterable[int]) -> "GroundTruth":
        """Return the images ``indices``, in that order."""
        chosen = list(indices)
        return GroundTruth(
            [self.boxes[i] for i in chosen],
            {name: [masks[i] for i in chosen] for name, masks in self.keep.items()},
            [self.ids[i] for i in chosen],
        )


def image_id(text: str) -> str:
    """Return ``event/name`` of a path or list entry, without a leading slash, ``#`` or the file's extension."""
    parts = text.strip().lstrip("#").strip().strip("/").split("/")
    stem = parts[-1]
    for extension in (".jpg", ".jpeg", ".png", ".txt"):
        stem = stem.removesuffix(extension)
    return "/".join([*parts[-2:-1], stem])


def load_ids(path: Path) -> list[str]:
    """Read an image list with one ``event/name.jpg`` per line.

    Raises:
        DataError: the file cannot be read, is empty, or names an image twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"image list {path} cannot be read: {error}") from error
    ids = [image_id(line) for line in lines if line.strip()]
    if not ids:
        raise DataError(f"image list {path} is empty: expected one event/name.jpg per line")
    if len(set(ids)) != len(ids):
        double = next(name for name in ids if ids.count(name) > 1)
        raise DataError(f"image list {path} names {double} twice")
    return ids


def _mat(path: Path, *keys: str) -> list[Any]:
    from scipy.io import loadmat

    if not path.is_file():
        below = path.parent / "ground_truth"
        hint = f"; did you mean {below}?" if (below / path.name).is_file() else ""
        raise DataError(
            f"{path} is missing: the ground truth is wider_face_val.mat and wider_{{easy,medium,hard}}_val.mat{hint}"
        )
    try:
        content = loadmat(path)
    except Exception as error:  # scipy raises many kinds of errors on a broken file
        raise DataError(f"{path} is not a readable MATLAB file: {_line(error)}") from error
    missing = [key for key in keys if key not in content]
    if missing:
        raise DataError(f"{path} has no {missing[0]}: is it the official WIDER FACE ground truth?")
    return [content[key] for key in keys]


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _walk(table: Any) -> Iterator[Any]:
    """Yield each image's entry of a MATLAB cell of events, which are cells of images."""
    for event in table.ravel():
        for entry in event.ravel():
            yield entry[0] if entry.dtype == object else entry


def _read(folder: Path) -> GroundTruth:
    events, files, cells = _mat(folder / "wider_face_val.mat", "event_list", "file_list", "face_bbx_list")
    names = [
        f"{event[0]}/{name[0][0]}"
        for event, group in zip(events.ravel().tolist(), files.ravel(), strict=True)
        for name in group.tolist()
    ]
    corners = [np.asarray(entry, dtype=np.float64).reshape(-1, 4) for entry in _walk(cells)]
    for box in corners:
        box[:, 2:] += box[:, :2]
    keep: dict[str, list[Mask]] = {}
    for name in LISTS:
        (table,) = _mat(folder / f"wider_{name}_val.mat", "gt_list")
        masks = []
        for box, kept in zip(corners, _walk(table), strict=True):
            mask = np.zeros(len(box), dtype=np.bool_)
            mask[np.asarray(kept, dtype=np.int64).ravel() - 1] = True
            masks.append(mask)
        keep[name] = masks
    return GroundTruth(corners, keep, names)


def load_ground_truth(folder: Path, ids: Iterable[str] | None = None) -> GroundTruth:
    """Read the official ``wider_{face,easy,medium,hard}_val.mat``.

    Args:
        folder: folder of the four files.
        ids: ``event/name`` of the images to return, in that order; None for all.

    Raises:
        DataError: a file is missing or broken, or one of the images is not in the ground truth.
    """
    try:
        truth = _read(folder)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise DataError(f"{folder}: the four .mat files are not the official ground truth: {_line(error)}") from error
    if ids is None:
        return truth
    row = {name: index for index, name in enumerate(truth.ids)}
    wanted = list(ids)
    unknown = [name for name in wanted if name not in row]
    if unknown:
        raise DataError(f"{folder} has no ground truth for {len(unknown):,} images, the first is {unknown[0]}")
    return truth.pick([row[name] for name in wanted])
