"""``Resources``: what a study runs on, refused here where it cannot be."""

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from harness.core.machine import available_cores
from harness.core.manifest import Start
from harness.core.protocol import StudyConfig
from harness.errors import InputError
from harness.models.device import resolve_device
from harness.models.weights import file_digest
from harness.search.storage import check_url, open_storage
from harness.tracking.address import check_uri
from harness.training.teacher import find_teacher

_BYTES_PER_WORKER = 2**30


@dataclass(frozen=True)
class Resources:
    """What a study runs on.

    Attributes:
        runs: the folder of all studies.
        workers: trainings side by side; None chooses one per ``threads`` cores on a CPU, one on CUDA. Decides nothing.
        threads: PyTorch's threads of each training; None is 1 on a CPU. On a CPU results depend on it.
        device: results depend on it.
        teacher: ``auto``, the path of V1 weights, or ``ARCH:PATH``.
        init_backbone: weights that a teacher to be trained and every student start their backbone from; None starts
            students from the teacher's.
        storage: a database URL; None is a SQLite file in the study's folder.
        tracking_uri: None is a SQLite file in ``runs``; ``none`` tracks nothing.
        command: how this study is run again, for its report; holds no secrets.
    """

    runs: Path
    workers: int | None = None
    threads: int | None = None
    device: str = "cpu"
    teacher: str = "auto"
    init_backbone: Path | None = None
    storage: str | None = None
    tracking_uri: str | None = None
    command: str = ""


@dataclass(frozen=True)
class Checked:
    """Resources that a study can run on.

    Attributes:
        device: what ``Resources.device`` names.
        workers, threads: chosen where they were left open.
        url: of the trials' database.
        teacher: ``auto`` with the backbone it starts from, or an architecture and the digest of its weights.
        start: what the students' backbones start from; a teacher's digest is not known before it is trained.
    """

    device: torch.device
    workers: int
    threads: int
    url: str
    teacher: str
    start: Start


def check_resources(config: StudyConfig, resources: Resources) -> Checked:
    """Refuse what a study cannot run on, before anything is started.

    Raises:
        InputError: names the option, what was given and what is accepted.
    """
    device = resolve_device(resources.device)
    workers, threads = _cores(config, resources, cuda=device.type == "cuda")
    label, weights = find_teacher(resources.teacher)
    if label in config.references:
        raise InputError(f"'{label}' is the teacher and a reference: give --references that do without it")
    backbone = resources.init_backbone
    for option, path in (("--teacher", weights), ("--init-backbone", backbone)):
        if path is not None and not path.is_file():
            raise InputError(f"{option}: there is no file {path}")
    if config.from_scratch and backbone is not None and weights is not None:
        raise InputError("--init-backbone has nothing to start: --teacher is trained, students begin --from-scratch")
    if resources.tracking_uri not in (None, "none"):
        check_uri(str(resources.tracking_uri))
    url = resources.storage or f"sqlite:///{(resources.runs / config.name / 'study.db').absolute()}"
    if resources.storage is not None:
        check_url(url)
        open_storage(url)
    begun = "auto" if backbone is None else f"auto, backbone {file_digest(backbone)}"
    return Checked(
        device,
        workers,
        threads,
        url,
        teacher=begun if weights is None else f"{label} {file_digest(weights)}",
        start=_start(config, backbone),
    )


def _cores(config: StudyConfig, resources: Resources, *, cuda: bool) -> tuple[int, int]:
    """Return workers and threads."""
    cores = available_cores()
    for option, value in (("--workers", resources.workers), ("--threads", resources.threads)):
        if value is not None and value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")
    threads = resources.threads or (max(1, cores // (resources.workers or 1)) if cuda else 1)
    fits = max(1, psutil.virtual_memory().available // _BYTES_PER_WORKER)
    jobs = config.trials + config.seeds * len(config.references)
    workers = resources.workers or (1 if cuda else max(1, min(cores // threads, jobs, fits, config.window)))
    if workers * threads > cores:
        raise InputError(
            f"{workers} workers of {threads} threads need {workers * threads} cores and there are {cores}: "
            "more threads than cores train several times slower; lower --workers or --threads"
        )
    return workers, threads


def _start(config: StudyConfig, backbone: Path | None) -> Start:
    if config.from_scratch:
        return Start("random")
    return Start("teacher") if backbone is None else Start("file", file_digest(backbone))
