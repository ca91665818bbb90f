"""Settings of measurements: inference for an AP, and speed."""

from dataclasses import dataclass

from harness.core.limits import require, require_bounded


@dataclass(frozen=True)
class EvalConfig:
    """Inference settings; part of every AP's protocol.

    Attributes:
        score_threshold: only detections with a higher score are kept.
        nms_iou: IoU above which the lower-scoring of two boxes is suppressed.
        max_candidates: number of highest-scoring boxes per image that enter NMS.
        max_detections: largest number of boxes kept per image.
        pad_multiple: the image is padded at the bottom and right to a multiple of this; 1 does not pad.
    """

    score_threshold: float = 0.02
    nms_iou: float = 0.4
    max_candidates: int = 5_000
    max_detections: int = 750
    pad_multiple: int = 1

    def __post_init__(self) -> None:
        require(0 <= self.score_threshold < 1, f"score_threshold lies in [0, 1), got {self.score_threshold}")
        require(0 < self.nms_iou <= 1, f"nms_iou lies in (0, 1], got {self.nms_iou}")
        require(
            min(self.max_candidates, self.max_detections, self.pad_multiple) >= 1,
            "max_candidates, max_detections and pad_multiple must be at least 1",
        )


@dataclass(frozen=True)
class SpeedConfig:
    """FPS measurement: batch 1 at ``size`` × ``size`` pixels, with alternating runs of the candidate and V1."""

    size: int = 640
    runs: int = 20
    warmup: int = 3

    def __post_init__(self) -> None:
        require_bounded(self)
        require(self.size >= 32, f"speed size must be at least 32 pixels, got {self.size}")
        require(self.runs >= 3 and self.warmup >= 0, "speed needs at least 3 runs and no negative warm-up")
