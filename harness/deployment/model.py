"""``load``: a detector ready to run, from an ONNX file, a weights file, a study or a published report.

An ONNX file needs no PyTorch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.evaluation import EvalConfig
from harness.core.files import RUNS
from harness.deployment.packages import need
from harness.deployment.pictures import UnreadableError, read_picture
from harness.detection.framing import Image
from harness.detection.suppression import Detections, faces
from harness.errors import DataError, InputError

LARGEST = 2_048
"""Longest side that pictures are reduced to unless a side is given, pixels: bounds memory and time."""

SCORE, NMS = 0.5, EvalConfig().nms_iou
"""Least score of a face, and IoU of suppression, unless others are given."""

Find = Callable[[Image, EvalConfig, int], Detections]
"""A picture, settings and the longest side it is resized to (0: its own) → (k, 15) in the picture's pixels."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of a picture, best first, in pixels of the picture as viewers show it.

    Attributes:
        rows: (k, 15) float32: x1, y1, x2, y2, score, then x, y of left and right eye, nose, left and right corner of
            the mouth, as seen in the picture.
    """

    rows: Detections

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Return (k, 4): x1, y1, x2, y2."""
        return self.rows[:, :4]

    @property
    def scores(self) -> NDArray[np.float32]:
        """Return (k,): face probabilities."""
        return self.rows[:, 4]

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """Return (k, 5, 2): x, y."""
        return self.rows[:, 5:].reshape(-1, 5, 2)

    def to_list(self) -> list[dict[str, Any]]:
        """Return ``box``, ``score`` and ``landmarks`` of each face, rounded: pixels to 2 decimals, scores to 4."""
        return faces(self.rows)


@dataclass(frozen=True)
class Model:
    """A detector that is ready to run.

    Attributes:
        name: the ONNX file, the trial or the weights file's stem.
        find: the detector as a function.
    """

    name: str
    find: Find

    def detect(
        self, picture: str | Path | Image, *, score: float = SCORE, nms: float = NMS, side: int | None = None
    ) -> Faces:
        """Return the faces of a picture.

        Args:
            picture: an image file of any kind, or (H, W, 3) uint8 in BGR order, as OpenCV reads it.
            score: least score, 0 to 1.
            nms: IoU above which the lower-scoring of two boxes is suppressed, 0 to 1.
            side: longest side that the picture is resized to, pixels; 0 keeps its size; None reduces it to ``LARGEST``.

        Raises:
            InputError: a setting is out of range.
            DataError: the file is no image or is damaged, or the array is no image.
        """
        check_settings(score, nms, side)
        image = picture if isinstance(picture, np.ndarray) else _read(Path(picture))
        if side is None:
            side = LARGEST if max(image.shape[:2]) > LARGEST else 0
        evaluation = replace(EvalConfig(), score_threshold=min(score, 1 - 1e-7), nms_iou=max(nms, 1e-7))
        return Faces(self.find(image, evaluation, side))


def check_settings(score: float, nms: float, side: int | None) -> None:
    """Refuse settings of ``Model.detect`` that are out of range.

    Raises:
        InputError: names the setting as the command does, what was given and what is accepted.
    """
    for name, value in (("score", score), ("nms", nms)):
        if not 0 <= value <= 1:
            raise InputError(f"--{name} lies in 0 … 1, got {value}")
    if side not in (None, 0) and not 32 <= side <= 8_192:
        raise InputError(f"--side is 0, or 32 to 8,192 pixels, got {side}")


def load(
    model: str | Path | None = None,
    *,
    arch: str | None = None,
    runs: str | Path = RUNS,
    device: str = "auto",
    threads: int = 0,
) -> Model:
    """Return a detector that is ready to run.

    >>> import harness
    >>> from harness.data.synthetic.generate import render_scene
    >>> faces = harness.load().detect(render_scene(0, "val", 0, 160).image)
    >>> faces.boxes.shape[1:], faces.scores.shape == (len(faces),), faces.landmarks.shape[1:]
    ((4,), True, (5, 2))

    Args:
        model: ``STUDY/best`` or ``STUDY/LABEL`` of a study in ``runs``, or of a published one in ``reports/``; the
            folder of a published report; a weights file; an ``.onnx`` file, which needs no PyTorch. By default the
            student that comes with the harness: trained on generated scenes, it misses faces in photographs.
        arch: architecture of a weights file that does not state it.
        runs: folder of studies.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``, which is CUDA where there is one; ONNX files refuse CUDA.
        threads: CPU threads; 0 takes one per core.

    Raises:
        InputError: there is no such model or device, or a package is missing.
        DataError: its file is missing or unreadable.
    """
    path = None if model is None else Path(model)
    if path is not None and path.suffix == ".onnx":
        from harness.deployment.session import OnnxDetector

        if arch is not None:
            raise InputError("an ONNX file holds its architecture: drop --arch")
        if device not in ("auto", "cpu"):
            raise InputError(f"an ONNX file runs on the CPU: drop --device {device}")
        return Model(str(path), OnnxDetector(path, threads).detect)
    torch = need("torch", "give an .onnx file as --model, or install this project")
    from harness.evaluation.inference import detect as run
    from harness.models.device import place, resolve_device
    from harness.models.fold import freeze
    from harness.models.named import find_model

    named, where = find_model(path, arch, Path(runs)), resolve_device(device)
    if threads:
        torch.set_num_threads(threads)
    network = named.load()
    freeze(network)
    place(network, where)
    return Model(named.name, lambda image, evaluation, side: run(network, image, evaluation, side))


def detect(
    picture: str | Path | Image, model: str | Path | None = None, *, score: float = SCORE, side: int | None = None
) -> Faces:
    """Return the faces of one picture; ``load`` the model once for several.

    >>> import harness
    >>> from harness.data.synthetic.generate import render_scene
    >>> [best] = harness.detect(render_scene(0, "val", 0, 160).image, score=0.5).to_list()[:1]
    >>> sorted(best), best["score"] > 0.5
    (['box', 'landmarks', 'score'], True)

    Args:
        picture, score, side: as in ``Model.detect``.
        model: as in ``load``.

    Raises:
        InputError, DataError: as ``load`` and ``Model.detect``.
    """
    return load(model).detect(picture, score=score, side=side)


def _read(path: Path) -> Image:
    try:
        return read_picture(path)
    except UnreadableError as error:
        raise DataError(f"{path} {error}") from error
