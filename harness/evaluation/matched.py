"""Matched detections and listed faces on disk: all that an AP, its resamples and its recall need, in a few bytes each.

No box, image or landmark is in these files. They are small once they are compressed, which is not done here.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.arrays import load_arrays
from harness.data.truth import LISTS, Listed
from harness.errors import DataError
from harness.evaluation.ap import THRESHOLDS, Matches, first_on_face
from harness.evaluation.attributes import Groups

FACES, MATCHES = "faces.npz", "matches.npz"
"""Files of listed faces and of matched detections."""

_WHOLE, _TYPES = {"counts", "steps", "place"}, (np.uint8, np.uint16, np.uint32)


def packed_matches(matches: Matches, listed: Listed) -> bytes:
    """Return the content of a file of matched detections.

    A threshold is stored as the difference to that of the detection before in the same image, which has a higher score
    or the same. A face is stored by its place in its image, from 1; 0 is no face.
    """
    steps = np.diff(matches.level, prepend=0)
    starts = np.diff(matches.image, prepend=-1) != 0
    steps[starts] = matches.level[starts]
    place = np.where(matches.face < 0, 0, matches.face - _first_faces(listed)[matches.image] + 1)
    counts = np.bincount(matches.image, minlength=len(listed.ids))
    return _packed(counts=_small(counts), steps=_small(steps), place=_small(place))


def load_matches(path: Path, listed: Listed) -> Matches:
    """Read a file of matched detections on the images of ``listed``.

    Raises:
        DataError: it is missing or damaged, or is of other images.
    """
    arrays = _load(path, "counts", "steps", "place")
    counts, steps, place = (arrays[name].astype(np.int64) for name in ("counts", "steps", "place"))
    if len(counts) != len(listed.ids) or not counts.sum() == len(steps) == len(place):
        raise DataError(f"{path} is damaged, or was not made on these {len(listed.ids):,} images")
    image = np.repeat(np.arange(len(counts)), counts)
    total = steps.cumsum()
    level = total - np.concatenate(([0], total))[counts.cumsum() - counts][image]
    if (level >= THRESHOLDS).any() or (place > listed.counts[image]).any():
        raise DataError(f"{path} is damaged: it has thresholds or faces that do not exist")
    face = np.where(place == 0, -1, place - 1 + _first_faces(listed)[image])
    return Matches(image, level, face, first_on_face(face))


def packed_faces(listed: Listed, groups: Groups) -> bytes:
    """Return the content of a file of listed faces, with the groups of these faces by size and other attributes."""
    masks = [*(listed.keep[name] for name in LISTS), *(mask for values in groups.values() for mask in values.values())]
    return _packed(
        ids=np.array(listed.ids, dtype=np.str_),
        counts=_small(listed.counts),
        masks=np.array(masks, dtype=np.bool_),
        names=np.array([[name, value] for name, values in groups.items() for value in values], dtype=np.str_),
    )


def load_faces(path: Path) -> tuple[Listed, Groups]:
    """Read a file of listed faces.

    Raises:
        DataError: it is missing or damaged.
    """
    arrays = _load(path, "counts", "ids", "masks", "names")
    counts, ids, masks = arrays["counts"].astype(np.int64), arrays["ids"], arrays["masks"]
    names = arrays["names"].reshape(-1, 2).tolist() if arrays["names"].size % 2 == 0 else []
    sound = ids.shape == counts.shape and masks.shape == (len(LISTS) + len(names), counts.sum())
    if not sound or ids.dtype.kind != "U" or masks.dtype != np.bool_:
        raise DataError(f"{path} is damaged: its parts do not match")
    groups: Groups = {}
    for (name, value), mask in zip(names, masks[len(LISTS) :], strict=True):
        groups.setdefault(str(name), {})[str(value)] = mask
    return Listed(ids.tolist(), counts, dict(zip(LISTS, masks, strict=False))), groups


def _first_faces(listed: Listed) -> NDArray[np.int64]:
    """Return the index of each image's first face (N,)."""
    first: NDArray[np.int64] = listed.counts.cumsum() - listed.counts
    return first


def _small(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers, none below 0, in the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _packed(**arrays: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def _load(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    try:
        arrays = load_arrays(path)
        for name in names:
            array = arrays[name]
            if name in _WHOLE and (array.ndim != 1 or array.dtype not in _TYPES):
                raise ValueError(f"{name} is no row of whole numbers")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is not readable ({error})") from error
    return arrays
