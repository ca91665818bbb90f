"""``OnnxDetector``: runs an exported detector in ONNX Runtime. Needs no torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.evaluation import EvalConfig
from harness.deployment.card import INPUT, Card
from harness.deployment.packages import DETECT, EXPORT, need
from harness.detection.framing import Image, check_image, frame, plan, restore
from harness.detection.suppression import Detections, suppress
from harness.errors import DataError, first_line

Floats = NDArray[np.float32]


class OnnxDetector:
    """An exported detector.

    Args:
        path: the file that ``python -m harness.export`` wrote.
        threads: CPU threads; 0 leaves the choice to ONNX Runtime.

    Attributes:
        card: what the file says about itself.

    Raises:
        InputError: ONNX Runtime is not installed.
        DataError: the file is missing, no ONNX model, or not written by this project.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        runtime = need("onnxruntime", DETECT)
        self._path = path
        if not path.is_file():
            raise DataError(f"there is no file {path}")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # The error below is one line.
        try:
            self._session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            metadata = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # ONNX Runtime's exceptions have no other common class.
            raise DataError(f"{path} is not a readable ONNX model: {first_line(error)}") from error
        self.card = Card.from_metadata(metadata, str(path))

    def raw(self, image: Image) -> tuple[Floats, Floats, Floats]:
        """Return boxes (A, 4), scores (A,) and landmarks (A, 10) of (1, H, W, 3) uint8, BGR, in its pixels.

        Raises:
            DataError: the model cannot be run on the image, or has other outputs.
        """
        try:
            found = outputs(self._session, image)
        except Exception as error:  # As above.
            height, width = image.shape[1:3]
            raise DataError(f"{self._path} cannot be run on {width} × {height} pixels: {first_line(error)}") from error
        boxes, scores, landmarks = (output.shape for output in found)
        if (boxes, landmarks) != ((*scores, 4), (*scores, 10)) or len(scores) != 1:
            raise DataError(f"{self._path} gives {boxes}, {scores}, {landmarks}, not (A, 4), (A,), (A, 10)")
        return found

    def evaluation(self) -> EvalConfig:
        """Return this project's settings of an evaluation, with the padding that the network's size asks for."""
        usual = EvalConfig()
        return replace(usual, pad_multiple=self.card.size) if self.card.size else usual

    def detect(self, image: Image, evaluation: EvalConfig, side: int = 0) -> Detections:
        """Return the faces of one image, (k, 15) by descending score, in pixels of the image.

        Args:
            image: (H, W, 3) uint8, BGR, of any size.
            evaluation: threshold, NMS, limits and padding.
            side: longest side that the image is resized to first; 0 keeps its size. A network of fixed size has its
                own.

        Raises:
            DataError: ``image`` is not (H, W, 3) uint8.
        """
        check_image(image)
        size = self.card.size
        shape = plan(image.shape[0], image.shape[1], size or side, size or evaluation.pad_multiple)
        rows = select(*self.raw(frame([image], [shape])), evaluation)
        restore(rows, shape)
        return suppress(rows, evaluation)


def select(boxes: Floats, scores: Floats, landmarks: Floats, evaluation: EvalConfig) -> Detections:
    """Return the best ``max_candidates`` priors that score above the threshold, (k, 15), best first."""
    above = np.flatnonzero(scores > evaluation.score_threshold)
    best = above[np.argsort(-scores[above], kind="stable")[: evaluation.max_candidates]]
    return np.concatenate((boxes[best], scores[best, None], landmarks[best]), axis=1)


def session(model: bytes, threads: int) -> Any:
    """Return an ONNX Runtime session of a model in memory, for measurements."""
    runtime = need("onnxruntime", EXPORT)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def outputs(running: Any, image: Image) -> tuple[Floats, Floats, Floats]:
    """Return boxes (A, 4), scores (A,) and landmarks (A, 10) of a session for one image (1, H, W, 3)."""
    boxes, scores, landmarks = (output[0] for output in running.run(None, {INPUT: image}))
    return boxes, scores, landmarks
