"""An ablation with detections, made without training anything. A network's skill sets its AP."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.core.ablation import Ablation
from harness.core.digest import digest
from harness.core.names import load_study
from harness.core.record import TrialRecord
from harness.data.faces import FaceSet
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.predictions import save_detections
from harness.evaluation.protocol import ap_protocol
from harness.models.costs import count_parts, macs
from tests.fake_comparison import detect
from tests.fake_manifest import fake_manifest

SKILL = 0.6
"""Of every network that has none of its own."""


def write_ablation(
    runs: Path, faces: FaceSet, ablation: Ablation, skills: Mapping[str, float], *, name: str = "ablation-fake"
) -> Path:
    """Write ``runs/<name>``: V1 as the teacher, and every network with the seeds of the first look.

    Args:
        runs: folder of all studies.
        faces: the validation images.
        ablation: the networks.
        skills: label → skill in [0, 1], as in ``fake_comparison.detect``.
        name: the study's name.
    """
    study = load_study("ablation_v1_v2")
    config = replace(study, name=name, references=(), ablation=ablation)
    protocol = ap_protocol(faces, config.evaluation, 0)
    search_protocol = {**protocol, "images": 30}
    search_protocol["digest"] = digest(search_protocol)
    folder, truth = runs / name, faces.truth()

    def save(label: str, role: str, skill: float, seed: int, draw: int, **values: Any) -> None:
        detections = detect(truth, skill, draw)
        record = TrialRecord(label, role, state="complete", seed=seed, train=asdict(config.train), **values)
        record.ap, record.protocol = evaluate_ap(detections, truth).to_dict(), protocol
        record.search_ap, record.search_protocol = (
            dict.fromkeys(("easy", "medium", "hard", "mean"), skill),
            search_protocol,
        )
        record.speed = {"fps": 40.0, "ratio_to_v1": 1 + 1e-6 * (487_103 - record.params) + 1e-3 * seed}
        record.save(folder / "trials" / label)
        save_detections(folder / "trials" / label / "predictions.npz", faces.ids, detections)

    save("v1", "teacher", 0.9, 0, 0, arch={"name": "v1"}, params=487_103)
    for index, arm in enumerate(ablation.arms):
        parts = count_parts(arm.arch)
        built: dict[str, Any] = {"arch": arm.arch.to_dict(), "params": sum(parts.values()), "parts": parts}
        built["macs"] = sum(macs(arm.arch, 640, 640).values())
        for number in range(1, ablation.looks[0] + 1):
            again = {} if number == 1 else {"repeat_of": arm.label}
            label = arm.label if number == 1 else f"{arm.label}-s{number}"
            save(label, "reference", skills.get(arm.label, SKILL), number, 100 * number + index, **built, **again)
    images = fake_manifest(config).data
    data = images | {"val": replace(images["val"], digest=faces.digest, images=len(faces), faces=len(faces.boxes))}
    command = f"python -m harness.ablate --runs {runs} --name fake"
    fake_manifest(config, data=data, search_protocol=search_protocol, protocol=protocol, command=command).save(folder)
    return folder


def change(folder: Path, label: str, **values: Any) -> None:
    """Replace fields of a training's record."""
    target = folder / "trials" / label
    replace(TrialRecord.load(target), **values).save(target)
