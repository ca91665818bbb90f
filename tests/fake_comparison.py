"""Studies with detections, and the images that these are on, made without training anything.

A fake network finds a face with a chance that rises with the face's height and with the network's skill; networks of
one seed miss similar faces. Records hold the AP that the evaluator gives their detections, except for students that a
search did not select: these were not graded.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.digest import digest
from harness.core.manifest import Images, Start, UsedTeacher
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord
from harness.core.training import DistillConfig, TrainConfig
from harness.data.faces import FaceSet, FaceSetWriter
from harness.data.truth import GroundTruth
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.predictions import save_detections
from harness.evaluation.protocol import ap_protocol
from tests.fake_landmarks import landmark_error
from tests.fake_manifest import fake_manifest

PARAMS = {"v1": 487_103, "featherface": 592_371, "v2": 256_156}
HEIGHTS = (6, 10, 14, 24, 40, 90, 150)


def write_images(runs: Path, images: int = 40) -> FaceSet:
    """Write the validation images' faces below ``runs/cache``; each image is one pixel."""
    rng = np.random.default_rng(0)
    with FaceSetWriter(runs / "cache" / "fake-val-000", "fake val") as writer:
        for index in range(images):
            heights = rng.choice(HEIGHTS, size=int(rng.integers(2, 7)))
            corner = np.arange(len(heights))[:, None] * [200.0, 0.0]
            boxes = np.concatenate((corner, corner + heights[:, None]), axis=1)
            lists = {"easy": heights > 32, "medium": heights > 16, "hard": heights > 8}
            blank = np.zeros((1, 1, 3), dtype=np.uint8)
            writer.add(f"{index % 3}--Event/{index}", blank, boxes, np.full((len(boxes), 10), np.nan), lists)
        return writer.finish()


def detect(truth: GroundTruth, skill: float, seed: int) -> list[np.ndarray]:
    """Return each image's detections (k, 15) of a network of this skill, in [0, 1]."""
    rng = np.random.default_rng(seed)
    found = []
    for boxes in truth.boxes:
        chance = np.clip(skill * (boxes[:, 3] - boxes[:, 1]) ** 0.25 / 2.2, 0, 1)
        hit, score = rng.random((2, len(boxes)))
        rows = [[*box, 0.3 + 0.7 * s] for box, h, c, s in zip(boxes, hit, chance, score, strict=True) if h < c]
        rows += [
            [0, 300 + 40 * k, 20, 320 + 40 * k, 0.7 * s] for k, s in enumerate(rng.random(int(4 * (1 - skill)) + 1))
        ]
        full = np.zeros((len(rows), 15), dtype=np.float32)
        full[:, :5] = np.array(rows).reshape(-1, 5)
        found.append(full[np.argsort(-full[:, 4], kind="stable")])
    return found


def write_study(
    runs: Path,
    faces: FaceSet,
    name: str,
    teacher: str = "v1",
    skills: Sequence[float] = (0.62, 0.85, 0.66, 0.55),
    seeds: int = 3,
    source: str = "synthetic",
    **train: Any,
) -> Path:
    """Write ``runs/<name>``: a teacher, V2 with it and alone, and one candidate per skill; the best one is repeated."""
    config = StudyConfig(
        name=name,
        description="made for tests",
        space="fake_light",
        data=DataConfig(source=source),
        train=TrainConfig(**train),
        trials=len(skills),
        references=("v2", "v2-alone"),
        seeds=seeds,
    )
    protocol = ap_protocol(faces, config.evaluation, 0)
    search_protocol = {**protocol, "images": 30, "faces": 120, "val_digest": "3c8d10fae2b96a75"}
    search_protocol["digest"] = digest(search_protocol)
    weights = digest({"teacher": teacher})
    taught = {"label": teacher, "digest": weights, "params": PARAMS[teacher]}
    folder, truth = runs / name, faces.truth()

    def save(label: str, role: str, skill: float, seed: int, arch: dict[str, Any], **values: Any) -> None:
        record = TrialRecord(label, role, state="complete", seed=seed, arch=arch, **values)
        record.train, record.seconds = asdict(config.train), {"train": 30.0 * config.train.epochs}
        if role != "teacher":
            levels = ("easy", "medium", "hard", "mean")
            record.epochs = [
                {"epoch": n, "losses": {"total": 3.0}, "seconds": 30.0, "ap": dict.fromkeys(levels, skill - 0.3 / n)}
                for n in range(1, config.train.epochs + 1)
            ]
        record.search_ap = dict.fromkeys(("easy", "medium", "hard", "mean"), skill)
        record.search_protocol = search_protocol
        if role == "candidate" and skill < max(skills) + lift:
            record.save(folder / "trials" / label)
            return
        detections = detect(truth, skill, seed)
        record.ap, record.protocol = evaluate_ap(detections, truth).to_dict(), protocol
        record.landmark = landmark_error(0.1 - 0.05 * skill, round(900 * skill))
        record.save(folder / "trials" / label)
        save_detections(folder / "trials" / label / "predictions.npz", faces.ids, detections)

    lift = 0.04 if teacher == "v1" else 0.08
    save(teacher, "teacher", 0.9 + lift, 11, {"name": teacher}, params=PARAMS[teacher])
    distill, v2 = asdict(DistillConfig()), ARCHS["v2"].to_dict()
    for repeat in range(seeds):
        tail = f"-s{repeat + 1}" if repeat else ""
        of: dict[str, Any] = {"seed": 100 + repeat, "arch": v2, "params": PARAMS["v2"]}
        again: dict[str, Any] = {"repeat_of": "v2"} if repeat else {}
        save(f"v2{tail}", "reference", 0.6 + lift + 0.01 * repeat, distill=distill, teacher=taught, **of, **again)
        again = {"repeat_of": "v2-alone"} if repeat else {}
        save(f"v2-alone{tail}", "reference", 0.6 + 0.01 * repeat, **of, **again)
    for number, skill in enumerate(skills):
        of = {"arch": {"name": f"student {number}"}, "params": 240_000 + 1_000 * number}
        of |= {"distill": distill, "teacher": taught}
        save(f"{number:04d}", "candidate", skill + lift, 1_000 + number, number=number, **of)
        for repeat in range(1, seeds if skill == max(skills) else 1):
            save(f"{number:04d}-s{repeat + 1}", "repeat", 0.66 + lift, 2_000 + repeat, repeat_of=f"{number:04d}", **of)
    images = {"train": Images("1d0a77b2c99e4f10", 1_000, 8_000), "search": Images("3c8d10fae2b96a75", 30, 120)}
    fake_manifest(
        config,
        data=images | {"val": Images(faces.digest, len(faces), len(faces.boxes))},
        search_protocol=search_protocol,
        protocol=protocol,
        teacher=UsedTeacher(teacher, weights, PARAMS[teacher], {"name": teacher}),
        start=Start("file", "0123456789ab"),
    ).save(folder)
    return folder
