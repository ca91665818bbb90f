"""The short list: the best candidates by score that differ, trained for one epoch before the finalists are chosen.

A score after few steps prefers networks that learn fast, and does not tell siblings apart. An epoch of all weights does
better, at several times the cost, so that only few candidates have it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.core.protocol import StudyConfig
from harness.core.scores import SHORTLIST, Scored, append_score, load_scores
from harness.core.space import Configuration
from harness.search.batch import run_all
from harness.search.plan import label
from harness.search.pool import Event, Pool
from harness.search.progress import Progress
from harness.training.look import LookJob


def differing(ranked: Sequence[Scored], number: int, apart: int) -> list[Scored]:
    """Return ``number`` candidates: the best ones of which each differs from every better one.

    Args:
        ranked: the candidates, best first.
        number: how many; the best of the others are added if too few differ.
        apart: number of options in which two candidates differ at least. An option that only one of them has counts.
    """
    chosen: list[Scored] = []
    for one in ranked:
        if len(chosen) < number and all(_differences(one, other) >= apart for other in chosen):
            chosen.append(one)
    numbers = {one.number for one in chosen}
    return [*chosen, *(one for one in ranked if one.number not in numbers)][:number]


def _differences(one: Scored, other: Scored) -> int:
    names = one.configuration.keys() | other.configuration.keys()
    return sum(one.configuration.get(name) != other.configuration.get(name) for name in names)


def unlisted(config: StudyConfig, folder: Path) -> int:
    """Return how many candidates of a study's short list are still to be trained; 0 without a short list."""
    wanted = 0 if config.sharing is None else min(config.sharing.shortlist, config.trials)
    return max(0, wanted - len(load_scores(folder, SHORTLIST, mend=False)))


def looked_at(
    listed: Sequence[Scored],
    folder: Path,
    pool: Pool,
    progress: Progress,
    job: Callable[[int, Configuration], LookJob],
) -> list[Scored]:
    """Train the candidates of a short list for one epoch, and return those that did not fail with their new APs.

    Args:
        listed: the candidates.
        folder: the study's folder, where every AP is kept.
        pool: the workers.
        progress: displays how far it is.
        job: number and configuration → what a worker trains.

    Raises:
        HarnessError, OSError: an error that every other candidate would meet too; the study can be resumed.
    """
    found = load_scores(folder, SHORTLIST)
    by_label = {label(one.number): one for one in listed}
    waiting = [name for name, one in by_label.items() if one.number not in found]

    def following() -> tuple[str, LookJob] | None:
        if not waiting:
            return None
        one = by_label[name := waiting.pop(0)]
        return name, job(one.number, one.configuration)

    def ended(event: Event) -> None:
        one = by_label[event.label]
        if event.kind == "failed":
            progress.line(f"{event.label}: could not be trained ({event.content})")
            scored = Scored(one.number, one.configuration, one.params, reason=str(event.content))
        else:
            seconds = event.content.seconds
            scored = Scored(one.number, one.configuration, one.params, event.content.ap, seconds=seconds)
        append_score(folder, scored, SHORTLIST)
        found[one.number] = scored

    def show() -> None:
        done = sum(one.number in found for one in listed)
        progress.stage("short list, one epoch each", done, len(listed))

    run_all(following, pool, progress, ended, show)
    return [found[one.number] for one in listed if found[one.number].ap.get("mean") is not None]
