"""Collects what a report is made from: the records of its studies, without paths, weights and photographs."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.manifest import FILE
from harness.core.record import load_records
from harness.core.scores import EPOCHS, SHARED, SHORTLIST, Scored
from harness.core.scores import FILE as SCORES
from harness.core.sealed import sealed
from harness.evaluation.matched import FACES, MATCHES, packed_faces, packed_matches
from harness.reporting.compare.images import Images, images_of
from harness.reporting.compare.read import graded_of, predictions_of
from harness.reporting.diagnosis import DATA as DIAGNOSIS
from harness.reporting.diagnosis import FOLDER as DIAGNOSIS_FOLDER
from harness.reporting.diagnosis import load_diagnosis
from harness.reporting.hidden import without_paths
from harness.reporting.records.making import DETECTORS
from harness.reporting.study.data import Array, StudyData
from harness.reporting.study.pictures import EXAMPLES, LEAST_SCORE

Files = dict[str, bytes]
"""Name → content, as ``archive.packed`` takes them."""


def collected(studies: Sequence[StudyData], images: Images | None) -> Files:
    """Return the files of ``studies``, each in the folder of its study; paths and addresses are placeholders.

    Args:
        studies: as they are in ``runs/``.
        images: their validation images; without them, the matched detections of the graded networks are left out.

    Raises:
        DataError: a file is missing or broken.
    """
    diagnoses = {data.folder: load_diagnosis(data.folder) for data in studies}
    commands = [found["command"] for found in diagnoses.values() if found is not None]
    hide = cache(without_paths([data.study for data in studies], *commands))
    files: Files = {}
    for data in studies:
        name = data.folder.name
        files |= {f"{name}/{path}": content for path, content in _study(data, hide).items()}
        if (diagnosis := diagnoses[data.folder]) is not None:
            files[f"{name}/{DIAGNOSIS_FOLDER}/{DIAGNOSIS}"] = sealed(_hidden(diagnosis, hide))
        if images is not None:
            files |= {f"{name}/{path}": content for path, content in _matched(data, images).items()}
    return files


def compared(
    studies: Sequence[StudyData], runs: Path, ground_truth: Path | None, published: Mapping[str, Path]
) -> Files:
    """Return the files of a comparison; the arguments are those of ``compare``.

    Raises:
        DataError: a file is missing or broken.
    """
    images = images_of(studies, predictions_of(*graded_of(studies)[0]), runs, ground_truth)
    detectors = {
        f"{DETECTORS}/{place}.npz": packed_matches(images.published(path), images.listed)
        for place, path in enumerate(published.values())
    }
    return collected(studies, images) | detectors


def _study(data: StudyData, hide: Callable[[str], str]) -> Files:
    """Return the files of one study that ``study.data.load`` reads."""
    files = {FILE: sealed(_hidden(data.study.to_dict(), hide))}
    for record in load_records(data.folder):
        files[f"trials/{record.label}/record.json"] = sealed(_hidden(asdict(record), hide))
    for name, scores in ((SCORES, data.scores), (SHORTLIST, data.shortlist.values())):
        if scores:
            files[name] = b"".join(_line(scored, hide) for scored in scores)
    if data.sharing:
        files[f"{SHARED}/{EPOCHS}"] = json.dumps(data.sharing).encode()
    if data.importance:
        files["importance.json"] = sealed(data.importance)
    if data.synthetic and data.examples:
        files["examples.npz"] = _examples(data)
    return files


def _line(scored: Scored, hide: Callable[[str], str]) -> bytes:
    return f"{json.dumps(_hidden(asdict(scored), hide))}\n".encode()


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    """Return plain data in which ``hide`` was applied to every text, keys excepted."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {key: _hidden(item, hide) for key, item in value.items()}
    return [_hidden(item, hide) for item in value] if isinstance(value, list | tuple) else value


def _examples(data: StudyData) -> bytes:
    """Return the scenes of the report's gallery, and the detections of the networks that it shows."""
    labels = {record.label for record in data.shown().values()}
    arrays: dict[str, Array] = {}
    for index, example in enumerate(data.examples[:EXAMPLES]):
        arrays[f"image_{index}"], arrays[f"truth_{index}"] = example.image, example.truth
        for label in sorted(labels & example.found.keys()):
            found = example.found[label]
            arrays[f"found_{label}_{index}"] = found[found[:, 4] >= LEAST_SCORE]
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def _matched(data: StudyData, images: Images) -> Files:
    """Return the faces of the validation images, and how the detections of every graded network match them."""
    found = {record.label: data.folder / "trials" / record.label for _, record in graded_of([data])}
    files = {
        f"trials/{label}/{MATCHES}": packed_matches(images.matches(folder), images.listed)
        for label, folder in found.items()
        if images.file(folder).exists()
    }
    return files | {FACES: packed_faces(images.listed, images.groups)} if files else {}
