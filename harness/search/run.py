"""``run_study``: from a study's configuration to its report."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from harness.core.machine import available_cores
from harness.core.manifest import FILE, Images, Manifest, Space, Start, UsedTeacher
from harness.core.names import load_space
from harness.core.protocol import ALONE, StudyConfig
from harness.core.provenance import provenance
from harness.core.record import load_records
from harness.core.space import SearchSpace
from harness.counting import SpaceCounts
from harness.data import SPLITS, load_split
from harness.errors import InputError
from harness.evaluation.protocol import ap_protocol
from harness.models.builder import resolve_arch
from harness.models.device import device_name, resolve_device
from harness.models.weights import file_digest
from harness.search import identity
from harness.search.candidates import Proposer
from harness.search.loop import DIRECTIONS, Search
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


def run_study(config: StudyConfig, resources: Resources, progress: Progress) -> Path:
    """Run a study, or continue it, and return the path of its report.

    Raises:
        InputError: something given is wrong; nothing was started.
        HarnessError, OSError: the environment failed on the way; the same call resumes.
        KeyboardInterrupt: Ctrl-C; there is a report of what was done, and the same call resumes.
    """
    begun = time.monotonic()
    space, counts, proposer = _check_search(config)
    workers, threads = _check_resources(config, resources)
    device = resolve_device(resources.device)
    start = _start(config, resources)
    same = identity.chosen(
        config, space, device.type, threads, _teacher_name(resources), f"{start.kind} {start.digest or ''}".strip()
    )
    folder = resources.runs / config.name
    url = resources.storage or f"sqlite:///{(folder / 'study.db').absolute()}"
    if resources.storage is not None:
        open_storage(url)

    with ExitStack() as stack:
        stack.enter_context(_folder(folder))
        earlier = Manifest.load(folder) if (folder / FILE).exists() else None
        if earlier is not None:
            identity.check(str(folder), earlier.identity, same, config.name)
        pool = Pool(train, workers, threads)
        stack.callback(pool.close)
        cache = resources.runs / "cache"
        splits = {split: load_split(config.data, split, cache, progress.stage) for split in SPLITS}
        same |= identity.of_images(splits)
        if earlier is not None:
            identity.check(str(folder), earlier.identity, same, config.name)
        tracker = open_tracker(resources.tracking_uri, folder, config.name, progress.line)
        stack.callback(tracker.close)
        stack.enter_context(storage_errors(url))
        if earlier is not None or resources.storage is not None:
            _ledger(url, config, same, folder)  # What belongs to another study is refused before a teacher trains.
        teacher = ensure_teacher(
            config,
            resources.runs,
            resources.teacher,
            resources.init_backbone,
            resources.device,
            threads,
            progress.stage,
        )
        used = UsedTeacher(teacher.record.label, file_digest(teacher.path), teacher.record.params, teacher.record.arch)
        ledger = _ledger(url, config, same, folder)
        search_protocol, protocol = (
            ap_protocol(splits[split], config.evaluation, config.data.eval_side) for split in ("search", "val")
        )
        made_by = provenance(device_name(device))
        if earlier is None:
            manifest = Manifest(
                config=config,
                space=Space(space.to_dict(), space.digest(), counts.size, counts.buildable, proposer.feasible),
                data={split: Images(faces.digest, len(faces), len(faces.boxes)) for split, faces in splits.items()},
                search_protocol=search_protocol,
                protocol=protocol,
                start=replace(start, digest=used.digest) if start.kind == "teacher" else start,
                teacher=used,
                identity=same,
                workers=workers,
                threads=threads,
                command=resources.command,
                provenance=made_by,
                started=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        else:
            identity.check(str(folder), {"teacher": earlier.teacher.digest}, {"teacher": used.digest}, config.name)
            if earlier.provenance != made_by:
                progress.line(f"continues a study begun by {earlier.provenance}; what is trained now: {made_by}")
            manifest = _continued(earlier, config, resources.command, len(ledger.trials()))
        if workers > config.window:
            progress.line(f"at most {config.window} candidates train at once: the study's trials depend on --window")
        backbone = None if start.kind == "random" else resources.init_backbone or teacher.path
        plan = Plan(
            config=manifest.config,
            space=space,
            folder=folder,
            cache=cache,
            teacher=teacher,
            search_protocol=search_protocol,
            protocol=protocol,
            start=backbone,
            device=resources.device,
            threads=threads,
            provenance=made_by,
        )
        stopwatch = Stopwatch(config.speed, resources.device)
        search = Search(plan, ledger, proposer, pool, tracker, progress, stopwatch)
        return Session(search, manifest, splits["val"], begun).run()


def _continued(earlier: Manifest, config: StudyConfig, command: str, stored: int) -> Manifest:
    """Return the manifest of a study that is continued, with no fewer trials, seeds and references than it has had.

    Fewer would undo nothing, and make the manifest differ from what ran.
    """
    before = earlier.config
    merged = replace(
        config,
        trials=max(config.trials, stored),
        seeds=max(config.seeds, before.seeds),
        references=tuple(dict.fromkeys((*before.references, *config.references))),
    )
    same = (merged.trials, merged.seeds, merged.references) == (before.trials, before.seeds, before.references)
    return replace(earlier, config=merged, command=earlier.command if same else command)


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
    cores = available_cores()
    for option, value in (("--workers", resources.workers), ("--threads", resources.threads)):
        if value is not None and value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")
    cuda = resolve_device(resources.device).type == "cuda"
    threads = resources.threads or (max(1, cores // (resources.workers or 1)) if cuda else 1)
    fits = max(1, psutil.virtual_memory().available // _BYTES_PER_WORKER)
    jobs = config.trials + config.seeds * len(config.references)
    workers = resources.workers or (1 if cuda else max(1, min(cores // threads, jobs, fits, config.window)))
    if workers * threads > cores:
        raise InputError(
            f"{workers} workers of {threads} threads need {workers * threads} cores and there are {cores}: "
            "more threads than cores train several times slower; lower --workers or --threads"
        )
    teacher, weights = find_teacher(resources.teacher)
    if teacher in config.references:
        raise InputError(f"'{teacher}' is the teacher and a reference: give --references that do without it")
    for option, path in (("--teacher", weights), ("--init-backbone", resources.init_backbone)):
        if path is not None and not path.is_file():
            raise InputError(f"{option}: there is no file {path}")
    if config.from_scratch and resources.init_backbone is not None and weights is not None:
        raise InputError("--init-backbone has nothing to start: --teacher is trained, students begin --from-scratch")
    if resources.tracking_uri not in (None, "none"):
        check_uri(str(resources.tracking_uri))
    if resources.storage is not None:
        check_url(resources.storage)
    return workers, threads


def _start(config: StudyConfig, resources: Resources) -> Start:
    """Return what the students' backbones start from; a teacher's digest is not known yet."""
    if config.from_scratch:
        return Start("random")
    path = resources.init_backbone
    return Start("teacher") if path is None else Start("file", file_digest(path))


def _teacher_name(resources: Resources) -> str:
    arch, path = find_teacher(resources.teacher)
    if path is not None:
        return f"{arch} {file_digest(path)}"
    start = resources.init_backbone
    return "auto" if start is None else f"auto, backbone {file_digest(start)}"


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make the study's folder and hold its lock; remove it again if nothing was written into it.

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


def _ledger(url: str, config: StudyConfig, same: identity.Identity, folder: Path) -> Ledger:
    """Open the study's trials, and make sure that they and the folder belong together.

    Raises:
        InputError: the database holds another study of this name, or the folder's trials are not in it.
    """
    ledger = Ledger(open_storage(url), config.name, [DIRECTIONS[name] for name in config.objectives])
    found = ledger.attributes
    if "identity" in found:
        identity.check("the storage", found["identity"], same, config.name)
    else:
        ledger.set_attribute("identity", same)
    stored = len(ledger.trials())
    kept = sum(record.number is not None for record in load_records(folder))
    if kept > stored:
        raise InputError(
            f"{folder} has {kept} trials and its storage {stored}: give the --storage it was made with, "
            "choose another --name, or remove the folder to start over"
        )
    if stored and not (folder / FILE).exists():
        raise InputError(
            f"the storage holds {stored} trials of '{config.name}' without records in {folder}: choose another --name"
        )
    return ledger
