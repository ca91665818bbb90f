"""``python -m harness.export``: write a detector as one file for ONNX Runtime or PyTorch, and check it.

The outputs are compared with the network's before the file is written. With ``--data``, AP and speed are compared too.
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import cli
from harness.core.numbers import integer
from harness.deployment.config import CALIBRATION, FORMATS, LARGEST, SMALLEST, ExportConfig
from harness.errors import InputError

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


def main(argv: Sequence[str] | None = None) -> int:
    """Export, compare and print a summary, or one JSON object with ``--json``."""
    given = _parser().parse_args(argv)
    size = parse_size(given.size)
    config = ExportConfig(given.format, size, given.quantize, given.data, given.limit, given.calibration)
    _check(given)

    # Imported here so that help and refused input answer at once.
    from harness.deployment.exporting import export_named
    from harness.models.named import find_network

    named = find_network(given.trial, given.arch, given.weights, given.runs)
    with cli.Progress() as progress:
        found = export_named(named, given.out, config, given.runs, progress.stage)
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
    if given.out is not None:
        if given.out.suffix != FORMATS[given.format]:
            raise InputError(f"--out must end in {FORMATS[given.format]}, got {given.out}")
        if given.out.is_dir():
            raise InputError(f"--out {given.out} is a folder: name a file")
    cli.require_writable(*(("--runs", given.runs) if given.out is None else ("--out", given.out.parent)))


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
