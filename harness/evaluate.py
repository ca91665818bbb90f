"""``python -m harness.evaluate``: the AP of prediction files, or of a network, by WIDER FACE's protocol.

A network's detections are saved in chunks of images under ``RUNS/predictions/`` until the AP has been printed, so that
the same command resumes an interrupted evaluation. With several sides, the network runs on each image at every side,
and one non-maximum suppression merges all candidates.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import cli
from harness.core.files import RUNS
from harness.core.limits import LARGEST_SIDE
from harness.core.numbers import integer
from harness.data.truth import load_ids
from harness.errors import InputError
from harness.evaluation.predictions import write_predictions
from harness.evaluation.run import Evaluation, evaluate_files, evaluate_named
from harness.reporting.evaluation import draw, text_of

EXAMPLES = """Prints AP on the easy, medium and hard lists, with its protocol.

examples:
  python -m harness.evaluate --predictions RESULTS.tar.gz --ground-truth WIDER/ground_truth
  python -m harness.evaluate --predictions RESULTS --ground-truth WIDER/ground_truth --images LIST.txt --plot pr.png
  python -m harness.evaluate --arch v2 --weights weights.safetensors --data PATH/TO/WIDERFACE --side 640
  python -m harness.evaluate --weights reports/default-v2_p5-synthetic/best.safetensors --data synthetic
  python -m harness.evaluate --trial default-v2_p5-synthetic/4 --data synthetic
  python -m harness.evaluate --arch v1 --weights weights.safetensors --data PATH/TO/WIDERFACE --side 640,1024,1600

Prediction files: one event/name.txt per image, with the image's name, the number of boxes, then one line
'x y w h score' per box, in pixels of the original image. The same command resumes a network's interrupted evaluation.
"""

SMALLEST_SIDE = 32


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate and print a table, or one JSON object with ``--json``."""
    given = _parser().parse_args(argv)
    _check(given)
    _check_outputs(given)
    found = _files(given) if given.predictions else _network(given)
    if given.write:
        write_predictions(given.write, found.ids, found.detections)
    if given.plot:
        cli.write_picture(draw(found), given.plot)
    if given.json:
        cli.emit(found.to_dict())
    else:
        print(text_of(found))
    if found.chunks:
        shutil.rmtree(found.chunks, ignore_errors=True)
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser(
        "harness.evaluate", "Evaluate AP on the easy, medium and hard lists by WIDER FACE's protocol.", EXAMPLES
    )
    files = parser.add_argument_group("prediction files")
    files.add_argument("--predictions", type=Path, metavar="PATH", help="folder or tar archive of event/name.txt files")
    files.add_argument(
        "--ground-truth", type=Path, metavar="DIR", help="folder of wider_{face,easy,medium,hard}_val.mat"
    )
    network = parser.add_argument_group("a network")
    network.add_argument(
        "--trial", metavar="STUDY/LABEL", help="a network of a study in --runs: the study's name, a slash, the trial"
    )
    network.add_argument(
        "--arch", metavar="NAME", help="architecture: v1, v2, featherface, … (default: what the weights file states)"
    )
    network.add_argument("--weights", type=Path, metavar="PATH", help="its weights, safetensors or PyTorch")
    network.add_argument(
        "--side",
        metavar="N[,N…]",
        help="resize the longest side to N pixels; 0 keeps the original size (default: 0); several: detections at all "
        "sizes, merged by one NMS",
    )
    network.add_argument("--limit", type=integer, metavar="N", help="use N validation images, drawn at random")
    network.add_argument("--write", type=Path, metavar="DIR", help="also write the detections as prediction files")
    cli.add(network, "--data", "--device", "--runs", default=None)  # None: the option was not given.
    parser.add_argument(
        "--images", type=Path, metavar="LIST", help="evaluate only these images: one line event/name.jpg per image"
    )
    cli.add(parser, "--plot", "--json")
    return parser


def _check(given: argparse.Namespace) -> None:
    """Refuse missing options and options that exclude each other, before anything is read."""
    files = {"--predictions": given.predictions, "--ground-truth": given.ground_truth}
    names = ("trial", "arch", "weights", "data", "side", "limit", "device")
    network = {f"--{name}": getattr(given, name) for name in names}
    network |= {"--write": given.write, "--runs": given.runs}
    here = [option for option, value in files.items() if value is not None]
    there = [option for option, value in network.items() if value is not None]
    if here and there:
        hint = " (--images LIST chooses among prediction files)" if there == ["--limit"] else ""
        raise InputError(f"{here[0]} scores prediction files and {there[0]} runs a network: give one of the two{hint}")
    named = ("--trial",) if given.trial is not None else ("--weights",)
    needed = (*named, "--data") if there else ("--predictions", "--ground-truth")
    missing = [option for option in needed if {**files, **network}[option] is None]
    if not here and not there:
        raise InputError(
            "nothing to evaluate: give --predictions and --ground-truth, or --trial and --data, or --weights and --data"
        )
    if given.trial is not None and (given.arch is not None or given.weights is not None):
        raise InputError("--trial names a network with its weights: drop --arch and --weights")
    if missing:
        raise InputError(f"{' and '.join(missing)} must be given with {(here or there)[0]}")
    if given.limit is not None and given.limit < 1:
        raise InputError(f"--limit must be at least 1 image, got {given.limit}")
    if given.limit is not None and given.images is not None:
        raise InputError("--limit and --images both choose images: give one of the two")


def _check_outputs(given: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written, before a prediction that may take hours."""
    cli.require_picture(given.plot)
    if given.write is not None:
        cli.require_writable("--write", given.write)
    if given.data:
        cli.require_writable("--runs", given.runs or RUNS)


def parse_sides(text: str) -> tuple[int, ...]:
    """Return the sides of ``--side``, pixels.

    Raises:
        InputError: one is not a whole number, is out of range, or is given twice.
    """
    accepted = f"0 for the original size, or {SMALLEST_SIDE} to {LARGEST_SIDE:,} pixels; several as 640,1024"
    try:
        sides = tuple(integer(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--side '{text}' is not a number of pixels: give {accepted}") from error
    for side in sides:
        if side != 0 and not SMALLEST_SIDE <= side <= LARGEST_SIDE:
            raise InputError(f"--side {side} is out of range: give {accepted}")
    if len(set(sides)) < len(sides):
        raise InputError(f"--side {text} gives a side twice")
    return sides


def _files(given: argparse.Namespace) -> Evaluation:
    return evaluate_files(given.predictions, given.ground_truth, load_ids(given.images) if given.images else None)


def _network(given: argparse.Namespace) -> Evaluation:
    # Imported only for networks: importing PyTorch takes longer than evaluating prediction files.
    from harness.models.device import resolve_device
    from harness.models.named import find_network

    sides, runs = parse_sides("0" if given.side is None else given.side), given.runs or RUNS
    device = str(resolve_device(given.device or "auto"))
    ids = load_ids(given.images) if given.images else None
    named = find_network(given.trial, given.arch, given.weights, runs)
    with cli.Progress() as progress:
        return evaluate_named(
            named,
            given.data,
            sides=sides,
            runs=runs,
            device=device,
            limit=given.limit,
            ids=ids,
            progress=progress.stage,
        )


if __name__ == "__main__":
    cli.run(main)
