"""``python -m harness.export``: write a detector as one file for ONNX Runtime or PyTorch, and check it.

The outputs are compared with the network's before the file is written. With ``--data``, AP and speed are compared too.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__, cli
from harness.core.data import DataConfig
from harness.core.evaluation import SpeedConfig
from harness.core.files import write_atomically
from harness.core.numbers import integer
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.data.faces import FaceSet
    from harness.detection.framing import Image
    from harness.models.detector import Detector
    from harness.models.named import Named

EXAMPLES = """Writes one file with the network, from pixels to decoded boxes, scores and landmarks; its metadata say how
to use it. `python -m harness.detect --model FILE.onnx` runs it without PyTorch. Exports need more packages:
pip install '.[export]'.

examples:
  python -m harness.export --trial default-v2_p5-synthetic/best
  python -m harness.export --weights reports/default-v2_p5-synthetic/best.safetensors --data synthetic
  python -m harness.export --arch v2 --weights weights.safetensors --size dynamic --out v2.onnx
  python -m harness.export --trial default-v2_p5-synthetic/best --quantize int8 --data PATH/TO/WIDERFACE
  python -m harness.export --trial default-v2_p5-synthetic/v1 --format torch_export --out v1.pt2

A network of fixed size sees pictures resized and padded to its square; --size dynamic takes pictures of any size, in
PyTorch's format with sides that are multiples of 32.
With --data, AP before and after is that of validation images, and FPS are those of ONNX Runtime, beside PyTorch's.
int8 quantises the backbone's second and third stage; training images of --data give the ranges of its activations.
"""

FORMATS = {"onnx": ".onnx", "torch_export": ".pt2"}
"""Format → suffix of the file."""

SMALLEST, LARGEST = 32, 4_096
CALIBRATION = 64
"""Training images that give the ranges of int8."""

DYNAMIC_SPEED = 640
"""Side at which a network of any size is timed, pixels."""


def main(argv: Sequence[str] | None = None) -> int:
    """Export, compare and print a summary, or one JSON object with ``--json``."""
    given = _parser().parse_args(argv)
    size = parse_size(given.size)
    _check(given)
    with cli.Progress() as progress:
        found = _export(given, size, progress)
    if given.json:
        cli.emit(found)
    else:
        print(text_of(found))
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser("harness.export", "Export a detector for ONNX Runtime or PyTorch, and check it.", EXAMPLES)
    network = parser.add_argument_group("the network")
    network.add_argument(
        "--trial", metavar="STUDY/LABEL", help="a network of a study in --runs, such as default-v2_p5-synthetic/best"
    )
    network.add_argument(
        "--arch", metavar="NAME", help="architecture: v1, v2, featherface, … (default: what the weights file states)"
    )
    network.add_argument(
        "--weights", type=Path, metavar="PATH", help="its weights; an --arch without weights has random ones"
    )
    file = parser.add_argument_group("the file")
    file.add_argument("--format", choices=FORMATS, default="onnx", help="(default: onnx)")
    file.add_argument(
        "--size", default="640", metavar="N|dynamic", help="side of the square input, or any size (default: 640)"
    )
    file.add_argument("--quantize", choices=("int8",), help="quantise the backbone's last stages; needs --data")
    file.add_argument("--out", type=Path, metavar="FILE", help="the file (default: RUNS/exports/NAME-SIZE.onnx)")
    checks = parser.add_argument_group("comparisons")
    cli.add(checks, "--data")
    checks.add_argument("--limit", type=integer, metavar="N", help="compare AP on N validation images, drawn at random")
    checks.add_argument(
        "--calibration", type=integer, metavar="N", help=f"training images for int8 (default: {CALIBRATION})"
    )
    cli.add(parser, "--runs", "--json")
    return parser


def parse_size(text: str) -> int:
    """Return the side of ``--size``, pixels; 0 for ``dynamic``.

    Raises:
        InputError: the text is neither ``dynamic`` nor a whole number in range.
    """
    if text == "dynamic":
        return 0
    with suppress(ValueError):
        if SMALLEST <= (size := integer(text)) <= LARGEST:
            return size
    raise InputError(f"--size is dynamic, or {SMALLEST} to {LARGEST:,} pixels, got '{text:.20}'")


def _check(given: argparse.Namespace) -> None:
    """Refuse missing options and options that exclude each other, before anything is read."""
    if given.trial is None and given.arch is None and given.weights is None:
        raise InputError("nothing to export: give --trial, --weights or --arch")
    if given.trial is not None and (given.arch is not None or given.weights is not None):
        raise InputError("--trial names a network with its weights: drop --arch and --weights")
    if given.quantize and given.format != "onnx":
        raise InputError("--quantize int8 is for --format onnx")
    if given.quantize and given.data is None:
        raise InputError("--quantize int8 is calibrated on training images: give --data, for example --data synthetic")
    if given.data is not None and given.format != "onnx":
        raise InputError("--data compares AP and speed in ONNX Runtime: give --format onnx, or drop --data")
    if given.limit is not None and given.data is None:
        raise InputError("--limit is for comparisons on images: give --data, for example --data synthetic")
    if given.calibration is not None and not given.quantize:
        raise InputError("--calibration is for --quantize int8")
    for option, images in (("limit", given.limit), ("calibration", given.calibration)):
        if images is not None and images < 1:
            raise InputError(f"--{option} must be at least 1 image, got {images}")
    if given.out is not None:
        if given.out.suffix != FORMATS[given.format]:
            raise InputError(f"--out must end in {FORMATS[given.format]}, got {given.out}")
        if given.out.is_dir():
            raise InputError(f"--out {given.out} is a folder: name a file")
    cli.require_writable(*(("--runs", given.runs) if given.out is None else ("--out", given.out.parent)))
    if given.format == "onnx":
        from harness.deployment.packages import EXPORT, need

        for package in ("onnx", "onnxscript", "onnxruntime"):
            need(package, EXPORT)


def _export(given: argparse.Namespace, size: int, progress: cli.Progress) -> dict[str, Any]:
    from harness.data import load_split
    from harness.models.named import find_network

    named = find_network(given.trial, given.arch, given.weights, given.runs)
    detector = named.load().eval()
    path = given.out or _default_path(given, named.name, size)
    faces = None
    if given.data is not None:
        count = given.limit or (DataConfig().val_images if given.data == "synthetic" else 0)
        config = DataConfig(source=given.data, val_images=count)
        faces = load_split(config, "val", given.runs / "cache", progress.stage)
    progress.stage("export", 0, 1)
    if given.format == "onnx":
        found = _onnx(given, named, detector, size, path, progress)
    else:
        found = _torch(named, detector, size, path)
    progress.stage("export", 1, 1)
    found = {
        "file": str(path),
        "format": given.format,
        "bytes": path.stat().st_size,
        "max_difference": max(found["differences"].values()),
        "network": named.name,
        "params": sum(parameter.numel() for parameter in detector.parameters()),
        "size": size or "dynamic",
        "quantized": given.quantize,
        **found,
    }
    return found if faces is None else found | _measured(detector, path, faces, size, progress)


def _default_path(given: argparse.Namespace, name: str, size: int) -> Path:
    stem = "-".join([name.replace("/", "-"), str(size or "dynamic"), *([given.quantize] if given.quantize else [])])
    folder: Path = given.runs / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{stem}{FORMATS[given.format]}"


def _onnx(
    given: argparse.Namespace, named: "Named", detector: "Detector", size: int, path: Path, progress: cli.Progress
) -> dict[str, Any]:
    from harness.deployment.card import Card
    from harness.deployment.compare import differences, expected
    from harness.deployment.graph import Deployed
    from harness.deployment.onnx_file import OPSET, finish, to_onnx
    from harness.deployment.quantize import PARTS, quantize
    from harness.deployment.session import outputs, session
    from harness.models.weights import state_digest

    model = to_onnx(Deployed(detector), size)
    if given.quantize:
        model = quantize(model, _calibration(given, size, progress))
    quantized = f"{given.quantize}: {', '.join(PARTS)}" if given.quantize else ""
    weights = state_digest(detector)
    card = Card(named.name, named.arch.to_dict(), weights, named.study, size, quantized, OPSET, __version__)
    content = finish(model, card)
    running = session(content, threads=1)
    found = differences(
        lambda image: outputs(running, image), expected(detector), _examples(size), exact=not given.quantize
    )
    write_atomically(path, content)
    return {"opset": OPSET, "differences": found}


def _torch(named: "Named", detector: "Detector", size: int, path: Path) -> dict[str, Any]:
    import torch

    from harness.deployment.card import PREPROCESSING, Card
    from harness.deployment.compare import differences, expected
    from harness.deployment.graph import Deployed
    from harness.deployment.torch_file import MULTIPLE, save_program, to_program
    from harness.models.weights import state_digest

    program = to_program(Deployed(detector, faster=False), size)
    run = program.module()

    def outputs(image: "Image") -> tuple[Any, ...]:
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
        __version__,
        preprocessing=PREPROCESSING + sides,
    )
    save_program(program, card, path)
    return {"opset": None, "differences": found}


def _examples(size: int, multiple: int = 1) -> "Iterator[Image]":
    """Yield noise and a generated scene, (1, H, W, 3), on which an export is compared with its network.

    Without a ``size``, the sides of the noise are odd, or multiples of ``multiple``.
    """
    import numpy as np

    from harness.data.synthetic.generate import render_scene

    height, width = (size, size) if size else (3 * multiple, 7 * multiple) if multiple > 1 else (97, 203)
    yield np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    yield render_scene(0, "val", 0, size or 160).image[None]


def _calibration(given: argparse.Namespace, size: int, progress: cli.Progress) -> "Iterator[Image]":
    """Yield training images, framed as the network will see pictures."""
    from harness.data import load_split
    from harness.detection.framing import frame, plan

    images = given.calibration or CALIBRATION
    faces = load_split(
        DataConfig(source=given.data, train_images=images), "train", given.runs / "cache", progress.stage
    )
    for index in faces.subset(images, 0).tolist():
        image = faces.image(index)
        yield frame([image], [plan(image.shape[0], image.shape[1], size, size or 1)])


def _measured(detector: "Detector", path: Path, faces: "FaceSet", size: int, progress: cli.Progress) -> dict[str, Any]:
    from harness.deployment.compare import aps, speeds
    from harness.deployment.session import OnnxDetector
    from harness.evaluation.protocol import ap_protocol

    exported = OnnxDetector(path, threads=1)
    side = size or DYNAMIC_SPEED
    return {
        "ap": aps(detector, exported, faces, progress.stage),
        "protocol": ap_protocol(faces, exported.evaluation(), size),
        "fps": speeds(detector, path.read_bytes(), side, SpeedConfig(size=side), progress.stage),
    }


def text_of(found: dict[str, Any]) -> str:
    """Return the summary that is printed without ``--json``."""
    parts = found["differences"]
    lines = [
        f"{found['file']}: {found['bytes']:,} bytes, {found['params']:,} parameters, input {found['size']}"
        + (f", ONNX opset {found['opset']}" if found["opset"] else "")
        + (f", {found['quantized']}" if found["quantized"] else ""),
        f"largest difference from PyTorch: boxes {parts['boxes']:.2g} px, landmarks {parts['landmarks']:.2g} px, "
        f"scores {parts['scores']:.2g}",
    ]
    if "ap" in found:
        for name, ap in found["ap"].items():
            shown = ", ".join(f"{key} {100 * value:.2f}" for key, value in ap.items() if value is not None)
            lines.append(f"AP {name}, %: {shown}")
        lines += [
            f"{threads} {'thread' if threads == '1' else 'threads'}: {speed['fps']:.1f} FPS, "
            f"{speed['ratio_to_eager']:.2f} × PyTorch, {speed['ratio_to_folded']:.2f} × PyTorch with folded BatchNorms"
            for threads, speed in found["fps"].items()
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
