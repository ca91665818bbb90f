"""``python -m harness.evaluate``: the AP of prediction files, or of a network, by WIDER FACE's protocol.

A network's detections are kept under ``RUNS/predictions/`` while they are made, a chunk of images at a time, so that
the same command goes on where it was stopped; they are removed when the AP has been printed. With several ``--side``
each image is seen at every one of them, and one suppression of all candidates together follows.
"""

import argparse
import hashlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import harness
from harness import cli
from harness.core.arch import ArchConfig
from harness.core.protocol import DataConfig, EvalConfig, digest
from harness.core.record import TrialRecord, find_trial
from harness.data.truth import LISTS, GroundTruth, load_ground_truth, load_ids
from harness.errors import InputError
from harness.evaluation.ap import EVALUATOR_VERSION, IOU_THRESHOLD, THRESHOLDS, APResult, evaluate_ap
from harness.evaluation.predictions import load_predictions, write_predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from harness.data.faces import FaceSet

EXAMPLES = """examples:
  python -m harness.evaluate --predictions RESULTS.tar.gz --ground-truth WIDER/ground_truth
  python -m harness.evaluate --predictions RESULTS --ground-truth WIDER/ground_truth --images LIST.txt --plot pr.png
  python -m harness.evaluate --arch v2 --weights weights.safetensors --data PATH/TO/WIDERFACE --side 640
  python -m harness.evaluate --trial default/4 --data synthetic
  python -m harness.evaluate --arch v1 --weights weights.safetensors --data PATH/TO/WIDERFACE --side 640,1024,1600

Prediction files: event/name.txt an image, holding the image's name, the number of boxes, then 'x y w h score' a line,
in pixels of the untouched image. A network's interrupted run goes on when the same command runs again.
"""

PICTURES = (".png", ".svg", ".pdf")
TITLE_LETTERS = 60
SMALLEST_SIDE, LARGEST_SIDE = 32, 8_192


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a name, its detections, the truth, what it was measured by, and what else is known of it.

    ``kept`` is where the detections lie until they have been scored.
    """

    name: str
    detections: Sequence[NDArray[Any]]
    truth: GroundTruth
    protocol: dict[str, Any]
    more: dict[str, Any]
    kept: Path | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate and print a table, or one JSON object with ``--json``."""
    parser = cli.Parser("harness.evaluate", "AP on easy, medium and hard by WIDER FACE's protocol.", EXAMPLES)
    files = parser.add_argument_group("prediction files")
    files.add_argument("--predictions", type=Path, metavar="PATH", help="folder or tar archive of event/name.txt files")
    files.add_argument(
        "--ground-truth", type=Path, metavar="DIR", help="folder of wider_{face,easy,medium,hard}_val.mat"
    )
    network = parser.add_argument_group("a network")
    network.add_argument("--trial", metavar="STUDY/LABEL", help="a network of a study in --runs, as in default/7")
    network.add_argument("--arch", metavar="NAME", help="architecture: v1, v2, featherface, …")
    network.add_argument("--weights", type=Path, metavar="PATH", help="its weights, safetensors or PyTorch")
    network.add_argument("--data", metavar="PATH", help="'synthetic' or the folder of a WIDER FACE copy")
    network.add_argument(
        "--side",
        metavar="N[,N…]",
        help="resize the longest side to N pixels, 0 keeps the original size (0); several: detections at all of them, "
        "merged by one suppression",
    )
    network.add_argument("--limit", type=int, metavar="N", help="use N validation images, drawn at random")
    network.add_argument("--device", help="cpu, cuda or cuda:N (cpu)")
    network.add_argument("--write", type=Path, metavar="DIR", help="also write the detections as prediction files")
    network.add_argument("--runs", type=Path, metavar="DIR", help="for decoded images and unfinished runs (runs)")
    parser.add_argument("--images", type=Path, metavar="LIST", help="evaluate these only, one event/name.jpg a line")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw precision against recall to a png, svg or pdf")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    given = parser.parse_args(argv)
    _check(given)
    _check_outputs(given)
    subject = _score_files(given) if given.predictions else _run_network(given)
    started = time.perf_counter()
    result = evaluate_ap(subject.detections, subject.truth)
    seconds = time.perf_counter() - started
    if given.write:
        write_predictions(given.write, subject.truth.ids, subject.detections)
    if given.plot:
        draw(result, subject.name).savefig(given.plot, dpi=150)
    if given.json:
        size = {"images": result.images, "faces": result.faces, "listed": result.listed}
        cli.emit({**result.to_dict(), **size, "seconds": seconds, "protocol": subject.protocol, **subject.more})
    else:
        _print(result, subject, seconds)
    if subject.kept:
        shutil.rmtree(subject.kept, ignore_errors=True)
    return 0


def _check(given: argparse.Namespace) -> None:
    """Refuse options that are missing or do not go together, before anything is read."""
    files = {"--predictions": given.predictions, "--ground-truth": given.ground_truth}
    names = ("trial", "arch", "weights", "data", "side", "limit", "device")
    network = {f"--{name}": getattr(given, name) for name in names}
    network |= {"--write": given.write, "--runs": given.runs}
    here = [option for option, value in files.items() if value is not None]
    there = [option for option, value in network.items() if value is not None]
    if here and there:
        hint = " (--images LIST chooses among prediction files)" if there == ["--limit"] else ""
        raise InputError(f"{here[0]} scores prediction files and {there[0]} runs a network: give one of the two{hint}")
    named = ("--trial",) if given.trial is not None else ("--arch", "--weights")
    needed = (*named, "--data") if there else ("--predictions", "--ground-truth")
    missing = [option for option in needed if {**files, **network}[option] is None]
    if not here and not there:
        raise InputError("nothing to evaluate: give --predictions and --ground-truth, or --arch, --weights and --data")
    if given.trial is not None and (given.arch is not None or given.weights is not None):
        raise InputError("--trial names a network with its weights: drop --arch and --weights")
    if missing:
        raise InputError(f"{' and '.join(missing)} must be given with {(here or there)[0]}")
    if given.limit is not None and given.limit < 1:
        raise InputError(f"--limit must be at least 1 image, got {given.limit}")
    if given.limit is not None and given.images is not None:
        raise InputError("--limit and --images both choose images: give one of the two")
    if given.plot and given.plot.suffix not in PICTURES:
        raise InputError(f"--plot writes {', '.join(PICTURES)}, not '{given.plot.name}'")


def _check_outputs(given: argparse.Namespace) -> None:
    """Refuse places that cannot be written now, and not after hours of prediction."""
    folders = {"--write": given.write, "--plot": given.plot.parent if given.plot else None}
    if given.data:
        folders["--runs"] = given.runs or cli.RUNS
    for option, folder in folders.items():
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                raise InputError(f"{option}: {folder} is no folder that can be written ({error.strerror})") from error
    if given.plot and given.plot.is_dir():
        raise InputError(f"--plot {given.plot} is a folder: name a file")


def parse_sides(text: str) -> tuple[int, ...]:
    """Return the sides of ``--side``, pixels.

    Raises:
        InputError: one is no whole number, is out of range, or stands twice.
    """
    accepted = f"0 for the original size, or {SMALLEST_SIDE} to {LARGEST_SIDE:,} pixels; several as 640,1024"
    try:
        sides = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--side '{text}' is no number of pixels: give {accepted}") from error
    for side in sides:
        if side != 0 and not SMALLEST_SIDE <= side <= LARGEST_SIDE:
            raise InputError(f"--side {side} is out of range: give {accepted}")
    if len(set(sides)) < len(sides):
        raise InputError(f"--side {text} names a size twice")
    return sides


def _score_files(given: argparse.Namespace) -> Subject:
    started = time.perf_counter()
    ids = load_ids(given.images) if given.images else None
    truth = load_ground_truth(given.ground_truth, ids)
    detections = load_predictions(given.predictions, truth.ids)
    protocol = {
        "images": len(truth.ids),
        "faces": truth.faces,
        "val_digest": truth_digest(truth),
        "detections": "as given",
        "iou": IOU_THRESHOLD,
        "thresholds": THRESHOLDS,
        "evaluator": EVALUATOR_VERSION,
    }
    more = {"predictions": str(given.predictions), "read_seconds": time.perf_counter() - started}
    return Subject(given.predictions.name, detections, truth, {**protocol, "digest": digest(protocol)}, more)


def truth_digest(truth: GroundTruth) -> str:
    """Return 16 hex digits of a ground truth: names, boxes and lists, in order."""
    found = hashlib.sha256("\n".join(truth.ids).encode())
    for boxes in truth.boxes:
        found.update(np.ascontiguousarray(boxes, dtype=np.float64).tobytes())
    for name in LISTS:
        found.update(np.concatenate([np.zeros(0, dtype=np.bool_), *truth.keep[name]]).tobytes())
    return found.hexdigest()[:16]


def _run_network(given: argparse.Namespace) -> Subject:
    # Scoring files needs none of these, and importing PyTorch takes longer than it.
    from harness.data import load_split
    from harness.evaluation.inference import ap_protocol, landmark_error, predict
    from harness.models.builder import build
    from harness.models.weights import load_weights, state_digest
    from harness.training.loop import resolve_device

    sides, evaluation, runs = (
        parse_sides("0" if given.side is None else given.side),
        EvalConfig(),
        given.runs or cli.RUNS,
    )
    device = resolve_device(given.device or "cpu")
    ids = load_ids(given.images) if given.images else None
    count = given.limit or (DataConfig().val_images if given.data == "synthetic" else 0)
    name, arch, weights = _network(given, runs)
    detector = build(arch)
    load_weights(detector, weights)
    detector.to(device)
    with cli.progress() as report:
        faces = load_split(DataConfig(source=given.data, val_images=count), "val", runs / "cache", report)
        indices = np.arange(len(faces)) if ids is None else _indices(faces, ids, given.images)
        protocol = ap_protocol(faces, evaluation, sides, indices)
        settings = {"arch": arch.to_dict(), "weights": state_digest(detector), "device": str(device)}
        kept = runs / "predictions" / digest({**settings, "protocol": protocol, "harness": harness.__version__})
        started = time.perf_counter()
        detections = predict(
            detector,
            faces,
            evaluation,
            sides,
            indices,
            device=str(device),
            progress=lambda done, total: report("detect", done, total),
            kept=kept,
        )
        seconds = time.perf_counter() - started
    more = {
        "arch": name,
        "weights": str(weights),
        "predict_seconds": seconds,
        "landmark": landmark_error(detections, faces, indices),
    }
    return Subject(name, detections, faces.truth().pick(indices.tolist()), protocol, more, kept)


def _network(given: argparse.Namespace, runs: Path) -> tuple[str, ArchConfig, Path]:
    """Return name, architecture and weights of what is to be run."""
    from harness.models.builder import resolve_arch

    if given.trial is None:
        return given.arch, resolve_arch(given.arch), given.weights
    folder = find_trial(given.trial, runs)
    return given.trial, ArchConfig.from_dict(TrialRecord.load(folder).arch), folder / "weights.safetensors"


def _indices(faces: "FaceSet", ids: Sequence[str], path: Path) -> NDArray[np.int64]:
    row = {name: index for index, name in enumerate(faces.ids)}
    unknown = [name for name in ids if name not in row]
    if unknown:
        raise InputError(
            f"--images {path} names {len(unknown):,} images that {faces.name} does not hold, the first is {unknown[0]}"
        )
    return np.array(sorted(row[name] for name in ids), dtype=np.int64)


def draw(result: APResult, title: str) -> "Figure":
    """Return a picture of precision against recall: one curve a list, its AP and its number of faces in the legend."""
    from matplotlib.figure import Figure

    from harness.reporting.style import BLUE, GREEN, VERMILLION

    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.subplots()
    for name, colour in zip(LISTS, (BLUE, GREEN, VERMILLION), strict=True):
        value = getattr(result, name)
        if value is None:
            axes.plot([], [], color=colour, label=f"{name}\nno face listed")
        else:
            precision, recall = result.curves[name]
            label = f"{name}\nAP {100 * value:.2f} %\n{result.listed[name]:,} faces"
            # The area counts from recall 0, at the precision of the highest threshold.
            axes.plot([0.0, *recall], [precision[0], *precision], color=colour, linewidth=1.8, label=label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    shown = title if len(title) <= TITLE_LETTERS else f"…{title[1 - TITLE_LETTERS :]}"
    axes.set_title(f"{shown}\n{result.images:,} images, {result.faces:,} faces", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=len(LISTS), frameon=False, handlelength=1.4)
    return figure


def _print(result: APResult, subject: Subject, seconds: float) -> None:
    cells = {name: "–" if value is None else f"{100 * value:.2f}" for name, value in result.to_dict().items()}
    print(subject.name)
    print(f"{'':8}" + "".join(f"{name:>9}" for name in cells))
    print(f"{'AP, %':8}" + "".join(f"{text:>9}" for text in cells.values()))
    print(f"{'faces':8}" + "".join(f"{count:>9,}" for count in result.listed.values()))
    if subject.more.get("landmark"):
        error = subject.more["landmark"]
        print(
            f"landmarks: mean error {100 * error['nme']:.2f} % of the distance between the eyes, "
            f"{100 * error['failure_rate']:.2f} % above 10 %, on {error['matched']:,.0f} matched faces"
        )
    print("protocol: " + ", ".join(f"{key} {_plain(value)}" for key, value in subject.protocol.items()))
    print(f"evaluated in {seconds:.2f} s")


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " + ".join(map(_plain, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    cli.run(main)
