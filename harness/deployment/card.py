"""``Card``: what an exported file says about itself, as text in its metadata."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from harness.core.evaluation import EvalConfig
from harness.core.limits import LARGEST_SIDE
from harness.core.retinaface import MEAN
from harness.core.typed import built
from harness.errors import DataError

INPUT = "image"
OUTPUTS = ("boxes", "scores", "landmarks")

PREPROCESSING = (
    f"'{INPUT}': uint8 (1, H, W, 3), BGR, rows from the top. The mean is subtracted in the graph. A smaller picture is "
    f"padded at the bottom and right with B, G, R = {', '.join(f'{value:.0f}' for value in MEAN)}."
)
POSTPROCESSING = (
    "'boxes': (1, A, 4) x1, y1, x2, y2; 'scores': (1, A) face probabilities; 'landmarks': (1, A, 10) x, y of five "
    "points: left and right eye, nose, left and right corner of the mouth, as seen in the picture. Coordinates are in "
    "pixels of the input. Suppression is not in the graph: keep the max_candidates best boxes above a score threshold, "
    "then apply greedy NMS at nms_iou."
)


@dataclass(frozen=True)
class Card:
    """The description of an exported detector.

    Attributes:
        name: of the network: a trial, a file or an arch.
        arch: ``ArchConfig.to_dict()``.
        weights: digest of parameters and buffers.
        trained_on: name of the study whose images trained it; empty if the weights file does not say.
        size: side of the square input, pixels; 0 for an input of any size.
        quantized: ``int8``, or empty for float32.
        opset: version of ONNX's operators; 0 for PyTorch's format.
        evaluation: score threshold and limits of the suppression, as this project evaluates it.
        harness: version of this project.
        preprocessing: the format of the input; postprocessing: the outputs, and how they become faces.
    """

    name: str
    arch: dict[str, Any]
    weights: str
    trained_on: str
    size: int
    quantized: str
    opset: int
    harness: str
    evaluation: dict[str, Any] = field(default_factory=lambda: asdict(EvalConfig()))
    preprocessing: str = PREPROCESSING
    postprocessing: str = POSTPROCESSING

    def to_metadata(self) -> dict[str, str]:
        """Return key → text; values that are not text are JSON."""
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], file: str) -> "Card":
        """Read what ``to_metadata`` wrote.

        Raises:
            DataError: the metadata are not those of an export of this project; names ``file``.
        """
        try:
            values: dict[str, Any] = {
                entry.name: metadata[entry.name] if entry.type is str else json.loads(metadata[entry.name])
                for entry in fields(cls)
            }
            card = built(cls, values)
            if not 0 <= card.size <= LARGEST_SIDE:
                raise ValueError(f"size is {card.size}, not one of 0 to {LARGEST_SIDE:,} pixels")
            return card
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DataError(f"{file} is not a detector that `python -m harness.export` wrote: {error}") from error
