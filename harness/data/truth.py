"""Ground truth for an AP: faces with their easy, medium and hard lists, and the official WIDER FACE ``.mat`` files."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core.files import read_regular
from harness.data.mat import NAMES, read_tables
from harness.errors import DataError, first_line

LISTS = ("easy", "medium", "hard")

MATS = ("wider_face_val.mat", *(f"wider_{name}_val.mat" for name in LISTS))
HOME = "http://shuoyang1213.me/WIDERFACE/"

MOST_BYTES = 2**28
"""Largest image list."""

MOST_PIXELS = 1_000_000
"""Largest coordinate or size of a face, in pixels. A larger one is damage: no image file is that large."""

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Listed:
    """The faces of an image set without their boxes: all that an AP needs once detections are matched to them.

    Attributes:
        ids: one name per image.
        counts: (N,) int64, the number of annotated faces of each image.
        keep: list name → (F,) bool, True for the faces on the list, image after image.
    """

    ids: list[str]
    counts: NDArray[np.int64]
    keep: dict[str, Mask]

    @property
    def faces(self) -> int:
        """Number of all annotated faces, including those on no list."""
        return int(self.counts.sum())


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

    @property
    def listed(self) -> Listed:
        """The same faces without their boxes."""
        counts = np.array([len(boxes) for boxes in self.boxes], dtype=np.int64)
        none = np.zeros(0, dtype=np.bool_)
        return Listed(list(self.ids), counts, {name: np.concatenate([none, *self.keep[name]]) for name in LISTS})

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
        lines = read_regular(path, MOST_BYTES).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"image list {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"image list {path} cannot be read: {error}") from error
    ids = [image_id(line) for line in lines if line.strip()]
    if not ids:
        raise DataError(f"image list {path} is empty: expected one event/name.jpg per line")
    if len(set(ids)) != len(ids):
        double = next(name for name in ids if ids.count(name) > 1)
        raise DataError(f"image list {path} names {double} twice")
    return ids


def _require_files(folder: Path) -> None:
    for name in MATS:
        if (folder / name).is_file():
            continue
        below = folder / "ground_truth"
        hint = f"; did you mean {below}?" if (below / name).is_file() else ""
        raise DataError(
            f"{folder / name} is missing: the ground truth is wider_face_val.mat and "
            f"wider_{{easy,medium,hard}}_val.mat{hint}"
        )


def _read(folder: Path) -> GroundTruth:
    _require_files(folder)
    faces, *lists = (folder / name for name in MATS)
    found = read_tables({faces: (NAMES, "face_bbx_list"), **dict.fromkeys(lists, ("gt_list",))})
    for path, wanted in ((faces, NAMES), (faces, "face_bbx_list"), *((path, "gt_list") for path in lists)):
        if wanted not in found[path]:
            name = "event_list and file_list" if wanted == NAMES else wanted
            raise DataError(f"{path} has no {name}: is it the official WIDER FACE ground truth?")
    ids: list[str] = found[faces][NAMES].values.tolist()
    _require_names(ids, faces)
    corners = [values.reshape(-1, 4) for values in found[faces]["face_bbx_list"].images()]
    for identity, box in zip(ids, corners, strict=True):
        if not (np.abs(box) <= MOST_PIXELS).all():  # Also false for a value that is not a number.
            raise DataError(
                f"{faces}: a face of {identity} has a value that is not a number of pixels up to {MOST_PIXELS:,}: the "
                f"file is damaged; take it from eval_tools.zip of {HOME}"
            )
        box[:, 2:] += box[:, :2]
    keep = {
        name: [
            _mask(kept, len(box), f"{path}: {identity}")
            for kept, box, identity in zip(found[path]["gt_list"].images(), corners, ids, strict=True)
        ]
        for name, path in zip(LISTS, lists, strict=True)
    }
    return GroundTruth(corners, keep, ids)


def _require_names(ids: list[str], path: Path) -> None:
    for name in ids:
        if ".." in name.split("/") or name.startswith("/") or "\0" in name:
            raise DataError(f"{path} names an image {name!r}, which is no event/name")
    if len(set(ids)) != len(ids):
        double = next(name for name, times in Counter(ids).items() if times > 1)
        raise DataError(f"{path} names {double} twice")


def _mask(kept: Array, count: int, where: str) -> Mask:
    """Return which of ``count`` faces a list keeps; it numbers them from 1."""
    wrong = kept[~((kept >= 1) & (kept <= count) & (kept == np.floor(kept)))]
    if len(wrong):
        raise DataError(f"{where} has {count:,} faces, and the list keeps face {wrong[0]:g}: they are numbered from 1")
    mask = np.zeros(count, dtype=np.bool_)
    mask[kept.astype(np.int64) - 1] = True
    return mask


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
        raise DataError(
            f"{folder}: the four .mat files are not the official ground truth: {first_line(error)}"
        ) from error
    if ids is None:
        return truth
    row = {name: index for index, name in enumerate(truth.ids)}
    wanted = list(ids)
    unknown = [name for name in wanted if name not in row]
    if unknown:
        raise DataError(f"{folder} has no ground truth for {len(unknown):,} images, the first is {unknown[0]}")
    return truth.pick([row[name] for name in wanted])
