"""``Outcome``: what became of a disturbed study's trials, compared with those of the undisturbed one."""

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any, Self

import optuna

from benchmarks.faults.study import Disturbed
from harness.core.manifest import Manifest
from harness.core.record import TrialRecord
from harness.search.agreement import STATES
from harness.search.storage import open_storage


@dataclass(frozen=True)
class Outcome:
    """Numbers of trials, over one or more studies.

    Attributes:
        started: trials in the database.
        finished: those that ended with the same state in the database and in their records.
        lost: trials of the undisturbed study that did not finish.
        twice: trials in the database beyond those, configurations that occur again, and networks that the tracking
            server holds more than once.
        changed: finished trials with other losses or APs than undisturbed, bit for bit.
        other_best: studies whose best student, or its AP, is another one than undisturbed.
    """

    started: int = 0
    finished: int = 0
    lost: int = 0
    twice: int = 0
    changed: int = 0
    other_best: int = 0

    def __add__(self, other: Self) -> "Outcome":
        return Outcome(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, counted twice or changed."""
        return not (self.lost or self.twice or self.changed or self.other_best)


def results(record: TrialRecord) -> Any:
    """Return what must not depend on faults."""
    epochs = [(epoch["epoch"], epoch["losses"], epoch["ap"]) for epoch in record.epochs]
    return record.state, record.seed, record.configuration, epochs, record.search_ap


def best(study: Disturbed) -> Any:
    """Return a study's best student with its APs."""
    label = Manifest.load(study.folder).standing.best
    record = study.records()[label or ""]
    return label, record.search_ap, record.ap


def compare(
    study: Disturbed, undisturbed: Disturbed, failing: str = "", tracked: Counter[str] | None = None
) -> Outcome:
    """Return the outcome of a study that has ended.

    Args:
        study: the disturbed one.
        undisturbed: the same without faults.
        failing: label of a trial whose fault is recorded as its failure.
        tracked: label → number of its runs on the tracking server.
    """
    storage = open_storage(study.url)
    try:
        trials = optuna.load_study(study_name=study.name, storage=storage).get_trials(deepcopy=False)
    finally:
        storage.engine.dispose()
    records, wanted = study.records(), undisturbed.records()
    finished: dict[str, TrialRecord] = {}
    for trial in trials:
        record = records.get(f"{trial.number:04d}")
        if record is not None and trial.state.is_finished() and STATES.get(record.state) == trial.state:
            finished[record.label] = record
    expected = [label for label, record in wanted.items() if record.role == "candidate"]
    seen = Counter(tuple(sorted(trial.params.items())) for trial in trials)
    again = sum(number - 1 for number in seen.values()) + max(0, len(trials) - len(expected))
    changed = [
        label
        for label, record in finished.items()
        if label in wanted
        and (record.state != "failed" if label == failing else results(record) != results(wanted[label]))
    ]
    return Outcome(
        started=len(trials),
        finished=len(finished),
        lost=sum(label not in finished for label in expected),
        twice=again + sum(number - 1 for number in (tracked or Counter[str]()).values()),
        changed=len(changed),
        other_best=int(best(study) != best(undisturbed)),
    )
