"""Images and faces: synthetic scenes, WIDER FACE folders, augmentation and batches.

``load_split`` loads every split. Only ``batches``, ``render`` and ``on_device`` import torch.
"""

import hashlib
import logging
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from harness.core.data import DataConfig
from harness.core.digest import digest
from harness.data.augment import Augmentation
from harness.data.decode import Progress, decode_split
from harness.data.faces import FORMAT, FaceSet, choose, open_faceset
from harness.data.lists import LEAST_HEIGHT
from harness.data.widerface import Annotations, find_layout, fingerprint, read_annotations
from harness.errors import DataError, InputError

SEARCH = "search"
"""The split that every choice reads: pruning, objective, best epoch, early stopping. Never part of ``train``."""

SPLITS = ("train", SEARCH, "val")
"""The splits of every data set. ``val`` is for the final evaluation: no choice reads it."""

LANDMARKS = "landmarks"
"""Training images with landmarks that are held out of ``train`` if ``DataConfig.landmark_images`` is positive."""


class NoLandmarksError(DataError):
    """The label file has no landmarks; the official one has none."""


log = logging.getLogger(__name__)


def load_split(
    config: DataConfig,
    split: str,
    cache: Path,
    progress: Progress | None = None,
    processes: int | None = None,
) -> FaceSet:
    """Return a split's images and faces; the first call generates or decodes them into ``cache``.

    The name of a copy in the cache is a digest of its sources: a changed label file, image, size or seed leads to a new
    copy. If several processes load the same split at once, one creates it and the others wait.

    Validation and search images keep the size that they have on disk. Training images are reduced until their shorter
    side is ``size / 0.3``: the smallest random crop, 0.3 of the shorter side, then still has ``size`` pixels, so
    training loses no detail.

    Train, search and landmarks never share an image. Search and landmark images of a folder are drawn by ``seed`` from
    its training images. The lists of its search split follow face height (``harness.data.lists``).

    Args:
        config: the data. ``train_images`` or ``val_images`` of a folder's images are drawn by ``seed``.
        split: ``train``, ``search``, ``val``, or ``landmarks`` if ``landmark_images`` is positive.
        cache: folder of all decoded copies.
        progress: called with (what, images done, total images) while a copy is created.
        processes: number of images that are generated or decoded in parallel; by default, the number of cores.

    Raises:
        InputError: the split is unknown.
        DataError: the folder or its labels are missing or broken, more than 5 % of the images are missing or broken,
            or there are too few images to hold out.
        OSError: the cache cannot be written.
    """
    known = (*SPLITS, LANDMARKS) if config.landmark_images else SPLITS
    if split not in known:
        raise InputError(f"unknown split '{split}' (known: {', '.join(known)})")
    if config.source == "synthetic":
        return _load_synthetic(config, split, cache, progress, processes)
    return _load_widerface(config, split, cache, progress, processes)


def is_ready(config: DataConfig, split: str, cache: Path) -> bool:
    """Return whether ``load_split`` finds a split's images in ``cache``, so that it returns at once.

    Raises:
        DataError: the folder or its labels are missing or broken.
    """
    folder = _synthetic_folder if config.source == "synthetic" else _widerface_folder
    return folder(config, split, cache).is_dir()


def count_training_images(config: DataConfig) -> int:
    """Return the number of training images, without decoding any.

    Raises:
        DataError: the folder or its labels are missing or broken.
    """
    if config.train_images:
        return config.train_images
    labelled = len(read_annotations(find_layout(Path(config.source), "train"), "train").entries)
    return labelled - config.search_images - config.landmark_images


def load_held_out(config: DataConfig, cache: Path) -> FaceSet | None:
    """Return the held-out images for the landmark error, as ``load_split`` does.

    Return None if ``landmark_images`` is 0 or the folder has no landmarks; no image is held out for them then.
    """
    if not config.landmark_images:
        return None
    try:
        return load_split(config, LANDMARKS, cache)
    except NoLandmarksError:
        return None


def _load_synthetic(
    config: DataConfig, split: str, cache: Path, progress: Progress | None, processes: int | None
) -> FaceSet:
    from harness.data.synthetic.generate import generate

    return cached(
        _synthetic_folder(config, split, cache), lambda folder: generate(config, split, folder, progress, processes)
    )


def _synthetic_folder(config: DataConfig, split: str, cache: Path) -> Path:
    # The generator's code is part of the key, so that a changed generator does not load old scenes.
    sources = sorted((Path(__file__).parent / "synthetic").glob("*.py"))
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    key = digest({"format": FORMAT, "split": split, "code": code, "images": config.images(split), "seed": config.seed})
    return cache / f"synthetic-{split}-{key}"


def _load_widerface(
    config: DataConfig, split: str, cache: Path, progress: Progress | None, processes: int | None
) -> FaceSet:
    on_disk = _on_disk(split)
    layout = find_layout(Path(config.source), on_disk)

    def build(folder: Path) -> FaceSet:
        annotations = read_annotations(layout, on_disk)
        annotations.require_sound()
        chosen = _choose(annotations, config, split)
        annotations = replace(annotations, entries=[annotations.entries[i] for i in chosen])
        shorter_side = _shorter_side(config, split)
        faces = decode_split(
            annotations, folder, f"widerface {split}", shorter_side, split == SEARCH, progress, processes
        )
        if faces.notes["faults"]:
            log.warning(
                "%s: skipped %s images and %s faces; first: %s",
                faces.name,
                f"{faces.notes['skipped_images']:,}",
                f"{faces.notes['skipped_faces']:,}",
                faces.notes["faults"][0],
            )
        return faces

    return cached(_widerface_folder(config, split, cache), build)


def _widerface_folder(config: DataConfig, split: str, cache: Path) -> Path:
    on_disk = _on_disk(split)
    layout = find_layout(Path(config.source), on_disk)
    held_out = [config.landmark_images, config.search_images] if on_disk == "train" else []
    key = digest(
        {
            "format": FORMAT,
            "split": split,
            "layout": layout.name,
            "source": fingerprint(layout),
            "shorter_side": _shorter_side(config, split),
            "images": config.images(split),
            "held_out": held_out,
            "seed": config.seed if held_out or config.images(split) else 0,
            "lists": LEAST_HEIGHT if split == SEARCH else {},
        }
    )
    return cache / f"widerface-{split}-{key}"


def _on_disk(split: str) -> str:
    return "val" if split == "val" else "train"


def _shorter_side(config: DataConfig, split: str) -> int:
    """Return the length to which the shorter side of a split's images is reduced; 0 keeps it."""
    return math.ceil(config.size / min(Augmentation().scales)) if split == "train" else 0


def _choose(annotations: Annotations, config: DataConfig, split: str) -> list[int]:
    """Return the positions of a split's images in its label file, ascending.

    Of the training images, the landmark images are drawn first, then the search images from the rest, then the
    training images from what is left.

    Raises:
        NoLandmarksError: ``split`` is ``landmarks`` and no image has any.
        DataError: there are too few images to hold out.
    """
    rest = list(range(len(annotations.entries)))
    if split != "val":
        apart = _landmark_images(annotations, config)
        if split == LANDMARKS:
            if not apart:
                raise NoLandmarksError(f"{annotations.layout.labels} has no landmarks")
            return apart
        rest = sorted({*rest} - {*apart})
        if len(rest) <= config.search_images:
            without = f" without the {len(apart):,} that are held out for landmarks" if apart else ""
            raise DataError(
                f"{annotations.layout.labels} has {len(rest):,} images{without}: {config.search_images:,} cannot be "
                "held out as the search split; give a smaller search_images"
            )
        search = _draw(rest, config.search_images, config.seed)
        if split == SEARCH:
            return search
        rest = sorted({*rest} - {*search})
    return _draw(rest, config.images(split), config.seed)


def _landmark_images(annotations: Annotations, config: DataConfig) -> list[int]:
    """Return the positions of ``landmark_images`` images with landmarks; an empty list if no image has any."""
    able = [i for i, entry in enumerate(annotations.entries) if np.isfinite(entry.landmarks).all(axis=1).any()]
    if not able or not config.landmark_images:
        return []
    if len(able) <= config.landmark_images:
        raise DataError(
            f"{annotations.layout.labels} has {len(able):,} images with landmarks: {config.landmark_images:,} cannot "
            "be held out of training; give a smaller landmark_images, 0 for none"
        )
    return _draw(able, config.landmark_images, config.seed)


def _draw(positions: list[int], count: int, seed: int) -> list[int]:
    return [positions[i] for i in choose(len(positions), count, seed)]


def cached(folder: Path, build: Callable[[Path], FaceSet]) -> FaceSet:
    """Open the face set at ``folder``, or create it with ``build``. A broken face set is created again.

    One process builds at a time. It first removes the partial folders that killed processes left behind.
    """
    if folder.is_dir():
        try:
            return open_faceset(folder)
        except DataError as error:
            log.warning("%s: creating it again", error)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        for leftover in folder.parent.glob(f"{folder.name}.*.partial"):
            shutil.rmtree(leftover)
        try:
            return open_faceset(folder)
        except DataError:
            shutil.rmtree(folder, ignore_errors=True)
        return build(folder)
