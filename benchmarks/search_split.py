"""The number of search images for which the difference in mean AP of two networks has a standard error of one point.

    python benchmarks/search_split.py default-v2_p5-synthetic widerface_mini

reads finished studies with V1 and several trainings of V2 from ``--runs``, and writes
``benchmarks/results/search_split.json``: for each study and each number of images n, the standard error of the
difference in mean AP, in points, of V2 and V1, and of two trainings of V2. Several subsets of n images are drawn
without replacement from the study's search split, which has 1,200 scenes here if it consists of scenes. For each
subset, the paired bootstrap of ``harness.evaluation.stats`` gives a standard error; the root of their mean square is
reported. The number of images for one point is computed from the error on the whole split, which falls with the square
root of n.

With ``--published`` and ``--weights``, the published detections and the released FeatherFace with these weights are
compared likewise, on the validation images of ``--data``.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness import cli
from harness.core.arch import ARCHS, ArchConfig
from harness.core.evaluation import EvalConfig
from harness.core.names import load_study
from harness.core.provenance import provenance
from harness.core.record import TrialRecord
from harness.data import load_split
from harness.data.faces import FaceSet, choose
from harness.data.truth import GroundTruth
from harness.errors import InputError
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.inference import predict
from harness.evaluation.predictions import load_predictions
from harness.evaluation.stats import difference, resample
from harness.models.builder import build
from harness.models.weights import load_weights
from harness.reporting.study.data import StudyData, find_study, load

RESULT = Path(__file__).parent / "results" / "search_split.json"
SCENES = 1_200
SIZES = (50, 100, 200, 300, 400, 600, 900, 1_200)
SUBSETS = 10
RESAMPLES = 500
PAIRS = (("v2", "v1"), ("v2", "v2-s2"))

Detections = list[NDArray[Any]]
Pairs = Sequence[tuple[str, str]]


def standard_errors(detections: Mapping[str, Detections], truth: GroundTruth, pairs: Pairs) -> dict[str, Any]:
    """Return pair → n → standard error of the pair's difference in mean AP on n images, points."""
    errors: dict[str, dict[int, float]] = {f"{one} - {other}": {} for one, other in pairs}
    for size in dict.fromkeys(min(size, len(truth.ids)) for size in SIZES):
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


def compared(detections: Mapping[str, Detections], truth: GroundTruth, pairs: Pairs) -> dict[str, Any]:
    """Return the APs on all images, the standard errors, and for each pair the n with an error of one point."""
    errors = standard_errors(detections, truth, pairs)
    aps = {name: evaluate_ap([f[:, :5] for f in found], truth).to_dict() for name, found in detections.items()}
    return {
        "images": len(truth.ids),
        "faces": truth.faces,
        "ap": {name: {k: None if v is None else round(100 * v, 1) for k, v in ap.items()} for name, ap in aps.items()},
        "standard_error_by_images": errors,
        "images_for_one_point": {name: round(max(error) * error[max(error)] ** 2) for name, error in errors.items()},
    }


def of_study(study: StudyData, runs: Path, progress: cli.Progress) -> dict[str, Any]:
    """Return how far the networks of a study can be told apart on its search split."""
    config = study.study.config
    data = replace(config.data, search_images=SCENES) if study.synthetic else config.data
    faces = load_split(data, "search", runs / "cache", progress.stage)
    detections = {
        record.label: detected(record, study, faces, config.evaluation, data.eval_side, progress)
        for record in (_complete(study, label) for label in dict.fromkeys(label for pair in PAIRS for label in pair))
    }
    trained = {"epochs": config.train.epochs, "training_images": study.study.data["train"].images}
    return trained | compared(detections, faces.truth(), PAIRS)


def detected(
    record: TrialRecord, study: StudyData, faces: FaceSet, evaluation: EvalConfig, side: int, progress: cli.Progress
) -> Detections:
    """Return the detections of a study's network."""
    detector = build(ArchConfig.from_dict(record.arch))
    load_weights(detector, study.folder / "trials" / record.label / "weights.safetensors")
    what = f"{study.study.name}, detections of {record.label}"
    return predict(detector, faces, evaluation, side, progress=lambda done, total: progress.stage(what, done, total))


def _complete(study: StudyData, label: str) -> TrialRecord:
    record = study.named(label)
    if record is None or record.state != "complete":
        raise InputError(f"study '{study.study.name}' has no complete training {label}: run it with --seeds 2")
    return record


def published(predictions: Path, weights: Path, source: Path, runs: Path, progress: cli.Progress) -> dict[str, Any]:
    """Return how far published detections and the released FeatherFace can be told apart on validation images."""
    data = replace(load_study("widerface_mini").data, source=str(source))
    faces = load_split(data, "val", runs / "cache", progress.stage)
    detector = build(ARCHS["featherface"])
    load_weights(detector, weights)
    found: dict[str, Detections] = {
        "featherface": predict(
            detector, faces, EvalConfig(), 0, progress=lambda done, of: progress.stage("featherface", done, of)
        ),
        "published": load_predictions(predictions, faces.ids),
    }
    return compared(found, faces.truth(), [("featherface", "published")])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="names of finished studies")
    parser.add_argument("--data", type=Path, help="folder of a WIDER FACE copy")
    parser.add_argument("--published", type=Path, help="published detections for all validation images of the copy")
    parser.add_argument("--weights", type=Path, help="weights of the released FeatherFace")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the result (%(default)s)")
    given = parser.parse_args(argv)
    detectors = (given.data, given.published, given.weights)
    if any(detectors) and not all(detectors):
        parser.error("--data, --published and --weights belong together")
    torch.set_num_threads(1)
    studies = [load(find_study(name, given.runs)) for name in given.studies]
    origin = provenance()
    command = f"python benchmarks/search_split.py {' '.join(given.studies)}"
    with cli.Progress() as progress:
        result: dict[str, Any] = {study.study.name: of_study(study, given.runs, progress) for study in studies}
        if all(detectors):
            result["published"] = published(given.published, given.weights, given.data, given.runs, progress)
            command += " --data PATH/TO/WIDERFACE --published PREDICTIONS.tar.gz --weights FEATHERFACE.safetensors"
    result |= {
        "subsets": SUBSETS,
        "resamples": RESAMPLES,
        "versions": origin.versions,
        "machine": origin.machine,
        "commit": origin.commit,
        "command": command,
    }
    text = json.dumps(result, indent=1)
    given.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    cli.run(main)
