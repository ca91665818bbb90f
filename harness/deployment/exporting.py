"""``export``: writes a detector as one file for ONNX Runtime or PyTorch, compared with it before it is written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import harness
from harness.core.data import DataConfig
from harness.core.evaluation import SpeedConfig
from harness.core.files import RUNS, write_atomically
from harness.data import load_split
from harness.data.decode import Progress
from harness.data.faces import FaceSet
from harness.data.synthetic.generate import render_scene
from harness.deployment.card import PREPROCESSING, Card
from harness.deployment.compare import aps, differences, expected, speeds
from harness.deployment.config import CALIBRATION, ExportConfig
from harness.deployment.graph import Deployed
from harness.deployment.session import OnnxDetector, outputs, session
from harness.deployment.torch_file import MULTIPLE, save_program, to_program
from harness.detection.framing import Image, frame, plan
from harness.evaluation.protocol import ap_protocol
from harness.models.detector import Detector
from harness.models.named import Named, find_model
from harness.models.weights import state_digest

DYNAMIC_SPEED = 640
"""Side at which a network of any size is timed, pixels."""


def export(
    model: str | Path | None = None,
    out: str | Path | None = None,
    *,
    arch: str | None = None,
    format: str = "onnx",
    size: int = 640,
    quantize: str | None = None,
    data: str | None = None,
    limit: int | None = None,
    calibration: int | None = None,
    runs: str | Path = RUNS,
) -> dict[str, Any]:
    """Write a detector as one file, from uint8 pixels to decoded boxes, scores and landmarks; return what was compared.

    >>> import harness, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = harness.export(out=f"{folder}/student.pt2", format="torch_export", size=64)
    >>> written["params"], written["size"], written["max_difference"] < 0.01
    (249550, 64, True)

    Args:
        model: a network as for ``harness.load``; not an ONNX file.
        out: the file; by default below ``runs``.
        arch: architecture of a weights file that does not state it.
        format, size, quantize, data, limit, calibration: as ``ExportConfig`` has them.
        runs: folder of studies, exports and the cache of images.

    Returns:
        ``file``, ``bytes``, ``max_difference`` and more; ``ap`` and ``fps`` where ``data`` is given.

    Raises:
        InputError: an argument is not accepted, or a package is missing.
        DataError: weights or images are missing or unreadable.
        HarnessError: the export computes something else; nothing was written.
    """
    config = ExportConfig(format, size, quantize, data, limit, calibration)
    return export_named(find_model(model, arch, Path(runs)), None if out is None else Path(out), config, Path(runs))


def export_named(
    named: Named, out: Path | None, config: ExportConfig, runs: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Write a network as ``export`` does; ``progress`` is called with what is done, how much of it, and the total."""
    show = progress or (lambda *_: None)
    detector = named.load().eval()
    path = out or config.path(named.name, runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    faces = None
    if config.data is not None:
        count = config.limit or (DataConfig().val_images if config.data == "synthetic" else 0)
        faces = load_split(DataConfig(source=config.data, val_images=count), "val", runs / "cache", show)
    show("export", 0, 1)
    if config.format == "onnx":
        found = _onnx(named, detector, config, path, runs, show)
    else:
        found = _torch(named, detector, config.size, path)
    show("export", 1, 1)
    found = {
        "file": str(path),
        "format": config.format,
        "bytes": path.stat().st_size,
        "max_difference": max(found["differences"].values()),
        "network": named.name,
        "params": sum(parameter.numel() for parameter in detector.parameters()),
        "size": config.size or "dynamic",
        "quantized": config.quantize,
        **found,
    }
    return found if faces is None else found | _measured(detector, path, faces, config.size, show)


def _onnx(
    named: Named, detector: Detector, config: ExportConfig, path: Path, runs: Path, progress: Progress
) -> dict[str, Any]:
    from harness.deployment.onnx_file import OPSET, finish, to_onnx
    from harness.deployment.quantize import PARTS, quantize

    size = config.size
    model = to_onnx(Deployed(detector), size)
    if config.quantize:
        model = quantize(model, _calibration(config, runs, progress))
    quantized = f"{config.quantize}: {', '.join(PARTS)}" if config.quantize else ""
    weights = state_digest(detector)
    card = Card(named.name, named.arch.to_dict(), weights, named.study, size, quantized, OPSET, harness.__version__)
    content = finish(model, card)
    running = session(content, threads=1)
    found = differences(
        lambda image: outputs(running, image), expected(detector), _examples(size), exact=not config.quantize
    )
    write_atomically(path, content)
    return {"opset": OPSET, "differences": found}


def _torch(named: Named, detector: Detector, size: int, path: Path) -> dict[str, Any]:
    program = to_program(Deployed(detector, faster=False), size)
    run = program.module()

    def outputs(image: Image) -> tuple[Any, ...]:
        with torch.inference_mode():
            return tuple(part[0].numpy() for part in run(torch.from_numpy(image)))

    sides = "" if size else f" H and W are multiples of {MULTIPLE}."
    found = differences(outputs, expected(detector), _examples(size, MULTIPLE), exact=True)
    card = Card(
        named.name,
        named.arch.to_dict(),
        state_digest(detector),
        named.study,
        size,
        "",
        0,
        harness.__version__,
        preprocessing=PREPROCESSING + sides,
    )
    save_program(program, card, path)
    return {"opset": None, "differences": found}


def _examples(size: int, multiple: int = 1) -> Iterator[Image]:
    """Yield noise and a generated scene, (1, H, W, 3), on which an export is compared with its network.

    Without a ``size``, the sides of the noise are odd, or multiples of ``multiple``.
    """
    height, width = (size, size) if size else (3 * multiple, 7 * multiple) if multiple > 1 else (97, 203)
    yield np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    yield render_scene(0, "val", 0, size or 160).image[None]


def _calibration(config: ExportConfig, runs: Path, progress: Progress) -> Iterator[Image]:
    """Yield training images, framed as the network will see pictures."""
    assert config.data is not None
    images = config.calibration or CALIBRATION
    faces = load_split(DataConfig(source=config.data, train_images=images), "train", runs / "cache", progress)
    for index in faces.subset(images, 0).tolist():
        image = faces.image(index)
        yield frame([image], [plan(image.shape[0], image.shape[1], config.size, config.size or 1)])


def _measured(detector: Detector, path: Path, faces: FaceSet, size: int, progress: Progress) -> dict[str, Any]:
    exported = OnnxDetector(path, threads=1)
    side = size or DYNAMIC_SPEED
    return {
        "ap": aps(detector, exported, faces, progress),
        "protocol": ap_protocol(faces, exported.evaluation(), size),
        "fps": speeds(detector, path.read_bytes(), side, SpeedConfig(size=side), progress),
    }
