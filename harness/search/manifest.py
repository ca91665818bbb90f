"""``study.json``: what a study is, what decides its results, and where it stands. Rewritten whole as things change."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord, write_json
from harness.core.space import SearchSpace
from harness.counting import SpaceCounts
from harness.data.faces import FaceSet
from harness.errors import DataError, InputError
from harness.evaluation.protocol import ap_protocol
from harness.models.weights import file_digest
from harness.training.teacher import Teacher

NAME = "study.json"
_FREE = ("name", "description", "trials", "speed", "references", "seeds")
"""What may change when a study is gone on with: none of it changes what a trial is or how its AP is measured."""
_LIBRARIES = {"torch": "torch", "numpy": "numpy", "optuna": "optuna", "mlflow": "mlflow"}
_LIBRARIES |= {"opencv": "opencv-python-headless"}


def choices(config: StudyConfig, space: SearchSpace) -> dict[str, Any]:
    """Return what was chosen that a study's trials depend on, flat, so that a difference can be named."""
    chosen: dict[str, Any] = {}
    for key, value in config.to_dict().items():
        if key in _FREE:
            continue
        if isinstance(value, Mapping):
            chosen |= {f"{key}.{name}": item for name, item in value.items() if name != "source"}
        else:
            chosen[key] = list(value) if isinstance(value, tuple) else value
    return {**chosen, "axes of the space": space.digest()}


def identity(
    config: StudyConfig, space: SearchSpace, train: FaceSet, val: FaceSet, device: str, teacher: str
) -> dict[str, Any]:
    """Return all that a study's trials depend on.

    ``teacher`` is the teacher's specification: ``auto`` or an arch and a digest, with what backbones start from.
    """
    images = {"training images": train.digest, "validation images": val.digest}
    return {**choices(config, space), **images, "device": device, "teacher weights": teacher}


def check_identity(where: str, found: Mapping[str, Any], wanted: Mapping[str, Any], name: str) -> None:
    """Refuse to go on with a study that was something else in any of ``wanted``'s keys.

    Raises:
        InputError: names what differs.
    """
    keys = [key for key in wanted if found.get(key) != wanted[key]]
    if keys:
        said = ", ".join(f"{key} {_text(found.get(key))}, not {_text(wanted.get(key))}" for key in keys[:4])
        more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
        raise InputError(
            f"{where} holds a study '{name}' made with {said}{more}: choose another --name, or remove it to start over"
        )


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def describe(
    config: StudyConfig,
    space: SearchSpace,
    counts: SpaceCounts,
    train: FaceSet,
    val: FaceSet,
    teacher: Teacher | None,
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``study.json``'s content before the first trial.

    Args:
        made: ``identity``, ``workers``, ``threads``, ``device`` and ``command``.
    """
    return {
        "name": config.name,
        "config": config.to_dict(),
        "space": space.to_dict(),
        "space_digest": space.digest(),
        "space_size": counts.size,
        "space_buildable": counts.buildable,
        "space_feasible": counts.feasible(config.budget),
        "data": {
            "source": config.data.source,
            "train_digest": train.digest,
            "train_images": len(train),
            "val_digest": val.digest,
            "val_images": len(val),
            "val_faces": len(val.boxes),
        },
        "protocol": ap_protocol(val, config.evaluation, config.data.eval_side),
        "teacher": {} if teacher is None else _teacher(teacher),
        "versions": _versions(),
        "commit": _commit(),
        "machine": _machine(made["device"]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        **made,
        "timing": {},
        "trials": {"complete": 0, "pruned": 0, "failed": 0, "running": 0, "wanted": config.trials},
        "proposals": {},
        "wasted": 0,
        "repeated": 0,
        "best": None,
    }


def _teacher(teacher: Teacher) -> dict[str, Any]:
    return {
        "arch": teacher.arch.to_dict(),
        "label": teacher.record.label,
        "path_name": teacher.path.parent.name,
        "digest": file_digest(teacher.path),
        "params": teacher.record.params,
    }


def timing(records: Sequence[TrialRecord], total: float, idle_share: float | None) -> dict[str, float]:
    """Return where the time went.

    ``overhead_share`` is 1 - (train + evaluate + speed) / total, summed over all trained networks but the teacher. A
    trial's total runs from the moment its worker is free (so the proposal counts) until its result is on disk, without
    waiting for other trials' results, plus its speed measurement. ``idle_share`` is the part of the workers' time
    in which they had no trial at all: waiting for an earlier result, and the end of the study.

    Args:
        records: references and candidates.
        total: seconds since the study began, over all its runs.
        idle_share: of this run, None before its end.
    """
    sums = {name: sum(r.seconds.get(name, 0.0) for r in records) for name in ("train", "evaluate", "speed", "total")}
    worked = sums["train"] + sums["evaluate"] + sums["speed"]
    spent = {name: round(sums[name], 3) for name in ("train", "evaluate", "speed")}
    shares = {"overhead_share": round(1 - worked / sums["total"], 5) if sums["total"] else 0.0}
    if idle_share is not None:
        shares["idle_share"] = round(idle_share, 5)
    return {"total": round(total, 3), **spent, **shares}


def read(folder: Path) -> dict[str, Any] | None:
    """Return a study folder's ``study.json``, None where there is none.

    Raises:
        DataError: it is broken.
    """
    import json

    path = folder / NAME
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not readable: {error}; choose another --name, or remove {folder}") from error
    return content


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a study folder's ``study.json`` atomically."""
    write_json(folder / NAME, content)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "harness": harness.__version__}
    return found | {name: importlib.metadata.version(package) for name, package in _LIBRARIES.items()}


def _commit() -> str | None:
    """Return the commit of the code that runs, with ``+`` where files were changed since; None outside git."""
    here = Path(harness.__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty=+", "--match="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _machine(device: str) -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    name = device
    if device.startswith("cuda"):
        import torch

        name = torch.cuda.get_device_name(device)
    return {"device": name, "cores": len(os.sched_getaffinity(0)), "cpu": cpu, "system": platform.system()}
