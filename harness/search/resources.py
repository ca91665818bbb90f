"""``Resources``: hardware, files and addresses that a study uses, checked before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from harness.core.machine import available_cores
from harness.core.manifest import Start
from harness.core.protocol import StudyConfig
from harness.errors import InputError
from harness.models.device import resolve_device
from harness.models.weights import file_digest
from harness.search.cluster import Cluster, Share
from harness.search.storage import check_url, open_storage
from harness.tracking.address import check_uri
from harness.training.teacher import find_teacher

_BYTES_PER_WORKER = 2**30


@dataclass(frozen=True)
class Resources:
    """Hardware, files and addresses that a study uses.

    Attributes:
        runs: the folder of all studies.
        workers: concurrent trainings; None: by cores and memory on a CPU, one on CUDA. Results do not depend on it.
        threads: PyTorch threads per training; None: 1 on a CPU. On a CPU, results depend on it.
        device: ``cpu``, ``cuda`` or ``cuda:N``. Results depend on it.
        teacher: ``auto``, the path of V1 weights, or ``ARCH:PATH``.
        init_backbone: weights for the backbone of the teacher if it is trained, else for those of the students.
            Students start from the teacher's backbone unless the teacher's weights and this file are both given.
        storage: a database URL; None: a SQLite file in the study's folder.
        tracking_uri: None: a SQLite file in ``runs``; ``none``: no tracking.
        command: the command that repeats this study, for its report; without secrets.
        cluster: the Ray cluster that trains the networks; it must be joined. None: worker processes of this machine.
        files: name → text of the user's files that define its space and protocol, kept in the study's folder.
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
    cluster: Cluster | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """Resources that were checked.

    Attributes:
        device: the device that ``Resources.device`` names.
        workers, threads: as given, or chosen if None.
        url: URL of the trials' database.
        teacher: ``auto`` with the backbone it starts from, or an architecture and the digest of its weights.
        start: weights that the students' backbones start from; a teacher's digest is unknown before it is trained.
        share: what a trial takes of the cluster; None where there is none.
    """

    device: torch.device
    workers: int
    threads: int
    url: str
    teacher: str
    start: Start
    share: Share | None

    def weights(self, teacher: Path, resources: Resources) -> Path | None:
        """Return the weights file that the students' backbones start from; None for random numbers."""
        return {"random": None, "teacher": teacher, "file": resources.init_backbone}[self.start.kind]


def check_resources(config: StudyConfig, resources: Resources) -> Checked:
    """Refuse resources that a study cannot use, before anything is started.

    Raises:
        InputError: names the option, what was given and what is accepted.
    """
    device = resolve_device(resources.device)
    share, workers, threads = _cores(config, resources, cuda=device.type == "cuda")
    label, weights = find_teacher(resources.teacher)
    if label in config.references:
        raise InputError(f"'{label}' is both the teacher and a reference: remove it from --references")
    backbone = resources.init_backbone
    for option, path in (("--teacher", weights), ("--init-backbone", backbone)):
        if path is not None and not path.is_file():
            raise InputError(f"{option}: there is no file {path}")
    if config.from_scratch and backbone is not None and weights is not None:
        raise InputError(
            "--init-backbone is unused: --teacher is trained and students start --from-scratch; drop one of them"
        )
    if resources.tracking_uri not in (None, "none"):
        check_uri(str(resources.tracking_uri))
    url = resources.storage or f"sqlite:///{(resources.runs / config.name / 'study.db').absolute()}"
    check_url(url)
    if resources.storage is not None:
        open_storage(url).engine.dispose()
    begun = "auto" if backbone is None else f"auto, backbone {file_digest(backbone)}"
    return Checked(
        device,
        workers,
        threads,
        url,
        teacher=begun if weights is None else f"{label} {file_digest(weights)}",
        start=_start(config, backbone, trained=weights is None),
        share=share,
    )


def _cores(config: StudyConfig, resources: Resources, *, cuda: bool) -> tuple[Share | None, int, int]:
    """Return what a trial takes of the cluster, workers and threads."""
    for option, value in (("--workers", resources.workers), ("--threads", resources.threads)):
        if value is not None and value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")
    jobs = config.trials + config.seeds * len(config.references)
    jobs += config.ablation.looks[0] * len(config.ablation.arms) if config.ablation else 0
    if resources.cluster is not None:
        share, threads = resources.cluster.share(resources.threads, resources.device)
        return share, resources.workers or max(1, min(share.room(), jobs, config.window)), threads
    cores = available_cores()
    threads = resources.threads or (max(1, cores // (resources.workers or 1)) if cuda else 1)
    fits = max(1, psutil.virtual_memory().available // _BYTES_PER_WORKER)
    workers = resources.workers or (1 if cuda else max(1, min(cores // threads, jobs, fits, config.window)))
    if workers * threads > cores:
        raise InputError(
            f"{workers} workers of {threads} threads need {workers * threads} cores and there are {cores}: "
            "more threads than cores train several times slower; lower --workers or --threads"
        )
    return None, workers, threads


def _start(config: StudyConfig, backbone: Path | None, *, trained: bool) -> Start:
    """Return what the students' backbones start from: the teacher's, or the file if no teacher is trained from it."""
    if config.from_scratch:
        return Start("random")
    return Start("teacher") if backbone is None or trained else Start("file", file_digest(backbone))
