"""``Sender``: sends the content of a study's folder to a tracking server. For one thread; any call may fail halfway.

Data is kept until it has arrived: after a failure, ``send`` continues where the last call stopped.
"""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.core.manifest import FILE, Manifest
from harness.core.record import TrialRecord
from harness.core.secrets import mask_url
from harness.errors import DataError
from harness.tracking.content import STATUS, Content, arm_content, study_content, trial_content
from harness.tracking.state import TrackingState
from harness.tracking.store import RejectedError, Store
from harness.tracking.view import experiment_tags

SAVE_EVERY = 10.0
"""Seconds between two times that ``tracking.json`` is written while a study runs; what it lacks is on the server."""

ARM = "arm:"
"""Prefix of the label of the run of an ablation's network."""


def now() -> int:
    """Return the time in milliseconds since 1970, as MLflow stores it."""
    return round(time.time() * 1000)


class Sender:
    """Queues the data of one study, sends it, and records what has arrived.

    Args:
        uri: a checked tracking URI.
        folder: ``runs/<study>``.
        experiment: the experiment's name.
        warn: called with one line when the server refuses a value for good.
    """

    def __init__(self, uri: str, folder: Path, experiment: str, warn: Callable[[str], None]) -> None:
        self._uri, self._folder, self._experiment, self._warn = uri, folder, experiment, warn
        self.state = TrackingState.load(folder / "tracking.json", mask_url(uri))
        self.pending: set[str] = set()
        self.study_pending = False
        self._study: Manifest | None = None
        self._finished: bool | None = None
        self._records: dict[str, TrialRecord] = {}
        self._store: Store | None = None
        self._records_read = False
        self._saved = -SAVE_EVERY
        self._rejected: set[str] = set()

    def set_study(self, study: Manifest, finished: bool | None) -> None:
        """Queue a study; ``finished`` is None while it runs, False if it was interrupted."""
        self._study, self._finished, self.study_pending = study, finished, True
        if finished is None:
            self.state.started.setdefault("", now())

    def add_trial(self, record: TrialRecord, seen: int) -> None:
        """Queue a trial's record as of the time ``seen``, in milliseconds since 1970."""
        self._records[record.label] = record
        self.pending.add(record.label)
        self._note_times(record, seen, 0)

    def add_artifact(self, label: str, path: Path) -> None:
        """Queue a file or folder for the run of a trial, or of the study (empty label)."""
        name = path.relative_to(self._folder) if path.is_relative_to(self._folder) else path
        self.state.artifacts.setdefault(f"{label}:{name}", "")

    def set_model(self, label: str) -> None:
        """Queue a trained network as the study's model."""
        if label != self.state.model:
            self.state.model, self.state.model_sent = label, ""

    def disconnect(self) -> None:
        """Drop the connection; the next ``send`` reads the server's content again."""
        self._store = None

    def send(self) -> None:
        """Send everything that has not arrived yet.

        Raises:
            GoneError: runs were deleted from the server; after ``disconnect``, the next ``send`` creates them again.
            Exception: whatever MLflow raises while a server or database does not answer.
        """
        study = self._study
        if study is None:
            return
        if not self._records_read:
            self._read_records()
            self._records_read = True
        self._save()
        store = self._connected()
        try:
            if self.study_pending:
                self._send_study(store, study)
                self.study_pending = False
            for label in sorted(self.pending):
                self._send_trial(store, study, label)
            if self._finished is not None:
                for label, record in self._records.items():
                    if record.state == "running":
                        self._send_trial(store, study, label)
            self._send_artifacts(store)
            self._save()
            self._send_model(store, study)
        finally:
            self._save()

    def _save(self) -> None:
        """Write the state, which is of the size of the study, at its beginning and end and sometimes between them."""
        if self._finished is not None or time.monotonic() - self._saved >= SAVE_EVERY:
            self.state.save(self._folder / "tracking.json")
            self._saved = time.monotonic()

    def _note_times(self, record: TrialRecord, seen: int, lasted: int) -> None:
        self.state.started.setdefault(record.label, seen - lasted)
        if record.state == "running":
            self.state.ended.pop(record.label, None)
        else:
            self.state.ended.setdefault(record.label, seen)

    def _read_records(self) -> None:
        """Find trials on disk that were never sent: trained before a resume, or while the server was down."""
        for path in sorted(self._folder.glob("trials/*/record.json")):
            if path.parent.name in self._records:
                continue
            with suppress(DataError, OSError):
                record = without_curves(TrialRecord.load(path.parent))
                seen = round(path.stat().st_mtime * 1000)
                self._records[record.label] = record
                self._note_times(record, seen, round(1000 * sum(e.get("seconds") or 0.0 for e in record.epochs)))
                if self.state.sent.get(record.label) != _fingerprint(record):
                    self.pending.add(record.label)

    def _connected(self) -> Store:
        if self._store is None:
            state = self.state
            store = Store(self._uri, self._experiment, self._folder.parent / "mlartifacts" / self._experiment)
            runs = store.find_runs(state.study_id)
            state.experiment_id, parent = store.experiment_id, runs.pop("", "")
            if not parent or parent != state.parent:
                state.artifacts, state.model_sent = dict.fromkeys(state.artifacts, ""), ""
                self.study_pending = True
            gone = set(state.sent) - set(runs)
            for label in gone:
                del state.sent[label]
            self.pending |= gone & set(self._records)
            state.parent, state.runs, self._store = parent, runs, store
        return self._store

    def _send_study(self, store: Store, study: Manifest) -> None:
        state = self.state
        content = study_content(study, self._records, self._finished)
        started = state.started.setdefault("", min([now(), *state.started.values()]))
        if not state.parent:
            state.parent = store.create_run(content.name, state.study_id, "", started, "")
        self._write(store, state.parent, content, started, now())
        space = study.space.definition
        compares = study.config.ablation is not None
        store.describe_experiment(experiment_tags(content.tags["mlflow.note.content"], space, arms=compares))
        store.upload_json(state.parent, space, "space.json")
        if self._finished is not None:
            store.upload_json(state.parent, study.to_dict(), FILE)

    def _send_trial(self, store: Store, study: Manifest, label: str) -> None:
        state, record = self.state, self._records[label]
        content = trial_content(record, study)
        if self._finished is not None and record.state == "running":
            content = replace(content, status="KILLED", tags=content.tags | {"state": "interrupted"})
        arm = self._arm(study, record)
        if label not in state.runs:
            parent = state.parent if arm is None else self._arm_run(store, arm, state.started[label])
            name = f"{label}-s1" if label == arm else label  # The network's own run has its label.
            state.runs[label] = store.create_run(name, state.study_id, label, state.started[label], parent)
        self._write(store, state.runs[label], content, state.started[label], state.ended.get(label) or now())
        if arm is not None:
            self._send_arm(store, study, arm)
        state.sent[label] = _fingerprint(record)
        self.pending.discard(label)

    @staticmethod
    def _arm(study: Manifest, record: TrialRecord) -> str | None:
        """Return the label of the ablation's network that a record trains; None if it is none."""
        name, ablation = record.repeat_of or record.label, study.config.ablation
        return name if ablation is not None and name in {arm.label for arm in ablation.arms} else None

    def _arm_run(self, store: Store, arm: str, started: int) -> str:
        """Return the run of an ablation's network, below which the runs of its trainings are nested."""
        key = f"{ARM}{arm}"
        if key not in self.state.runs:
            self.state.runs[key] = store.create_run(arm, self.state.study_id, key, started, self.state.parent)
        return self.state.runs[key]

    def _send_arm(self, store: Store, study: Manifest, arm: str) -> None:
        """Send means and deviations over the seeds of an ablation's network."""
        records = [record for record in self._records.values() if arm in (record.label, record.repeat_of)]
        content = arm_content(arm, sorted(records, key=lambda record: record.training_number), study)
        if self._finished is not None and content.status == STATUS["running"]:
            content = replace(content, status="KILLED")
        started = min(self.state.started[record.label] for record in records)
        ended = max(self.state.ended.get(record.label, 0) for record in records) or now()
        self._write(store, self._arm_run(store, arm, started), content, started, ended)

    def _write(self, store: Store, run_id: str, content: Content, started: int, ended: int) -> None:
        try:
            store.write(run_id, content, started, ended)
        except RejectedError as error:
            self._warn_refused(f"values of run '{content.name}'", error)

    def _send_artifacts(self, store: Store) -> None:
        state = self.state
        for key, sent in list(state.artifacts.items()):
            label, _, name = key.partition(":")
            path = self._folder / name
            run_id = state.runs.get(label) if label else state.parent
            if run_id and path.exists() and (signature := _signature(path)) != sent:
                try:
                    store.upload(run_id, path)
                except RejectedError as error:
                    self._warn_refused(name, error)
                state.artifacts[key] = signature

    def _send_model(self, store: Store, study: Manifest) -> None:
        state, label = self.state, self.state.model
        weights = self._folder / "trials" / label / "weights.safetensors"
        if label not in state.runs or not weights.is_file() or (signature := _signature(weights)) == state.model_sent:
            return
        from harness.tracking.model import mlflow_model  # Loads PyTorch, which takes seconds.

        record = self._records[label]
        with ExitStack() as stack:
            try:
                model, digest = stack.enter_context(mlflow_model(record, weights, study.name))
            except Exception as error:  # Not the server's fault: trying again would not help.
                self._warn_refused(f"{label} as a model", error)
            else:
                store.register(state.runs[label], study.name, trial_content(record, study), model, digest)
        state.model_sent = signature

    def _warn_refused(self, what: str, error: Exception) -> None:
        if what not in self._rejected:
            self._rejected.add(what)
            self._warn(f"tracking at {mask_url(self._uri)} refuses {what}: {error}")


def without_curves(record: TrialRecord) -> TrialRecord:
    """Return a deep copy without the precision-recall curves, which are not sent."""
    return deepcopy(replace(record, curves={}))


def _fingerprint(record: TrialRecord) -> str:
    text = json.dumps(asdict(replace(record, curves={})), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _signature(path: Path) -> str:
    """Return a digest of the names, sizes and times of a file, or of all files of a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    stats: list[tuple[Any, ...]] = [(str(p.relative_to(path)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:12]


def ran_all(study: Manifest) -> bool:
    """Return whether the study ran all its trials."""
    trials = study.standing.trials
    ran = sum(trials.get(state, 0) for state in ("complete", "pruned", "failed"))
    return ran >= trials.get("wanted", study.config.trials)
