"""Generates the synthetic data set: scenes with faces, with exact boxes and landmarks.

A scene depends only on (seed, split, index) and on this code, so the number of processes has no influence, and no two
splits share a scene. Faces are hard to detect for the same reasons as in photographs: few pixels, occlusion, turned
heads, poor light and focus, and objects that look like faces.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.core.data import DataConfig
from harness.core.machine import available_cores
from harness.core.processes import end_with_parent
from harness.data.faces import FaceSet, FaceSetWriter
from harness.data.synthetic.backdrop import paint_backdrop
from harness.data.synthetic.body import render_body, render_hand
from harness.data.synthetic.camera import expose, sample_camera
from harness.data.synthetic.clutter import CONFUSING, HIDING, STANDING
from harness.data.synthetic.head import render_head
from harness.data.synthetic.layers import Layer, Picture, blurred
from harness.data.synthetic.light import Light, own_light, sample_light
from harness.data.synthetic.person import sample_person
from harness.data.synthetic.stage import TALL, arrange
from harness.data.synthetic.tiles import chance, log_uniform
from harness.errors import HarnessError

GENERATOR_VERSION = 1
"""Version of the generator. Raise it when any scene changes."""

SIDE = 160
"""Side of every scene, pixels."""

SPLITS = {"train": 0, "val": 1, "search": 2}
"""Split → its number in the seed of its scenes. Do not change a number: it would change the scenes of its split."""

MAX_OCCLUSION = 0.85
"""A face with a larger hidden share is not annotated, because it cannot be recognised."""


@dataclass(frozen=True)
class Difficulty:
    """The limits of a list. A face within all of them is on the list.

    Attributes:
        height: smallest height of its box, pixels.
        occlusion: largest hidden share of its pixels (hidden by other people and things, by its own mask or dark
            glasses, or by the image's border).
        blur: largest standard deviation of its blur, as a share of its height.
    """

    height: float
    occlusion: float
    blur: float


EASY = Difficulty(height=26.0, occlusion=0.20, blur=0.04)
MEDIUM = Difficulty(height=15.0, occlusion=0.45, blur=0.07)
HARD = Difficulty(height=8.0, occlusion=0.70, blur=0.14)
LISTS = {"easy": EASY, "medium": MEDIUM, "hard": HARD}
"""Each list has wider limits than the one before, so easy ⊂ medium ⊂ hard. Faces on no list are ignored, as in WIDER
FACE."""


@dataclass(frozen=True)
class Scene:
    """One image and its n faces.

    Attributes:
        image: (S, S, 3) uint8, BGR.
        boxes: (n, 4) float64, x1, y1, x2, y2 in pixels, from hairline to chin and cheek to cheek, hidden parts
            included; clipped to the image.
        landmarks: (n, 10) float64, pixels, exact; may lie outside the image.
        height: (n,) height of the box before clipping, pixels.
        occlusion: (n,) hidden share of the face's pixels, counted pixel by pixel.
        blur: (n,) standard deviation of all blur on the face, pixels.
        owner: (S, S) int16, index of the face visible in each pixel, -1 for none.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    height: NDArray[np.float64]
    occlusion: NDArray[np.float64]
    blur: NDArray[np.float64]
    owner: NDArray[np.int16]


def keep_lists(scene: Scene) -> dict[str, NDArray[np.bool_]]:
    """Return list name → (n,) bool, by the thresholds of ``LISTS``."""
    return {
        name: (scene.height >= level.height)
        & (scene.occlusion <= level.occlusion)
        & (scene.blur <= level.blur * scene.height)
        for name, level in LISTS.items()
    }


def render_scene(seed: int, split: str, index: int, side: int = SIDE) -> Scene:
    """Return scene ``index`` of ``split``. The same arguments always give the same scene."""
    rng = np.random.default_rng([seed, SPLITS[split], index])
    picture = Picture.on(paint_backdrop(side, rng))
    light = sample_light(rng)
    focus = _focus(rng)
    spots = arrange(side, rng)

    for _ in range(int(rng.integers(0, 5))):
        _put_thing(picture, STANDING, side, light, rng, log_uniform(rng, 0.06, 0.5) * side)
    for _ in range(int(rng.poisson(1.4))):
        _put_thing(picture, CONFUSING, side, own_light(light, rng), rng, log_uniform(rng, 0.05, 0.45) * side)

    for spot in spots:
        person = sample_person(rng)
        lit = own_light(light, rng)
        height = spot.pose.unit * TALL
        sigma = focus(height)
        if spot.body:
            body = render_body(person, spot.pose, lit, rng, side, spot.standing)
            _put(picture, body, sigma)
        _put(picture, render_head(person, spot.pose, lit, rng), sigma)
        if chance(rng, 0.16):
            reach = 0.75 * height
            x, y = spot.pose.x + rng.normal(0, 0.45) * reach, spot.pose.y + rng.normal(0.1, 0.45) * reach
            size = height * float(rng.uniform(0.35, 1.1))
            if chance(rng, 0.4):
                _put(
                    picture, render_hand(person, (x, y, spot.pose.unit * float(rng.uniform(0.8, 1.3))), lit, rng), sigma
                )
            else:
                maker = HIDING[int(rng.integers(len(HIDING)))]
                _put(picture, maker(x, y, size, lit, rng), sigma)
    return _finish(picture, side, rng)


def _focus(rng: np.random.Generator) -> Callable[[float], float]:
    """Return a function from face height to blur, both in pixels: all sharp, or sharp at one distance only."""
    if chance(rng, 0.6):
        return lambda _: 0.0
    sharp, strength = log_uniform(rng, 10, 80), rng.uniform(0.15, 0.8)
    return lambda height: float(strength * abs(np.log2(height / sharp)) ** 1.3)


def _put(picture: Picture, layer: Layer | None, sigma: float) -> None:
    if layer is not None:
        picture.put(blurred(layer, sigma))


def _put_thing(
    picture: Picture, makers: tuple[Callable[..., Layer | None], ...], side: int, light: Light,
    rng: np.random.Generator, size: float,
) -> None:  # fmt: skip
    maker = makers[int(rng.integers(len(makers)))]
    x, y = rng.uniform(0, side, 2)
    _put(picture, maker(float(x), float(y), size, light, rng), 0.0)


def _finish(picture: Picture, side: int, rng: np.random.Generator) -> Scene:
    camera = sample_camera(rng)
    image = expose(picture.colour, camera, rng)
    occlusion = picture.occlusion()
    noted = np.flatnonzero(occlusion <= MAX_OCCLUSION)
    faces = [picture.faces[face] for face in noted]
    whole = np.array([face.box for face in faces], dtype=np.float64).reshape(-1, 4)
    renumber = np.full(len(picture.faces) + 1, -1, dtype=np.int16)
    renumber[noted] = np.arange(len(noted))
    return Scene(
        image=image,
        boxes=whole.clip(0, side),
        landmarks=np.array([face.landmarks for face in faces], dtype=np.float64).reshape(-1, 10),
        height=whole[:, 3] - whole[:, 1],
        occlusion=occlusion[noted],
        blur=np.hypot(np.array([face.blur for face in faces], dtype=np.float64), camera.blur),
        owner=renumber[picture.owner],
    )


CHUNK = 8
"""Number of scenes that a process generates before it returns them."""


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _begin() -> None:
    end_with_parent()
    _one_thread()


def _render_chunk(task: tuple[int, str, int, int]) -> list[Scene]:
    seed, split, first, last = task
    blank = np.zeros((0, 0), dtype=np.int16)
    return [replace(render_scene(seed, split, index), owner=blank) for index in range(first, last)]


def _scenes(tasks: list[tuple[int, str, int, int]], processes: int) -> Iterator[list[Scene]]:
    if processes <= 1 or len(tasks) <= 1:
        before = cv2.getNumThreads()
        _one_thread()
        try:
            yield from map(_render_chunk, tasks)
        finally:
            cv2.setNumThreads(before)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(tasks)), mp_context=context, initializer=_begin)
    try:
        yield from pool.map(_render_chunk, tasks)
    except BrokenProcessPool as error:
        raise HarnessError(
            f"a process that generates scenes died (out of memory, or killed); {processes} ran in parallel: use fewer"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def generate(
    config: DataConfig,
    split: str,
    folder: Path,
    progress: Callable[[str, int, int], None] | None = None,
    processes: int | None = None,
) -> FaceSet:
    """Generate a split's scenes and write them to ``folder``.

    Args:
        config: gives the number of scenes and their seed.
        split: ``train``, ``search`` or ``val``; training scenes have no lists.
        folder: target folder of the face set.
        progress: called with (what, scenes done, total scenes).
        processes: number of processes; by default, the number of cores. It does not change the scenes.

    Raises:
        HarnessError: one of the processes died.
        OSError: the folder cannot be written.
    """
    total = config.images(split)
    workers = processes if processes is not None else available_cores()
    tasks = [(config.seed, split, first, min(first + CHUNK, total)) for first in range(0, total, CHUNK)]
    name = f"synthetic {split}"
    done, started = 0, time.perf_counter()
    with FaceSetWriter(folder, name) as writer:
        for scenes in _scenes(tasks, workers):
            for scene in scenes:
                lists = keep_lists(scene) if split != "train" else None
                writer.add(f"{split}_{done:06d}", scene.image, scene.boxes, scene.landmarks, lists)
                done += 1
            if progress is not None:
                progress(name, done, total)
        writer.notes = {
            "source": "synthetic",
            "generator": GENERATOR_VERSION,
            "seed": config.seed,
            "side": SIDE,
            "lists": {name: asdict(level) for name, level in LISTS.items()},
            "images_per_second": round(total / (time.perf_counter() - started), 1),
        }
        return writer.finish()
