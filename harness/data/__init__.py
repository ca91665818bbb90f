"""Images and faces: synthetic scenes, WIDER FACE folders, augmentation and batches.

``load_split`` is the way in. Nothing here imports torch but ``batches``.
"""

import fcntl
import hashlib
import logging
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from harness.core.protocol import DataConfig, digest
from harness.data.augment import Augmentation
from harness.data.decode import Progress, decode_split
from harness.data.faces import FORMAT, FaceSet, choose, open_faceset
from harness.data.widerface import Annotations, find_layout, fingerprint, read_annotations
from harness.errors import DataError, InputError

SPLITS = ("train", "val")
"""What is on disk."""

LANDMARKS = "landmarks"
"""Training images with landmarks, held out of ``train``: only where ``DataConfig.landmark_images`` asks for some."""


class NoLandmarksError(DataError):
    """A copy's label file holds no landmarks, as the official one does not."""


log = logging.getLogger(__name__)


def load_split(
    config: DataConfig,
    split: str,
    cache: Path,
    progress: Progress | None = None,
    processes: int | None = None,
) -> FaceSet:
    """Return a split's images and faces, made or decoded on first use and kept under ``cache``.

    The copy is found again by what it was made from, so a changed label file, image, size or seed makes a new one. Any
    number of processes may ask for the same split at once: one makes it, the others wait.

    Validation images keep their original size. Training images are reduced until their shorter side is
    ``size / 0.3``: the smallest random crop, 0.3 of the shorter side, then still has ``size`` pixels, and nothing
    that training could see is lost.

    Args:
        config: which data; ``train_images`` or ``val_images`` of it are drawn by ``seed``.
        split: ``train``, ``val``, or ``landmarks`` where some images are held out.
        cache: folder of all decoded copies.
        progress: called with (what, images done, images in all) while a copy is made.
        processes: how many images are made at once; by default, as many as there are cores.

    Raises:
        DataError: the folder, its labels or too many of its images are missing or broken.
        OSError: the cache cannot be written.
    """
    known = (*SPLITS, LANDMARKS) if config.landmark_images else SPLITS
    if split not in known:
        raise InputError(f"unknown split '{split}' (known: {', '.join(known)})")
    count = {"train": config.train_images, "val": config.val_images, LANDMARKS: config.landmark_images}[split]
    if config.source == "synthetic":
        return _load_synthetic(config, split, count, cache, progress, processes)
    return _load_widerface(config, split, count, cache, progress, processes)


def load_held_out(config: DataConfig, cache: Path) -> FaceSet | None:
    """Return the images that the landmark error is measured on, as ``load_split`` does.

    None where the data asks for none, or where the copy has no landmarks: nothing is then held out of training either.
    """
    if not config.landmark_images:
        return None
    try:
        return load_split(config, LANDMARKS, cache)
    except NoLandmarksError:
        return None


def _load_synthetic(
    config: DataConfig, split: str, count: int, cache: Path, progress: Progress | None, processes: int | None
) -> FaceSet:
    from harness.data.synthetic.generate import generate

    # A scene is a function of the generator's code: another version of it must not find the old one's images.
    sources = sorted((Path(__file__).parent / "synthetic").glob("*.py"))
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    relevant = asdict(replace(config, train_images=count, val_images=count, epoch_images=0, eval_side=0))
    key = digest({"format": FORMAT, "split": split, "code": code, "config": relevant})
    return cached(
        cache / f"synthetic-{split}-{key}",
        lambda folder: generate(config, split, folder, progress, processes),
    )


def _load_widerface(
    config: DataConfig, split: str, count: int, cache: Path, progress: Progress | None, processes: int | None
) -> FaceSet:
    on_disk = "val" if split == "val" else "train"
    layout = find_layout(Path(config.source), on_disk)
    shorter_side = math.ceil(config.size / min(Augmentation().scales)) if split == "train" else 0
    key = digest(
        {
            "format": FORMAT,
            "split": split,
            "layout": layout.name,
            "source": fingerprint(layout),
            "shorter_side": shorter_side,
            "images": count,
            "seed": config.seed if count or config.landmark_images else 0,
            "held_out": config.landmark_images if split == "train" else 0,
        }
    )

    def build(folder: Path) -> FaceSet:
        annotations = read_annotations(layout, on_disk)
        annotations.require_sound()
        entries = annotations.entries
        if split != "val" and config.landmark_images:
            held_out = _with_landmarks(annotations, config.landmark_images, config.seed)
            if not held_out and split == LANDMARKS:
                raise NoLandmarksError(f"{layout.labels} has no landmarks")
            entries = [entry for index, entry in enumerate(entries) if (index in held_out) == (split == LANDMARKS)]
        annotations = replace(annotations, entries=[entries[i] for i in choose(len(entries), count, config.seed)])
        faces = decode_split(annotations, folder, f"widerface {split}", shorter_side, progress, processes)
        if faces.notes["faults"]:
            log.warning(
                "%s: skipped %s images and %s faces; first: %s",
                faces.name,
                f"{faces.notes['skipped_images']:,}",
                f"{faces.notes['skipped_faces']:,}",
                faces.notes["faults"][0],
            )
        return faces

    return cached(cache / f"widerface-{split}-{key}", build)


def _with_landmarks(annotations: Annotations, count: int, seed: int) -> set[int]:
    """Return ``count`` entries of a training split, by position, that have a face with landmarks; none if none has.

    Raises:
        DataError: some have one, and no more than ``count``.
    """
    able = [i for i, entry in enumerate(annotations.entries) if np.isfinite(entry.landmarks).all(axis=1).any()]
    if 0 < len(able) <= count:
        raise DataError(
            f"{annotations.layout.labels} has {len(able):,} images with landmarks: {count:,} cannot be held out of "
            "training; give a smaller landmark_images, 0 for none"
        )
    return {able[i] for i in choose(len(able), count, seed)} if able else set()


def cached(folder: Path, build: Callable[[Path], FaceSet]) -> FaceSet:
    """Open the face set at ``folder``, or make it with ``build``; a broken one is made again.

    Only one process builds at a time; what a killed one left behind is removed first.
    """
    if folder.is_dir():
        try:
            return open_faceset(folder)
        except DataError as error:
            log.warning("%s: making it again", error)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.parent.glob(f"{folder.name}.*.partial"):
            shutil.rmtree(leftover)
        try:
            return open_faceset(folder)
        except DataError:
            shutil.rmtree(folder, ignore_errors=True)
        return build(folder)
