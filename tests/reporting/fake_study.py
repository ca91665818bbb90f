"""A study folder as a finished (or interrupted) search leaves it, made without training.

``write_study`` is deterministic. The numbers are invented and shaped like a real study's: more parameters help a
little, AP rises over epochs, precision falls with recall. Search AP is ``EASIER`` than validation AP.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.arch import ARCHS, SLOTS, ArchConfig
from harness.core.data import DataConfig
from harness.core.digest import digest
from harness.core.manifest import Space, Standing
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord, write_json
from harness.core.space import Choice, IntRange, SearchSpace, When
from harness.core.training import DistillConfig, TrainConfig
from tests.fake_landmarks import landmark_error
from tests.fake_manifest import fake_manifest

SPACE = SearchSpace(
    name="fake_light",
    description="a small space for tests of the report",
    base=ARCHS["v2"],
    axes=(
        Choice("attention.name", ("cbam_plus", "se", "eca", "none")),
        Choice("attention.reduction", (16, 32), When("attention.name", ("cbam_plus", "se"))),
        IntRange("neck.channels", 24, 40, 8),
        Choice("neck.repeats", (1, 2)),
        Choice("context.name", ("ssh_grouped", "none")),
        Choice("shuffle.name", ("shuffle", "shuffle_conv", "none")),
        Choice("head.trunk", ("none", "depthwise")),
        Choice("distill.temperature", (2.0, 4.0)),
        Choice("distill.alpha", (0.3, 0.5, 0.7)),
    ),
)

EASIER = 0.03
"""Mean AP on the search split less that on the validation images."""

SEEDS = (0.0, -0.02, 0.01)
"""Mean search AP of a network's trainings less that of the first one; validation AP differs by half as much."""

PARTS = {
    "v1": (213_072, 3_956, 113_610, 969, 148_296, 0, 7_200),
    "v2": (213_072, 5_732, 26_068, 868, 6_192, 1_056, 3_168),
}


def _curves(ap: dict[str, float | None], points: int = 60) -> dict[str, dict[str, list[float]]]:
    recall = np.linspace(0, 1, points)
    curves = {}
    for level in ("easy", "medium", "hard"):
        reach = 0.35 + 0.65 * (ap[level] or 0.0)
        precision = np.clip(1 - 0.25 * (recall / reach) ** 6, 0, 1)
        seen = recall <= reach
        curves[level] = {"recall": recall[seen].tolist(), "precision": precision[seen].tolist()}
    return curves


def _ap(mean: float) -> dict[str, float | None]:
    return {"easy": min(mean + 0.14, 1.0), "medium": mean + 0.02, "hard": mean - 0.16, "mean": mean}


def _record(
    label: str, role: str, mean: float, protocols: dict[str, dict[str, Any]], epochs: int, **values: Any
) -> TrialRecord:
    """Return a record; only a candidate's is not graded."""
    ran, seen = values.pop("ran", epochs), mean + EASIER
    history = [
        {
            "epoch": epoch,
            "losses": {"box": 2.0 / epoch, "class": 3.0 / epoch, "landmark": 4.0 / epoch, "total": 11.0 / epoch},
            "ap": _ap(seen * (1 - math.exp(-2.2 * epoch / epochs)) / (1 - math.exp(-2.2))),
            "lr": 4e-3 * (1 - epoch / epochs),
            "seconds": 9.5,
        }
        for epoch in range(1, ran + 1)
    ]
    record = TrialRecord(label=label, role=role, epochs=history, **values)
    if record.state == "complete":
        record.search_ap, record.search_protocol = {**_ap(seen)}, protocols["search_protocol"]
        if role != "candidate":
            _grade(record, mean, protocols)
    record.size_mb = record.params * 4 / 1e6 + 0.03
    return record


def _grade(record: TrialRecord, mean: float, protocols: dict[str, dict[str, Any]]) -> None:
    record.ap, record.protocol = {**_ap(mean)}, protocols["protocol"]
    record.curves = _curves(_ap(mean))
    record.landmark = landmark_error(0.11 - 0.08 * mean)


def _again(record: TrialRecord, seeds: int, protocols: dict[str, dict[str, Any]]) -> list[TrialRecord]:
    """Return the repeats of a graded record."""
    role = "repeat" if record.role == "candidate" else record.role
    repeats = []
    for number, offset in enumerate(SEEDS[1:seeds], start=2):
        again = replace(record, label=f"{record.label}-s{number}", role=role, number=None, repeat_of=record.label)
        again.seed = record.seed + number
        again.search_ap = _ap((record.search_ap["mean"] or 0) + offset)
        _grade(again, (record.ap["mean"] or 0) + offset / 2, protocols)
        repeats.append(again)
    return repeats


def _speed(ratio: float) -> dict[str, Any]:
    fps = 17.4 * ratio
    return {
        "fps": fps,
        "latency_ms": 1000 / fps,
        "latency_iqr_ms": 1.9,
        "ratio_to_v1": ratio,
        "reference_fps": 17.4,
        "device": "cpu",
        "threads": 2,
        "size": 640,
    }


def _candidates(
    protocols: dict[str, dict[str, Any]], epochs: int, wanted: int, rng: np.random.Generator
) -> list[TrialRecord]:
    records = []
    states = ["complete"] * wanted
    for index in (4, 9):
        if index < wanted:
            states[index] = "pruned"
    if wanted > 6:
        states[6] = "failed"
    for number in range(wanted):
        channels = int(rng.choice([24, 32, 40]))
        repeats = int(rng.choice([1, 2]))
        shuffle = str(rng.choice(["shuffle", "shuffle_conv", "none"]))
        attention = str(rng.choice(["cbam_plus", "se", "eca", "none"]))
        context = str(rng.choice(["ssh_grouped", "none"]))
        configuration: dict[str, Any] = {"attention.name": attention}
        if attention in ("cbam_plus", "se"):
            configuration["attention.reduction"] = int(rng.choice([16, 32]))
        configuration |= {
            "neck.channels": channels,
            "neck.repeats": repeats,
            "context.name": context,
            "shuffle.name": shuffle,
            "head.trunk": str(rng.choice(["none", "depthwise"])),
            "distill.temperature": float(rng.choice([2.0, 4.0])),
            "distill.alpha": float(rng.choice([0.3, 0.5, 0.7])),
        }
        neck = round((13_034 if repeats == 2 else 8_000) * channels / 32 * repeats)
        parts = dict(
            zip(
                SLOTS,
                (
                    213_072,
                    {"cbam_plus": 5_732, "se": 5_376, "eca": 11, "none": 0}[attention],
                    min(neck, 30_000),
                    868,
                    round(6_192 * channels / 32) if context == "ssh_grouped" else 0,
                    round(33 * channels) if shuffle == "shuffle_conv" else 0,
                    round(99 * channels),
                ),
                strict=True,
            )
        )
        params = sum(parts.values())
        mean = 0.58 + 0.10 * (params - 230_000) / 26_000 + float(rng.normal(0, 0.015))
        state = states[number]
        arch = SPACE.arch(configuration)
        record = _record(
            f"{number:04d}",
            "candidate",
            mean,
            protocols,
            epochs,
            ran={"pruned": 2, "failed": 1}.get(state, epochs),
            number=number,
            state=state,
            reason={
                "pruned": "mean AP after epoch 2 below the median of earlier trials",
                "failed": "loss not finite in epoch 2, step 14: total=nan, box=nan, class=3.1, landmark=nan",
            }.get(state, ""),
            seed=1_000 + number,
            configuration=configuration,
            arch=arch.to_dict(),
            distill={**DistillConfig().__dict__, **SPACE.distill(configuration)},
            params=params,
            parts=parts,
            macs=round(280e6 + 4e6 * channels * repeats / 2),
        )
        if state == "complete":
            record.speed = _speed(1.9 - 0.006 * channels * repeats + float(rng.normal(0, 0.03)))
            record.seconds = {"train": 38.0, "evaluate": 3.2, "speed": 4.0, "total": 46.3}
        records.append(record)
    return records


def _reference(
    label: str, role: str, arch: ArchConfig, mean: float, protocols: dict[str, dict[str, Any]], epochs: int
) -> TrialRecord:
    parts = dict(zip(SLOTS, PARTS[label], strict=True))
    record = _record(
        label,
        role,
        mean,
        protocols,
        epochs,
        state="complete",
        arch=arch.to_dict(),
        distill={} if role == "teacher" else dict(DistillConfig().__dict__),
        params=sum(parts.values()),
        parts=parts,
        macs=966_997_688 if label == "v1" else 410_568_000,
    )
    record.speed = _speed(1.0 if label == "v1" else 1.38)
    record.seconds = {"train": 120.0, "evaluate": 3.4, "speed": 4.0, "total": 128.0}
    return record


def _examples(folder: Path, labels: list[str], rng: np.random.Generator, count: int = 8, side: int = 128) -> None:
    arrays: dict[str, np.ndarray] = {}
    for index in range(count):
        ramp = np.linspace(60, 170, side, dtype=np.float32)
        image = np.stack(
            [ramp[None, :].repeat(side, 0), ramp[:, None].repeat(side, 1), np.full((side, side), 120.0)], -1
        )
        image = (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
        truth = []
        for _ in range(int(rng.integers(1, 5))):
            size = float(rng.uniform(12, 48))
            x, y = rng.uniform(0, side - size, 2)
            yy, xx = np.mgrid[:side, :side]
            inside = ((xx - x - size / 2) / (size / 2.2)) ** 2 + ((yy - y - size / 2) / (size / 2)) ** 2 <= 1
            image[inside] = (120, 160, 215)  # BGR: a skin tone only when it is read as BGR
            truth.append((x, y, x + size, y + size))
        boxes = np.array(truth, np.float32)
        arrays[f"image_{index}"], arrays[f"truth_{index}"] = image, boxes
        for rank, label in enumerate(labels):
            kept = boxes[: max(1, len(boxes) - rank % 2)]
            moved = kept + rng.normal(0, 1.5, kept.shape)
            scores = rng.uniform(0.55, 0.98, (len(kept), 1))
            low = np.array([[4.0, 4.0, 30.0, 30.0, 0.11]])
            arrays[f"found_{label}_{index}"] = np.concatenate([np.hstack([moved, scores]), low]).astype(np.float32)
    np.savez(folder / "examples.npz", **arrays)  # type: ignore[arg-type]


def _protocol(config: StudyConfig, images: str, count: int, faces: int) -> dict[str, Any]:
    measured = {"evaluator": 1, "val_digest": images, "images": count, "faces": faces, "eval_side": 0}
    measured |= config.to_dict()["evaluation"]
    return {**measured, "digest": digest(measured)}


def write_study(
    runs: Path,
    name: str = "fake",
    *,
    trials: int = 12,
    source: str = "synthetic",
    references: bool = True,
    seeds: int = 1,
) -> Path:
    """Write ``runs/<name>`` with ``trials`` candidates (0 is a study stopped before its first) and return it.

    With ``seeds`` above 1, V2 and the best candidate have that many trainings.
    """
    rng = np.random.default_rng(7)
    config = StudyConfig(
        name=name,
        description="students under the documented budget",
        space=SPACE.name,
        trials=max(trials, 1),
        data=DataConfig(source=source),
        teacher=TrainConfig(epochs=12),
    )
    folder = runs / name
    folder.mkdir(parents=True)
    protocols = {
        "search_protocol": _protocol(config, "3c8d10fae2b96a75", 300, 2_410),
        "protocol": _protocol(config, "9f2c5a1be07d4c33", 400, 3_174),
    }
    records = _candidates(protocols, config.train.epochs, trials, rng)
    complete = [r for r in records if r.role == "candidate" and r.state == "complete"]
    chosen = max(complete, key=lambda r: r.search_ap["mean"] or 0.0) if complete else None
    best = None if chosen is None else chosen.label
    if chosen is not None:
        _grade(chosen, (chosen.search_ap["mean"] or 0.0) - EASIER, protocols)
        records += _again(chosen, seeds, protocols)
    if references:
        v2 = _reference("v2", "reference", ARCHS["v2"], 0.65, protocols, config.train.epochs)
        v1 = _reference("v1", "teacher", ARCHS["v1"], 0.78, protocols, config.teacher.epochs)
        records = [v1, v2, *_again(v2, seeds, protocols), *records]
    for record in records:
        record.save(folder / "trials" / record.label)
    if len(complete) >= 4:
        shares = [0.6**i for i in range(len(SPACE.axes))]
        importance = {axis.name: share / sum(shares) for axis, share in zip(SPACE.axes, shares, strict=True)}
        write_json(folder / "importance.json", importance)
    if source == "synthetic" and references:
        _examples(folder, ["v1", "v2", *([best] if best else [])], rng)
    states = {
        state: sum(r.role == "candidate" and r.state == state for r in records)
        for state in ("complete", "pruned", "failed", "running")
    }
    fake_manifest(
        config,
        space=Space(SPACE.to_dict(), SPACE.digest(), SPACE.size(), SPACE.size() - 96, SPACE.size() - 400),
        **protocols,
        command=f"python -m harness.study --space fake_light --data {source} --seed 0",
        standing=Standing(
            trials=states | {"wanted": max(trials, 1)},
            proposals={"uniform": 6, "sampler": 6, "rejected_over_budget": 31, "rejected_unbuildable": 2},
            best=best,
            timing={
                "total": 431.0,
                "train": 380.0,
                "evaluate": 30.0,
                "speed": 12.0,
                "overhead_share": 0.021,
                "idle_share": 0.03,
            },
        ),
    ).save(folder)
    return folder
