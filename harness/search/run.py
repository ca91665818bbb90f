"""``run_study``: from a study's configuration to its report. Checks everything, then prepares, searches, measures."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from harness.core.machine import available_cores
from harness.core.names import load_space
from harness.core.protocol import ALONE, StudyConfig
from harness.core.record import load_records
from harness.core.space import SearchSpace
from harness.counting import SpaceCounts
from harness.data import load_split
from harness.errors import InputError
from harness.models.builder import resolve_arch
from harness.models.weights import file_digest
from harness.search import manifest
from harness.search.candidates import Proposer
from harness.search.loop import DIRECTIONS, Search, window
from harness.search.plan import Plan
from harness.search.progress import Progress
from harness.search.session import Session
from harness.search.speeds import Stopwatch
from harness.search.storage import Ledger, check_url, open_storage, single_writer, storage_errors
from harness.search.workers import Pool
from harness.tracking import open_tracker
from harness.tracking.address import check_uri
from harness.training.loop import train
from harness.training.teacher import ensure_teacher, find_teacher

_BYTES_A_WORKER = 2**30


@dataclass(frozen=True)
class Resources:
    """What a study runs on; none of it decides what is found, except the device's arithmetic.

    Attributes:
        runs: the folder of all studies.
        workers, threads: None chooses what is fastest: on a CPU one single-threaded worker a core, on CUDA one worker.
        teacher: ``auto``, the path of V1 weights, or ``ARCH:PATH``.
        init_backbone: weights that a teacher to be trained and every student start their backbone from; None starts
            students from the teacher's.
        storage: a database URL; None is a SQLite file in the study's folder.
        tracking_uri: None is a SQLite file in ``runs``; ``none`` tracks nothing.
        command: how this study is run again, for its report.
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


def run_study(config: StudyConfig, resources: Resources, progress: Progress) -> Path:
    """Run a study, or go on with it, and return the path of its report.

    Raises:
        InputError: something given is wrong; nothing was started.
        HarnessError, OSError: the environment failed on the way; the same call resumes.
        KeyboardInterrupt: Ctrl-C; there is a report of what was done, and the same call resumes.
    """
    begun = time.monotonic()
    space, counts, proposer = _check_search(config)
    workers, threads = _check_resources(config, resources)
    folder = resources.runs / config.name
    url = resources.storage or f"sqlite:///{(folder / 'study.db').absolute()}"
    if resources.storage is not None:
        open_storage(url)
    with ExitStack() as stack:
        stack.enter_context(_folder(folder))
        earlier = manifest.read(folder)
        if earlier is not None:
            manifest.check_identity(str(folder), earlier["identity"], manifest.choices(config, space), config.name)
        pool = Pool(train, workers, threads)
        stack.callback(pool.close)
        cache = resources.runs / "cache"
        images, val = (load_split(config.data, split, cache, progress.stage) for split in ("train", "val"))
        same = manifest.identity(config, space, images, val, resources.device.partition(":")[0], _origin(resources))
        if earlier is not None:
            manifest.check_identity(str(folder), earlier["identity"], same, config.name)
        tracker = open_tracker(resources.tracking_uri, folder, config.name, progress.line)
        stack.callback(tracker.close)
        stack.enter_context(storage_errors(url))
        ledger = None
        if earlier is not None or resources.storage is not None:
            ledger = _ledger(url, config, same, workers, folder)
        teacher = ensure_teacher(
            config,
            resources.runs,
            resources.teacher,
            resources.init_backbone,
            resources.device,
            workers * threads,
            progress.stage,
        )
        taught = {"teacher": file_digest(teacher.path)}
        if earlier is not None:
            manifest.check_identity(str(folder), {"teacher": earlier["teacher"]["digest"]}, taught, config.name)
        ledger = ledger or _ledger(url, config, same, workers, folder)
        if earlier is not None:
            config = _with_what_ran(config, earlier["config"], len(ledger.trials()))
            before = [earlier["config"][name] for name in ("trials", "seeds", "references")]
            if [config.trials, config.seeds, list(config.references)] == before:
                resources = replace(resources, command=earlier["command"])
        made = {"identity": same, "workers": workers, "threads": threads, "device": resources.device}
        content = manifest.describe(config, space, counts, images, val, teacher, made | {"command": resources.command})
        start = None if config.from_scratch else resources.init_backbone or teacher.path
        plan = Plan(config, space, folder, cache, teacher, content["protocol"], start, resources.device, threads)
        stopwatch = Stopwatch(config.speed, resources.device)
        width = ledger.attributes["window"]
        if workers > width:
            progress.line(f"at most {width} trials run at once, as when this study began: its trials depend on that")
        search = Search(plan, ledger, proposer, pool, tracker, progress, stopwatch, width)
        return Session(search, content, val, earlier, begun).run()


def _with_what_ran(config: StudyConfig, earlier: dict[str, Any], stored: int) -> StudyConfig:
    """Return the configuration with no fewer trials, seeds and references than the study has had.

    Fewer would undo nothing, and only make the record say something else than what ran.
    """
    return replace(
        config,
        trials=max(config.trials, stored),
        seeds=max(config.seeds, earlier["seeds"]),
        references=tuple(dict.fromkeys((*earlier["references"], *config.references))),
    )


def _check_search(config: StudyConfig) -> tuple[SearchSpace, SpaceCounts, Proposer]:
    space = load_space(config.space)
    counts = SpaceCounts(space)
    for name in config.references:
        resolve_arch(name.removesuffix(ALONE))
    directions = [DIRECTIONS[name] for name in config.objectives]
    return space, counts, Proposer(space, counts, config.budget, config.sampler, directions, config.seed)


def _check_resources(config: StudyConfig, resources: Resources) -> tuple[int, int]:
    """Return workers and threads, after refusing what cannot be.

    Raises:
        InputError: names the option, what was given and what is accepted.
    """
    cuda = resources.device.startswith("cuda")
    cores = available_cores()
    if resources.workers is not None and resources.workers < 1:
        raise InputError(f"--workers must be at least 1, got {resources.workers}")
    if resources.threads is not None and resources.threads < 1:
        raise InputError(f"--threads must be at least 1, got {resources.threads}")
    fits = max(1, psutil.virtual_memory().available // _BYTES_A_WORKER)
    jobs = config.trials + config.seeds * len(config.references)
    workers = resources.workers or (1 if cuda else min(cores // (resources.threads or 1) or 1, jobs, fits))
    threads = resources.threads or (max(1, cores // workers) if cuda else 1)
    if workers * threads > cores:
        raise InputError(
            f"{workers} workers of {threads} threads need {workers * threads} cores and there are {cores}: "
            "more threads than cores train several times slower; lower --workers or --threads"
        )
    if cuda:
        import torch

        index = int(resources.device.partition(":")[2] or 0) if resources.device.partition(":")[2].isdigit() else 0
        if index >= torch.cuda.device_count():
            raise InputError(f"--device {resources.device}: PyTorch sees {torch.cuda.device_count()} CUDA devices")
    elif resources.device != "cpu":
        raise InputError(f"--device is cpu, cuda or cuda:N, got '{resources.device}'")
    teacher, weights = find_teacher(resources.teacher)
    if teacher in config.references:
        raise InputError(f"'{teacher}' is the teacher and a reference: give --references that do without it")
    given = {"--teacher": weights, "--init-backbone": resources.init_backbone}
    for option, path in given.items():
        if path is not None and not path.is_file():
            raise InputError(f"{option}: there is no file {path}")
    if config.from_scratch and resources.init_backbone is not None and weights is not None:
        raise InputError("--init-backbone has nothing to start: --teacher is trained, students begin --from-scratch")
    if resources.tracking_uri not in (None, "none"):
        check_uri(str(resources.tracking_uri))
    if resources.storage is not None:
        check_url(resources.storage)
    return workers, threads


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make the study's folder and hold its lock; a folder in which nothing came to lie is removed again.

    Raises:
        InputError: the folder cannot be made or written, or another process holds it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}): choose another place with --runs") from error
    with single_writer(folder):
        try:
            yield
        finally:
            if [path.name for path in folder.iterdir()] == ["lock"]:
                (folder / "lock").unlink()
                with suppress(OSError):  # A parent that holds something else stays.
                    for path in made:
                        path.rmdir()


def _origin(resources: Resources) -> str:
    arch, path = find_teacher(resources.teacher)
    teacher = "auto" if path is None else f"{arch} {file_digest(path)}"
    start = resources.init_backbone
    return teacher if start is None else f"{teacher}, backbone from {file_digest(start)}"


def _ledger(url: str, config: StudyConfig, same: dict[str, Any], workers: int, folder: Path) -> Ledger:
    """Open the study's trials, and make sure that they and the folder belong together.

    Raises:
        InputError: the database holds another study of this name, or the folder's trials are not in it.
    """
    ledger = Ledger(open_storage(url), config.name, [DIRECTIONS[name] for name in config.objectives])
    found = ledger.attributes
    if "identity" in found:
        manifest.check_identity("the storage", found["identity"], same, config.name)
    else:
        ledger.set_attribute("window", window(workers))
        ledger.set_attribute("identity", same)
    stored = len(ledger.trials())
    kept = sum(record.number is not None for record in load_records(folder))
    if kept > stored:
        raise InputError(
            f"{folder} has {kept} trials and its storage {stored}: give the --storage it was made with, "
            "choose another --name, or remove the folder to start over"
        )
    if stored and not manifest.read(folder):
        raise InputError(
            f"the storage holds {stored} trials of '{config.name}' without records in {folder}: choose another --name"
        )
    return ledger
