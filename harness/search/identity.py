"""Everything that a study's trials depend on, as a flat dict: a study is continued only if none of it has changed."""

from collections.abc import Mapping
from typing import Any

from harness.core.ablation import Ablation
from harness.core.protocol import StudyConfig
from harness.core.space import SearchSpace
from harness.data.faces import FaceSet
from harness.errors import InputError
from harness.models.device import precision
from harness.models.latency import LatencyTable
from harness.search.resources import Checked
from harness.training.job import TRAINING_VERSION

_FREE = ("name", "description", "trials", "speed", "references", "seeds", "ablation")
"""Fields that may change when a study is continued: they affect neither a trial nor how its AP is measured. (What an
ablation compares, and after how many seeds, is fixed under names of its own: verdicts are corrected for it.)"""

Identity = dict[str, Any]


def chosen(config: StudyConfig, space: SearchSpace, checked: Checked) -> Identity:
    """Return the part of the identity that is known before any image is read.

    Args:
        config: all fields except ``_FREE`` are included.
        space: its axes and base architecture are included.
        checked: the kind of device, its precision, the teacher, the start of the backbones and, on a CPU, the threads
            per training are included; rounding depends on the number of threads.
    """
    device, start = checked.device.type, checked.start
    flat: Identity = {}
    for key, value in config.to_dict().items():
        if isinstance(value, Mapping) and key not in _FREE:
            flat |= {f"{key}.{name}": item for name, item in value.items() if name != "source"}
        elif key not in _FREE:
            flat[key] = list(value) if isinstance(value, tuple) else value
    return flat | {
        "axes of the space": space.digest(),
        **_ablation(config.ablation),
        "version of the training code": TRAINING_VERSION,
        "device": device,
        "precision": precision(checked.device, config.train.side(config.data.size)),
        "threads": checked.threads if device == "cpu" else None,
        "image size of the latencies": config.speed.size if config.predicts_latency else None,
        "teacher": checked.teacher,
        "start of the backbones": " ".join(filter(None, (start.kind, start.digest))),
    }


def _ablation(ablation: Ablation | None) -> Identity:
    """Return what an ablation compares, and after how many seeds; None for other studies, also for earlier ones."""
    return {
        "networks": ablation and [f"{arm.label} {arm.arch.digest()}" for arm in ablation.arms],
        "differences": ablation and [f"{one.a} − {one.b}" for one in ablation.differences],
        "seeds of the looks": ablation and list(ablation.looks),
    }


def of_latencies(table: LatencyTable | None) -> Identity:
    """Return the digest of the latencies that trials are bounded and chosen by."""
    return {"latencies": None if table is None else table.digest()}


def of_images(splits: Mapping[str, FaceSet]) -> Identity:
    """Return the digests of the images by split."""
    names = {"train": "training images", "search": "search split", "val": "validation images"}
    return {name: splits[split].digest for split, name in names.items()}


def check(where: str, found: Mapping[str, Any], wanted: Mapping[str, Any], name: str) -> None:
    """Refuse to continue a study that differs in any of ``wanted``'s keys.

    Raises:
        InputError: names what differs.
    """
    keys = [key for key in wanted if found.get(key) != wanted[key]]
    if keys:
        said = ", ".join(f"{key} {_text(found.get(key))}, not {_text(wanted[key])}" for key in keys[:4])
        more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
        raise InputError(
            f"{where} holds a study '{name}' made with {said}{more}: choose another --name, or remove it to start over"
        )


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
