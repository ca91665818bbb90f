"""Compares the records in a study's folder with the trials in its storage, before either is used.

A study is resumed from both. A finished trial without a record is trained again, or read from its checkpoint; what
contradicts the storage is refused, because one of the two was changed from outside.
"""

from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from harness.core.manifest import FILE
from harness.core.record import MEND, TrialRecord, load_records
from harness.core.scores import FILE as SCORES
from harness.core.scores import load_scores
from harness.errors import InputError
from harness.search.plan import label

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
"""State of a record → of its trial, if the trials are told what their trainings reach."""


def check_agreement(folder: Path, trials: list[FrozenTrial], *, scored: bool) -> None:
    """Refuse a folder that contradicts its storage.

    Args:
        folder: ``runs/<study>``.
        trials: the trials in the storage, by number.
        scored: whether the trials are told scores, and only some of them are trained.

    Raises:
        InputError: the folder has trials that the storage lacks, the storage has trials and the folder no study, or a
            record or score is not the trial's.
        DataError: a record or score is damaged.
    """
    candidates = [
        r for r in load_records(folder) if r.role == "candidate" or r.number is not None or r.label.isdecimal()
    ]
    scores = load_scores(folder) if scored else {}
    extra = sorted({*(record.number or 0 for record in candidates), *scores} - {*range(len(trials))})
    if extra:
        raise InputError(
            f"{folder} has a trial {label(extra[-1])} and its storage only {len(trials)} trials: give the --storage it "
            "was made with, choose another --name, or remove the folder to start over"
        )
    if trials and not (folder / FILE).exists():
        raise InputError(
            f"the storage holds {len(trials)} trials of '{folder.name}' without records in {folder}: choose another "
            "--name"
        )
    for record in candidates:
        _check_record(folder, record, trials[record.number or 0], scored=scored)
    for number, score in scores.items():
        told = trials[number].values
        if score.configuration != trials[number].params or (told and told[0] != score.ap.get("mean")):
            raise InputError(
                f"{folder / SCORES}: the score of trial {number} is not the one in the storage: put the original back, "
                "or delete its line, and the same command scores it again"
            )


def _check_record(folder: Path, record: TrialRecord, trial: FrozenTrial, *, scored: bool) -> None:
    path = folder / "trials" / record.label / "record.json"
    same = record.role == "candidate" and record.number == trial.number and record.label == label(trial.number)
    if not same or record.configuration != trial.params:
        raise InputError(f"{path} is not of trial {trial.number} in the storage: {MEND}")
    told = trial.state.is_finished() and not scored and record.state != "running"
    if told and STATES[record.state] != trial.state:
        stored = next(word for word, state in STATES.items() if state == trial.state)
        raise InputError(f"{path} says that the trial is {record.state}, the storage {stored}: {MEND}")
