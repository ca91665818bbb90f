"""``run_study``: runs a study from its configuration to its report."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from harness.core.arch import ARCHS
from harness.core.files import write_atomically
from harness.core.manifest import FILE, Images, Manifest, Space, UsedTeacher
from harness.core.names import load_space
from harness.core.protocol import ALONE, StudyConfig
from harness.core.provenance import Provenance, provenance
from harness.core.space import SearchSpace
from harness.counting import SpaceCounts
from harness.data import SPLITS, load_split
from harness.data.faces import FaceSet
from harness.errors import InputError, Preempted, unknown_name
from harness.evaluation.latency import ensure_latencies
from harness.evaluation.protocol import ap_protocol
from harness.models.device import device_name, precision
from harness.models.latency import FILE as LATENCIES
from harness.models.latency import LatencyTable, parts_in, parts_of
from harness.models.weights import file_digest
from harness.search import identity
from harness.search.agreement import check_agreement
from harness.search.candidates import Proposer
from harness.search.cluster import joined
from harness.search.loop import DIRECTIONS, Search
from harness.search.plan import Plan
from harness.search.pool import Pool
from harness.search.progress import Progress
from harness.search.resources import Checked, Resources, check_resources
from harness.search.session import Session
from harness.search.speeds import THREADS, Stopwatch
from harness.search.storage import Ledger, open_storage, single_writer, storage_errors
from harness.search.trials import Trials
from harness.search.work import work
from harness.search.workers import Processes
from harness.tracking import Tracker, open_tracker
from harness.training.reuse import Finished
from harness.training.teacher import Teacher, ensure_teacher


def run_study(config: StudyConfig, resources: Resources, progress: Progress) -> Path:
    """Run a study, or continue it, and return the path of its report.

    Raises:
        InputError: something given is wrong; nothing was started.
        HarnessError, OSError: the environment failed during the run; the same call resumes.
        KeyboardInterrupt: Ctrl-C; a report of the trials so far is written, and the same call resumes.
    """
    begun = time.monotonic()
    # What fits without regard to latency is known at once; nothing is measured for a study that is refused anyway.
    space, proposer = _check_search(replace(config, budget=replace(config.budget, max_latency_ratio=None)), None)
    folder, cache = resources.runs / config.name, resources.runs / "cache"

    with ExitStack() as stack:
        if resources.cluster is not None:
            stack.enter_context(joined(resources.cluster))
        checked = check_resources(config, resources)
        same = identity.chosen(config, space, checked)
        stack.enter_context(_folder(folder))
        earlier = Manifest.load(folder) if (folder / FILE).exists() else None
        _check_earlier(earlier, same, folder)
        latencies = _latencies(config, space, resources, folder, earlier, progress)
        same |= identity.of_latencies(latencies)
        _check_earlier(earlier, same, folder)
        if latencies is not None:
            _, proposer = _check_search(config, latencies)
        pool = _pool(config, checked, folder, progress)
        stack.callback(pool.close)
        splits = {split: load_split(config.data, split, cache, progress.stage) for split in SPLITS}
        same |= identity.of_images(splits)
        _check_earlier(earlier, same, folder)
        tracker = open_tracker(resources.tracking_uri, folder, config.name, progress.line)
        stack.push(partial(_close, tracker))
        stack.enter_context(storage_errors(checked.url))
        early = earlier is not None or resources.storage is not None
        if early:  # Refuses another study's trials before a teacher is trained.
            ledger = stack.enter_context(_ledger(checked.url, config, same, folder, progress))
        teacher = ensure_teacher(
            config,
            resources.runs,
            resources.teacher,
            resources.init_backbone,
            resources.device,
            checked.threads,
            progress.stage,
        )
        if not early:
            ledger = stack.enter_context(_ledger(checked.url, config, same, folder, progress))
        if earlier is None:
            if latencies is not None:
                latencies.save(folder / LATENCIES)
            for name, text in resources.files.items():
                write_atomically(folder / name, text.encode())
            manifest = _begin(config, resources, checked, same, proposer, splits, teacher)
        else:
            manifest = _continue(earlier, config, resources, checked, teacher, len(ledger.trials()), progress)
        unseen = [axis.name for axis in load_space(config.space).axes if axis not in space.axes]
        if unseen:
            progress.line(f"scores do not see {', '.join(unseen)}: all finalists are trained with the study's values")
        if checked.workers > config.window:
            progress.line(
                f"at most {config.window} candidates train at once: --window limits them, and the trials depend on it"
            )
        plan = Plan(
            config=manifest.config,
            space=space,
            folder=folder,
            cache=cache,
            images=(splits["train"].digest, splits["search"].digest),
            teacher=teacher,
            search_protocol=manifest.search_protocol,
            protocol=manifest.protocol,
            start=checked.weights(teacher.path, resources),
            device=resources.device,
            threads=checked.threads,
            provenance=_made_here(config, checked),
            latencies=latencies,
        )
        trials = Trials(ledger, proposer, plan.config.trials, plan.config.window)
        search = Search(plan, trials, proposer, pool, tracker, progress, Finished(resources.runs))
        stopwatch = Stopwatch(config.speed, resources.device)
        return Session(search, manifest, splits["val"], stopwatch, begun).run()


def _close(tracker: Tracker, kind: type[BaseException] | None, *_: object) -> None:
    """End tracking; after SIGTERM there is no time to wait for a server."""
    tracker.close(2.0) if kind is Preempted else tracker.close()


def _pool(config: StudyConfig, checked: Checked, folder: Path, progress: Progress) -> Pool:
    if checked.share is None:
        return Processes(work, checked.workers, checked.threads)
    from harness.search.actors import Actors  # Imports Ray.

    return Actors(
        work,
        checked.workers,
        checked.threads,
        share=checked.share,
        folder=folder,
        made=_made_here(config, checked),
        side=config.train.side(config.data.size),
        say=progress.line,
    )


def _latencies(
    config: StudyConfig,
    space: SearchSpace,
    resources: Resources,
    folder: Path,
    earlier: Manifest | None,
    progress: Progress,
) -> LatencyTable | None:
    """Return the latencies of the space's parts and of the references'; None if no latency is predicted.

    A continued study keeps its own table, so that all its trials are compared by the same numbers.
    """
    if not config.predicts_latency:
        return None
    if earlier is not None:
        return LatencyTable.load(folder / LATENCIES)
    references = [placed for name in config.references for placed in parts_of(ARCHS[name.removesuffix(ALONE)])]
    wanted = [*parts_in(space), *references]
    cache = resources.runs / "cache"
    return ensure_latencies(wanted, config.speed, resources.device, THREADS, cache, progress.stage)


def _check_search(config: StudyConfig, latencies: LatencyTable | None) -> tuple[SearchSpace, Proposer]:
    space = load_space(config.space)
    for name in config.references:
        if name.removesuffix(ALONE) not in ARCHS:
            raise unknown_name("reference", name, (*ARCHS, *(f"{arch}{ALONE}" for arch in ARCHS)))
    if config.sharing is not None:
        space = space.architectures()  # A score by shared weights sees no other axes.
        if not space.axes:
            raise InputError(
                f"all axes of space '{space.name}' change only the training, which a score by shared weights does not "
                "see: choose another --space, or give --no-sharing"
            )
    directions = [DIRECTIONS[name] for name in config.objectives]
    counts = SpaceCounts(space, latencies)
    return space, Proposer(
        space, counts, config.budget, config.sampler, directions, config.seed, config.enqueued[: config.trials]
    )


def _check_earlier(earlier: Manifest | None, same: identity.Identity, folder: Path) -> None:
    if earlier is not None:
        identity.check(str(folder), earlier.identity, same, earlier.name)


def _begin(
    config: StudyConfig,
    resources: Resources,
    checked: Checked,
    same: identity.Identity,
    proposer: Proposer,
    splits: Mapping[str, FaceSet],
    teacher: Teacher,
) -> Manifest:
    """Return the manifest of a new study."""
    space, counts, used = proposer.space, proposer.counts, _used(teacher)
    search_protocol, protocol = (
        ap_protocol(splits[split], config.evaluation, config.data.eval_side) for split in ("search", "val")
    )
    start = checked.start
    return Manifest(
        config=config,
        space=Space(space.to_dict(), space.digest(), counts.size, counts.buildable, proposer.feasible),
        data={split: Images(faces.digest, len(faces), len(faces.boxes)) for split, faces in splits.items()},
        search_protocol=search_protocol,
        protocol=protocol,
        start=replace(start, digest=used.digest) if start.kind == "teacher" else start,
        teacher=used,
        identity=same,
        workers=checked.workers,
        threads=checked.threads,
        command=resources.command,
        provenance=_made_here(config, checked),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _continue(
    earlier: Manifest,
    config: StudyConfig,
    resources: Resources,
    checked: Checked,
    teacher: Teacher,
    stored: int,
    progress: Progress,
) -> Manifest:
    """Return the manifest of a study that is continued; it never has fewer trials, seeds or references than before.

    The trainings exist already, so that a smaller number would make the manifest wrong.
    """
    before, used, now = earlier.config, _used(teacher), _made_here(config, checked)
    where = str(resources.runs / config.name)
    identity.check(where, {"teacher": earlier.teacher.digest}, {"teacher": used.digest}, config.name)
    if earlier.provenance != now:
        progress.line(f"continues a study started with {earlier.provenance}; new trainings use {now}")
    merged = replace(
        config,
        trials=max(config.trials, stored),
        seeds=max(config.seeds, before.seeds),
        references=tuple(dict.fromkeys((*before.references, *config.references))),
    )
    same = (merged.trials, merged.seeds, merged.references) == (before.trials, before.seeds, before.references)
    return replace(earlier, config=merged, command=earlier.command if same else resources.command)


def _made_here(config: StudyConfig, checked: Checked) -> Provenance:
    """Return the provenance of everything that this run trains."""
    return provenance(device_name(checked.device), precision(checked.device, config.train.side(config.data.size)))


def _used(teacher: Teacher) -> UsedTeacher:
    record = teacher.record
    return UsedTeacher(record.label, file_digest(teacher.path), record.params, record.arch)


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
                with suppress(OSError):  # A parent with other content stays.
                    for path in made:
                        path.rmdir()


@contextmanager
def _ledger(
    url: str, config: StudyConfig, same: identity.Identity, folder: Path, progress: Progress
) -> Iterator[Ledger]:
    """Open the study's trials for this process alone, and check that they belong to the folder.

    Raises:
        InputError: another process runs the study, the database holds another study of this name, or the folder's
            trials are not those in it.
    """
    ledger = Ledger(open_storage(url), config.name, [DIRECTIONS[name] for name in config.objectives])
    with ledger.owned(progress.line):
        found = ledger.attributes
        if "identity" in found:
            identity.check("the storage", found["identity"], same, config.name)
        else:
            ledger.set_attribute("identity", same)
        check_agreement(folder, ledger.trials(), scored=config.sharing is not None)
        yield ledger
