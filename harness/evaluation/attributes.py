"""Recall by the faces' size, and by the attributes that WIDER FACE annotates.

Only faces of the hard list count, which contains the other two lists. Recall is measured at one false positive per
image: at the lowest of the evaluator's 1,000 score thresholds at which there are no more false positives than images.
A false positive is a detection that is matched to no annotated face, or to a face that is already found. This operating
point exists for weak and strong networks, has the same rate of false positives for all, and does not depend on a list.
A face is found if a detection at or above that threshold is matched to it by the evaluator's rule (IoU ≥ 0.5).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.mat import read_tables
from harness.data.truth import GroundTruth, Listed, Mask, load_ground_truth
from harness.errors import DataError
from harness.evaluation.ap import THRESHOLDS, Matches, match

FALSE_ALARMS = 1.0
"""False positives per image at which recall is measured."""

SIZES = (0, 8, 16, 32, 64, 128)
"""Lower bounds of the groups of face heights, in pixels of the original image."""

ATTRIBUTES = {
    "blur": ("clear", "normal", "heavy"),
    "occlusion": ("none", "partial", "heavy"),
    "pose": ("typical", "atypical"),
    "illumination": ("normal", "extreme"),
    "expression": ("typical", "exaggerated"),
}
"""Attribute → its values 0, 1, …, as the readme of ``wider_face_split.zip`` names them."""

Groups = dict[str, dict[str, Mask]]
"""Attribute → value → (F,) bool: the faces of the whole set that are on the hard list and have this value."""


def by_height(heights: NDArray[np.floating]) -> dict[str, Mask]:
    """Return size → (F,) bool: the mask of the faces whose height (F,), in pixels, lies in this range of ``SIZES``."""
    groups = {
        f"{low}–{high} px" if low else f"below {high} px": (heights >= low) & (heights < high)
        for low, high in pairwise(SIZES)
    }
    return {**groups, f"{SIZES[-1]} px and more": heights >= SIZES[-1]}


def size_groups(truth: GroundTruth) -> Groups:
    """Return the faces of the hard list by height; sizes without a face are omitted."""
    boxes = np.concatenate([np.zeros((0, 4)), *truth.boxes])
    return {"size": _listed(by_height(boxes[:, 3] - boxes[:, 1]), truth)}


def attribute_groups(folder: Path, truth: GroundTruth) -> Groups:
    """Return the faces of the hard list by each annotated attribute; values without a face are omitted.

    Args:
        folder: where the official ``wider_{face,easy,medium,hard}_val.mat`` are.
        truth: the images, with all their faces in the official order.

    Raises:
        DataError: a file is missing or broken, an image is not in it, or it has other faces there.
    """
    official = load_ground_truth(folder)
    row = {name: index for index, name in enumerate(official.ids)}
    unknown = [name for name in truth.ids if name not in row]
    if unknown:
        raise DataError(f"{folder} has no ground truth for {len(unknown):,} images, the first is {unknown[0]}")
    chosen = [row[name] for name in truth.ids]
    for name, boxes, index in zip(truth.ids, truth.boxes, chosen, strict=True):
        if not np.array_equal(boxes, official.boxes[index]):
            raise DataError(
                f"{folder} has other faces for {name} than the validation images: give the ground truth of that copy"
            )
    path = folder / "wider_face_val.mat"
    tables = read_tables({path: [f"{attribute}_label_list" for attribute in ATTRIBUTES]})[path]
    groups: Groups = {}
    for attribute, values in ATTRIBUTES.items():
        table = tables.get(f"{attribute}_label_list")
        if table is None or len(table.counts) != len(official.ids):
            raise DataError(f"{path} has no {attribute}_label_list of all images: use the official file")
        images = table.images()
        labels = np.concatenate([np.zeros(0), *(images[index] for index in chosen)])
        if len(labels) != truth.faces:
            raise DataError(f"{path} has {len(labels):,} {attribute} labels for {truth.faces:,} faces")
        groups[attribute] = _listed({value: labels == code for code, value in enumerate(values)}, truth)
    return groups


def _listed(groups: Mapping[str, Mask], truth: GroundTruth) -> dict[str, Mask]:
    hard = np.concatenate([np.zeros(0, dtype=np.bool_), *truth.keep["hard"]])
    listed = {name: mask & hard for name, mask in groups.items()}
    return {name: mask for name, mask in listed.items() if mask.any()}


def found_faces(detections: Sequence[NDArray[Any]], truth: GroundTruth) -> Mask:
    """Return which of all faces (F,) are found at ``FALSE_ALARMS`` false positives per image.

    As in the evaluator, images without any annotated face do not count.

    Args:
        detections: for each image (k, 5 or more), x1, y1, x2, y2, score, in any order.
        truth: the same images, in the same order.

    Raises:
        DataError: a wrong number of images, a wrong shape, or a value that is not finite; names the image.
    """
    return faces_found(match(detections, truth), truth.listed)


def faces_found(matches: Matches, listed: Listed) -> Mask:
    """Return what ``found_faces`` does, of detections that are matched already to the faces ``listed``."""
    images = np.count_nonzero(listed.counts)
    false = np.bincount(matches.level[(matches.face < 0) | ~matches.first], minlength=THRESHOLDS).cumsum()
    passed = np.searchsorted(false, FALSE_ALARMS * images, side="right")
    found = np.zeros(listed.faces, dtype=np.bool_)
    found[matches.face[matches.first & (matches.level < passed)]] = True
    return found


def recall(found: Mask, faces: Mask) -> float:
    """Return the share of ``faces`` (F,) that are ``found``; ``faces`` holds at least one."""
    return float(found[faces].mean())
