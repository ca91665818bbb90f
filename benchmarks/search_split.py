"""The number of search images for which the difference in mean AP of two networks has a standard error of one point.

    python benchmarks/search_split.py PATH/TO/WIDERFACE PATH/TO/BACKBONE --published PREDICTIONS.tar.gz

writes ``benchmarks/results/search_split.json``: for each number of images n, the standard error of the difference in
mean AP, in points. Several subsets of n images are drawn from a pool without replacement. For each subset, the paired
bootstrap of ``harness.evaluation.stats`` gives a standard error; the root of their mean square is reported. The number
of images for one point is computed from the error on the whole pool, which falls with the square root of n. The pairs
of networks are

- V2 and V1, and V2 and V2 with another seed, trained from one backbone without a teacher by the schedule of the
  ``default`` study, compared on synthetic search scenes;
- the same by the schedule of ``widerface_mini`` on some of its training images, compared on search images of a WIDER
  FACE copy;
- with ``--published`` and ``--weights``, the published detections and the network with these weights, compared on the
  copy's validation images.

It takes more than an hour on one core. Decoded images and trained networks are kept under ``--runs``.
"""

import argparse
import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.core.arch import ARCHS
from harness.core.names import load_study
from harness.core.protocol import DataConfig, EvalConfig, StudyConfig
from harness.data import load_split
from harness.data.faces import FaceSet, choose
from harness.data.truth import GroundTruth
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.inference import predict
from harness.evaluation.predictions import load_predictions
from harness.evaluation.stats import difference, resample
from harness.models.builder import build
from harness.models.weights import load_weights
from harness.training.job import Job
from harness.training.loop import train

ROOT = Path(__file__).parent.parent
POOLS = {"default": 1_200, "widerface_mini": 600}
"""Study → number of images on which its networks are compared."""

SIZES = (50, 100, 200, 300, 400, 600, 900, 1_200)
SUBSETS = 10
RESAMPLES = 500
TRAIN_IMAGES = 1_700
"""Number of WIDER FACE images for the short trainings."""

NETWORKS = {"v1": ("v1", 0), "v2": ("v2", 0), "v2 of another seed": ("v2", 1)}
PAIRS = (("v2", "v1"), ("v2", "v2 of another seed"))

Detections = list[NDArray[Any]]


def standard_errors(
    detections: dict[str, Detections], truth: GroundTruth, pairs: tuple[tuple[str, str], ...]
) -> dict[str, dict[int, float]]:
    """Return pair → n → standard error of the pair's difference in mean AP on n images, points."""
    errors: dict[str, dict[int, float]] = {f"{one} - {other}": {} for one, other in pairs}
    for size in (size for size in SIZES if size <= len(truth.ids)):
        squares: dict[str, list[float]] = {name: [] for name in errors}
        for subset in range(SUBSETS if size < len(truth.ids) else 1):
            rows = choose(len(truth.ids), size, subset).tolist()
            part = truth.pick(rows)
            sampled = {
                name: resample([found[row][:, :5] for row in rows], part, RESAMPLES)
                for name, found in detections.items()
            }
            for one, other in pairs:
                draws = difference(sampled[one], sampled[other]).draws["mean"]
                squares[f"{one} - {other}"].append(float(np.nanvar(draws, ddof=1)))
        for name, found in squares.items():
            errors[name][size] = round(100 * float(np.mean(found)) ** 0.5, 2)
    return errors


def report(detections: dict[str, Detections], truth: GroundTruth, pairs: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return the APs on the whole pool, the standard errors, and for each pair the n with an error of one point."""
    errors = standard_errors(detections, truth, pairs)
    aps = {name: evaluate_ap([f[:, :5] for f in found], truth).to_dict() for name, found in detections.items()}
    return {
        "images": len(truth.ids),
        "faces": truth.faces,
        "ap": {name: {k: None if v is None else round(100 * v, 1) for k, v in ap.items()} for name, ap in aps.items()},
        "standard_error_by_images": errors,
        "images_for_one_point": {name: round(max(error) * error[max(error)] ** 2) for name, error in errors.items()},
    }


def on_epoch(info: dict[str, Any]) -> bool:
    """Print the epoch's AP and never stop the training."""
    print(
        f"epoch {info['epoch']}: mean AP {info['ap'].get('mean')}, {info['seconds'] + info['evaluate_seconds']:.0f} s"
    )
    return True


def students(study: StudyConfig, data: DataConfig, backbone: Path, runs: Path) -> dict[str, Any]:
    """Train the networks on ``data`` and compare them on its search split."""
    cache = runs / "cache"
    faces = load_split(data, "search", cache)
    detections = {}
    for label, (arch, seed) in NETWORKS.items():
        folder = runs / "search_split" / f"{study.name}-{arch}-{seed}"
        job = Job(label, ARCHS[arch], seed, study.train, data, study.evaluation, folder, cache, init_backbone=backbone)
        if not (folder / "weights.safetensors").exists():
            train(job, on_epoch)
        detector = build(ARCHS[arch])
        load_weights(detector, folder / "weights.safetensors")
        detections[label] = predict(detector, faces, study.evaluation, data.eval_side, chunks=folder / faces.digest)
    schedule = {"training_images": data.train_images, "epochs": study.train.epochs, "batch": study.train.batch}
    return schedule | report(detections, faces.truth(), PAIRS)


def published(predictions: Path, faces: FaceSet, weights: Path, runs: Path) -> dict[str, Any]:
    """Compare published detections with those of the released FeatherFace on validation images."""
    detector = build(ARCHS["featherface"])
    load_weights(detector, weights)
    found: dict[str, Detections] = {
        "featherface": predict(detector, faces, EvalConfig(), 0, chunks=runs / "search_split" / "featherface"),
        "published": load_predictions(predictions, faces.ids),
    }
    return report(found, faces.truth(), (("featherface", "published"),))


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("widerface", type=Path)
    parser.add_argument("backbone", type=Path, help="weights file for the initial backbones")
    parser.add_argument("--published", type=Path, help="published detections for all validation images of the copy")
    parser.add_argument("--weights", type=Path, help="weights of the released FeatherFace")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of runs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    scenes, mini = load_study("default"), load_study("widerface_mini")
    generated = replace(scenes.data, search_images=POOLS["default"], val_images=1)
    copy = replace(mini.data, source=str(given.widerface), search_images=POOLS["widerface_mini"])
    result: dict[str, Any] = {
        "scenes": students(scenes, generated, given.backbone, given.runs),
        "widerface": students(mini, replace(copy, train_images=TRAIN_IMAGES, val_images=1), given.backbone, given.runs),
    }
    if given.published and given.weights:
        val = load_split(copy, "val", given.runs / "cache")
        result["published_detectors"] = published(given.published, val, given.weights, given.runs)
    result |= {
        "subsets": SUBSETS,
        "resamples": RESAMPLES,
        "machine": {"processor": platform.machine(), "torch": torch.__version__},
        "command": "python benchmarks/search_split.py PATH/TO/WIDERFACE PATH/TO/BACKBONE --published "
        "PREDICTIONS.tar.gz --weights FEATHERFACE.safetensors",
    }
    text = json.dumps(result, indent=1)
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "search_split.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
