"""Times of V1 against V2, of prediction against the forward pass, and of NMS with and without an early end."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import Case, Given, Variant
from harness.core.arch import ARCHS
from harness.core.evaluation import EvalConfig
from harness.data.faces import FaceSet, FaceSetWriter
from harness.data.synthetic.generate import render_scene
from harness.detection.boxes import make_priors
from harness.detection.framing import plan
from harness.detection.suppression import Detections, nms
from harness.evaluation.inference import BATCH_PIXELS, candidates, predict, prepare
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.device import place
from harness.models.fold import freeze
from harness.training.schedule import average_statistics

BATCHES = 2
"""Batches of each prediction."""

FEW = 300
"""Candidates per image of a trained network in a crowd; an untrained network has as many as are allowed."""


def cases(given: Given) -> Iterator[Case]:
    """Yield the networks, prediction with many and with few candidates, and suppression."""
    size = 64 if given.quick else 640
    for threads in (1,) if given.quick else (1, 2):  # More threads than free cores wait for each other.
        for folded in (False, True):
            yield _networks(size, threads, folded)
    faces = _scenes(given.folder / "scenes", size, 1 if given.quick else BATCH_PIXELS // size**2)
    pixels = _pixels(faces, size)
    network = _fitted(pixels)
    usual = EvalConfig()
    for evaluation in (usual, _fewer(network, pixels, usual)):
        yield _prediction(network, faces, pixels, evaluation)
    yield _suppression(_candidates(network, pixels, usual), usual)


def _ready(network: Detector, folded: bool) -> Detector:
    """Return a copy for inference, channels_last."""
    own = copy.deepcopy(network).eval()
    if folded:
        freeze(own)
    place(own, torch.device("cpu"))
    return own


def _forward(network: Detector, batches: list[Tensor]) -> None:
    with torch.inference_mode():
        for batch in batches:
            network(batch)


def _networks(size: int, threads: int, folded: bool) -> Case:
    torch.manual_seed(0)
    v1, v2 = (_ready(build(ARCHS[name]), folded) for name in ("v1", "v2"))
    image = (60 * torch.randn((1, 3, size, size))).contiguous(memory_format=torch.channels_last)
    return Case(
        f"one image of {size}×{size}, {'BatchNorms folded' if folded else 'eager'}",
        Variant("V1", lambda: _forward(v1, [image])),
        Variant("V2", lambda: _forward(v2, [image])),
        rounds=15,
        threads=threads,
    )


def _scenes(folder: Path, size: int, batch: int) -> FaceSet:
    with FaceSetWriter(folder, "benchmark") as writer:
        for index in range(BATCHES * batch):
            scene = render_scene(0, "val", index, size)
            writer.add(f"{index}", scene.image, scene.boxes, scene.landmarks)
        return writer.finish()


def _pixels(faces: FaceSet, size: int) -> list[Tensor]:
    """Return the batches that ``predict`` makes of a face set."""
    step = len(faces) // BATCHES
    groups = [range(start, start + step) for start in range(0, len(faces), step)]
    return [prepare([faces.image(i) for i in group], [plan(size, size, 0, 1)] * step) for group in groups]


def _fitted(pixels: list[Tensor]) -> Detector:
    """Return V2 with random weights and BatchNorm statistics of the images, so that its scores differ."""
    torch.manual_seed(0)
    network = build(ARCHS["v2"]).train()
    average_statistics(network)
    with torch.no_grad():
        for batch in pixels:
            network(batch)
    return network.eval()


def _candidates(network: Detector, pixels: list[Tensor], evaluation: EvalConfig) -> list[Detections]:
    """Return what enters the suppression, for each image."""
    priors = make_priors(*pixels[0].shape[2:])
    found = []
    with torch.inference_mode():
        for batch in pixels:
            boxes, classes, landmarks = network(batch)
            found += candidates(boxes, classes[..., 1], landmarks, priors, evaluation)
    return found


def _fewer(network: Detector, pixels: list[Tensor], evaluation: EvalConfig) -> EvalConfig:
    """Return the evaluation with the threshold that ``FEW`` priors per image exceed, or all if there are fewer."""
    with torch.inference_mode():
        scores = torch.cat([network(batch)[1][..., 1] for batch in pixels])
    wanted = min(FEW, scores.shape[1] - 1) * len(scores)
    return replace(evaluation, score_threshold=float(scores.flatten().sort(descending=True).values[wanted]))


def _prediction(network: Detector, faces: FaceSet, pixels: list[Tensor], evaluation: EvalConfig) -> Case:
    entered = _candidates(network, pixels, evaluation)
    folded = _ready(network, folded=True)
    height, width = faces.shapes[0].tolist()
    return Case(
        f"{len(faces)} images of {width}×{height}, {sum(map(len, entered)) // len(faces):,} candidates each",
        Variant("prediction by V2", lambda: predict(network, faces, evaluation, 0)),
        Variant("forward pass, BatchNorms folded", lambda: _forward(folded, pixels)),
        rounds=11,
    )


def _suppression(rows: list[Detections], evaluation: EvalConfig) -> Case:
    def suppress(limit: int) -> None:
        for found in rows:
            nms(found[:, :4], found[:, 4], evaluation.nms_iou, limit)

    most, kept = max(map(len, rows)), evaluation.max_detections
    return Case(
        f"suppression of {most:,} candidates",
        Variant("suppressing all", lambda: suppress(most)),
        Variant(f"until {kept:,} are kept", lambda: suppress(kept)),
    )
