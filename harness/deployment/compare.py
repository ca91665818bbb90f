"""Compares an exported detector with the network that it came from: outputs, AP and speed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from harness.core.evaluation import SpeedConfig
from harness.core.machine import available_cores
from harness.data.faces import FaceSet
from harness.deployment.card import INPUT, OUTPUTS
from harness.deployment.session import Floats, OnnxDetector, session
from harness.detection.boxes import decode, decode_landmarks, make_priors
from harness.detection.framing import Image, plan
from harness.errors import HarnessError
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.inference import predict, prepare
from harness.evaluation.speed import Pass, alternate, image_noise, ready
from harness.models.detector import Detector

Run = Callable[[Image], tuple[Floats, ...]]
"""(1, H, W, 3) uint8 → boxes (A, 4), scores (A,) and landmarks (A, 10)."""

TOLERANCE = {"boxes": (1e-2, 1e-4), "scores": (1e-4, 0.0), "landmarks": (1e-2, 1e-4)}
"""Output → allowed absolute difference, in pixels or probability, and allowed share of the value beside it."""

THREADS = (1, 2)


def expected(detector: Detector) -> Run:
    """Return the detector itself, with its BatchNorms, as a function of pixels."""
    own = detector.eval()

    def run(image: Image) -> tuple[Floats, ...]:
        height, width = image.shape[1:3]
        with torch.inference_mode():
            boxes, classes, landmarks = own(prepare([image[0]], [plan(height, width, 0, 1)]))
            priors = make_priors(height, width)
            found = decode(boxes[0], priors), classes[0, :, 1], decode_landmarks(landmarks[0], priors)
        return tuple(part.numpy() for part in found)

    return run


def differences(run: Run, reference: Run, images: Iterable[Image], exact: bool) -> dict[str, float]:
    """Return the largest absolute difference of each output, over all priors of all images.

    Args:
        run: the exported detector.
        reference: the network.
        images: (1, H, W, 3) uint8 each.
        exact: whether to refuse differences above ``TOLERANCE``; not for int8.

    Raises:
        HarnessError: a difference is above the tolerance: the export computes something else.
    """
    largest = dict.fromkeys(OUTPUTS, 0.0)
    for image in images:
        for name, got, wanted in zip(OUTPUTS, run(image), reference(image), strict=True):
            if got.shape != wanted.shape or not np.isfinite(got).all():
                raise HarnessError(f"the export's {name} are not those of the network: {got.shape}, not {wanted.shape}")
            found = np.abs(got - wanted)
            largest[name] = max(largest[name], float(found.max(initial=0.0)))
            absolute, relative = TOLERANCE[name]
            if exact and (found > absolute + relative * np.abs(wanted)).any():
                raise HarnessError(f"the export's {name} differ from the network's by up to {largest[name]:.3g}")
    return largest


def aps(
    detector: Detector,
    exported: OnnxDetector,
    faces: FaceSet,
    progress: Callable[[str, int, int], None],
) -> dict[str, dict[str, float | None]]:
    """Return the AP ``before`` (PyTorch) and ``after`` (ONNX Runtime) on the same images, framed alike.

    A network of fixed size sees each image resized and padded to that size, one of any size the image as it is.

    Args:
        detector: the network.
        exported: the network in ONNX Runtime.
        faces: images with easy, medium and hard lists.
        progress: called with a description, the number of images done and the total.
    """
    evaluation, side = exported.evaluation(), exported.card.size
    before = predict(detector, faces, evaluation, side, progress=lambda done, total: progress("PyTorch", done, total))
    after = []
    for index in range(len(faces)):
        after.append(exported.detect(faces.image(index), evaluation, side))
        progress("ONNX Runtime", index + 1, len(faces))
    truth = faces.truth()
    return {name: evaluate_ap(rows, truth).to_dict() for name, rows in (("before", before), ("after", after))}


def speeds(
    detector: Detector, model: bytes, size: int, config: SpeedConfig, progress: Callable[[str, int, int], None]
) -> dict[str, Mapping[str, float]]:
    """Return threads → frames per second of one image of ``size`` × ``size``, all timed in alternation.

    ``fps`` is that of the model from uint8 pixels to decoded boxes, ``eager_fps`` that of the network as it is trained,
    and ``folded_fps`` that of the network with folded BatchNorms in channels_last, both without decoding.
    ``ratio_to_eager`` and ``ratio_to_folded`` are medians over the rounds; above 1, the model is faster.
    """
    image = image_noise(size, "cpu")
    folded = ready(detector, "cpu")
    plain = image.contiguous()
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    found: dict[str, Mapping[str, float]] = {}
    counts = [threads for threads in THREADS if threads <= available_cores()]
    for done, threads in enumerate(counts):
        progress("speed", done, len(counts))
        found[str(threads)] = _speed(
            _pass(model, pixels, threads), lambda: detector(plain), lambda: folded(image), config, threads
        )
    progress("speed", len(counts), len(counts))
    return found


def _pass(model: bytes, pixels: Image, threads: int) -> Pass:
    running: Any = session(model, threads)
    return lambda: running.run(None, {INPUT: pixels})


def _speed(own: Pass, eager: Pass, folded: Pass, config: SpeedConfig, threads: int) -> dict[str, float]:
    times = alternate([own, eager, folded], config, "cpu", threads)
    fps = 1_000 / np.median(times, axis=0)
    ratio = np.median(times[:, 1:] / times[:, :1], axis=0)
    return {
        "fps": float(fps[0]),
        "eager_fps": float(fps[1]),
        "folded_fps": float(fps[2]),
        "ratio_to_eager": float(ratio[0]),
        "ratio_to_folded": float(ratio[1]),
    }
