"""Importance of the axes and example images, written when the trials of a study have ended."""

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import TrialState

from harness.core.files import write_atomically
from harness.core.sealed import write_sealed
from harness.data.faces import FaceSet
from harness.evaluation.predictions import load_detections

FEWEST = 8
"""Least number of complete trials; with fewer, an importance would be noise."""
EXAMPLES = 8
LOWEST_SCORE = 0.1


def importance(study: optuna.Study) -> dict[str, float]:
    """Return axis → importance for whether a trial is among the best by AP; the values add up to 1.

    PED-ANOVA (Watanabe et al., arXiv 2304.10255) with conditional axes (arXiv 2601.20800). The best are a tenth of the
    trials; in a short study five trials, but at most half of them. Empty below ``FEWEST`` complete trials.
    """
    complete = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    if complete < FEWEST:
        return {}
    from optuna.importance import PedAnovaImportanceEvaluator  # Loads scikit-learn, which takes seconds.

    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, min(0.5, 5 / complete)))
    with warnings.catch_warnings():
        # The sign is handled below, and the report says that few trials give a rough estimate.
        for reminder in ("PedAnovaImportanceEvaluator computes", "Some regimes for parameter"):
            warnings.filterwarnings("ignore", message=reminder, category=UserWarning)
        shares = optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=lambda trial: -float(trial.values[0])
        )
    return {name: round(float(share), 5) for name, share in shares.items()}


def write_importance(folder: Path, shares: Mapping[str, float]) -> None:
    """Write ``importance.json``."""
    write_sealed(folder / "importance.json", dict(shares))


def write_examples(folder: Path, val: FaceSet, found: Mapping[str, Path]) -> None:
    """Write ``examples.npz``: some validation images with their annotated faces and each network's detections.

    The file stays in the study's folder: reports contain no images of people.

    Args:
        folder: the study's folder.
        val: the validation images.
        found: label → a ``predictions.npz`` over all of them.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    predictions = {label: load_detections(path, val.ids)[1] for label, path in found.items() if path.exists()}
    for index, image in enumerate(_chosen(val)):
        arrays[f"image_{index}"] = np.ascontiguousarray(val.image(image))
        arrays[f"truth_{index}"] = val.faces(image)[0]
        for label, boxes in predictions.items():
            arrays[f"found_{label}_{index}"] = boxes[image][boxes[image][:, 4] >= LOWEST_SCORE, :5]
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_atomically(folder / "examples.npz", content.getvalue())


def _chosen(val: FaceSet) -> list[int]:
    """Return the images to show, evenly spaced among those with 2 to 12 faces, or among all if these are too few."""
    faces = np.diff(val.offsets)
    pool = np.flatnonzero((faces >= 2) & (faces <= 12))
    if len(pool) < EXAMPLES:
        pool = np.arange(len(val))
    return [int(i) for i in pool[np.linspace(0, len(pool) - 1, min(EXAMPLES, len(pool))).astype(int)]]
