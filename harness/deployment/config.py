"""``ExportConfig``: what an export is asked to be. Needs no torch."""

from dataclasses import dataclass
from pathlib import Path

from harness.deployment.packages import EXPORT, need
from harness.errors import InputError

FORMATS = {"onnx": ".onnx", "torch_export": ".pt2"}
"""Format → suffix of the file."""

SMALLEST, LARGEST = 32, 4_096
"""Sides of a fixed input, pixels."""

CALIBRATION = 64
"""Training images that give the ranges of int8, unless another number is given."""


@dataclass(frozen=True)
class ExportConfig:
    """What is written, and what it is compared on.

    Attributes:
        format: one of ``FORMATS``.
        size: side of the square input, pixels; 0 for pictures of any size.
        quantize: ``int8`` quantises the backbone's last stages; None leaves float32.
        data: ``synthetic`` or the folder of a WIDER FACE copy: AP and speed are compared, and int8 is calibrated on its
            training images; None compares outputs alone.
        limit: compare AP on this number of validation images, drawn at random.
        calibration: number of training images for int8; None is ``CALIBRATION``.

    Raises:
        InputError: a value is not accepted, or two exclude each other; the message calls them as the command does.
    """

    format: str = "onnx"
    size: int = 640
    quantize: str | None = None
    data: str | None = None
    limit: int | None = None
    calibration: int | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"--format is one of {', '.join(FORMATS)}, got '{self.format}'")
        if self.size != 0 and not SMALLEST <= self.size <= LARGEST:
            raise InputError(f"--size is 0 for any size, or {SMALLEST} to {LARGEST:,} pixels, got {self.size}")
        if self.quantize not in (None, "int8"):
            raise InputError(f"--quantize is int8, got '{self.quantize}'")
        if self.quantize and self.format != "onnx":
            raise InputError("--quantize int8 is for --format onnx")
        if self.quantize and self.data is None:
            raise InputError(
                "--quantize int8 is calibrated on training images: give --data, for example --data synthetic"
            )
        if self.data is not None and self.format != "onnx":
            raise InputError("--data compares AP and speed in ONNX Runtime: give --format onnx, or drop --data")
        if self.limit is not None and self.data is None:
            raise InputError("--limit is for comparisons on images: give --data, for example --data synthetic")
        if self.calibration is not None and not self.quantize:
            raise InputError("--calibration is for --quantize int8")
        for option, images in (("limit", self.limit), ("calibration", self.calibration)):
            if images is not None and images < 1:
                raise InputError(f"--{option} must be at least 1 image, got {images}")
        if self.format == "onnx":
            for package in ("onnx", "onnxscript", "onnxruntime"):
                need(package, EXPORT)

    def path(self, name: str, runs: Path) -> Path:
        """Return the default file of a network called ``name``, below ``runs``."""
        stem = "-".join(filter(None, [name.replace("/", "-"), str(self.size or "dynamic"), self.quantize]))
        return runs / "exports" / f"{stem}{FORMATS[self.format]}"
