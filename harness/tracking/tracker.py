"""``Tracker``: what a study calls while it runs; ``MLflowTracker`` answers at once and sends from its own thread."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from harness.errors import DataError, InputError
from harness.record import TrialRecord
from harness.tracking.address import check_uri, default_uri, is_server, redact
from harness.tracking.content import Content, study_content, trial_content
from harness.tracking.state import TrackingState
from harness.tracking.store import GoneError, RejectedError, Store, reason
from harness.tracking.view import experiment_tags, run_route, view_route

Warn = Callable[[str], None]
_LOG = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0
"""Seconds between attempts while a server is down; doubled each time."""


class Tracker(Protocol):
    """Where a study tells what it does. No method waits, and none raises."""

    def start_study(self, study: Mapping[str, Any]) -> None:
        """Tell what is going to run (``study.json``'s content)."""

    def trial(self, record: TrialRecord) -> None:
        """Tell all that is known of one trial; called at its start, after every epoch and at its end."""

    def artifacts(self, label: str | None, paths: Iterable[Path]) -> None:
        """Keep files or folders with a trial's run, or with the study's (None)."""

    def finish_study(self, study: Mapping[str, Any]) -> None:
        """Tell how the study ended."""

    def close(self, timeout: float = 20.0) -> int:
        """Send what is left for up to ``timeout`` seconds and return how many trials are still to be sent."""

    def url(self) -> str:
        """Return where to look: an address, or the command that opens one; empty where nothing is tracked."""


class NullTracker:
    """Tracks nothing."""

    def start_study(self, study: Mapping[str, Any]) -> None:
        """Do nothing."""

    def trial(self, record: TrialRecord) -> None:
        """Do nothing."""

    def artifacts(self, label: str | None, paths: Iterable[Path]) -> None:
        """Do nothing."""

    def finish_study(self, study: Mapping[str, Any]) -> None:
        """Do nothing."""

    def close(self, timeout: float = 20.0) -> int:  # noqa: ARG002
        """Do nothing."""
        return 0

    def url(self) -> str:
        """Return nothing."""
        return ""


def _now() -> int:
    return round(time.time() * 1000)


class MLflowTracker:
    """Sends a study to MLflow: a parent run for the study, a nested run for each trial.

    A thread of its own connects (which takes seconds: MLflow's import, a new database), sends the latest state of
    each trial, and tries again while the server is down. Everything comes from the records on disk: what could not
    be sent is sent by the next run of the study, or by ``resync``.

    Args:
        uri: the tracking URI; see ``address.ACCEPTED``.
        study_folder: ``runs/<study>``; ``tracking.json`` is kept there.
        experiment: the experiment's name.
        warn: takes one line when the server stops answering, and one at the end for what is left.

    Raises:
        InputError: the URI is malformed.
    """

    def __init__(self, uri: str, study_folder: Path, experiment: str, warn: Warn | None = None) -> None:
        self._uri = check_uri(uri)
        self._folder = study_folder.absolute()
        self._experiment = experiment
        self._warn = warn or _LOG.warning
        self._changed = threading.Condition()
        self._closing = False
        self._busy = False
        self._inbox: dict[str, tuple[TrialRecord, int]] = {}
        self._files: list[tuple[str, Path]] = []
        self._study: dict[str, Any] = {}
        self._study_changed = False
        self._finished: bool | None = None
        # Below: touched by the thread only.
        self._records: dict[str, TrialRecord] = {}
        self._pending: set[str] = set()
        self._store: Store | None = None
        self._state = TrackingState.load(self._folder / "tracking.json", redact(self._uri))
        self._told_down = ""
        self._rejected: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def start_study(self, study: Mapping[str, Any]) -> None:
        """Tell what is going to run; trials of an earlier run that were never sent are read from their records."""
        self._tell_study(study, None)

    def trial(self, record: TrialRecord) -> None:
        """Tell all that is known of one trial; only the latest state of each waits to be sent."""
        # The caller goes on changing its record; precision-recall curves are not sent.
        copy = deepcopy(replace(record, curves={}))
        with self._changed:
            self._inbox[record.label] = (copy, _now())
            self._changed.notify()

    def artifacts(self, label: str | None, paths: Iterable[Path]) -> None:
        """Keep files or folders with a trial's run, or with the study's (None)."""
        with self._changed:
            self._files += [(label or "", Path(path).absolute()) for path in paths]
            self._changed.notify()

    def finish_study(self, study: Mapping[str, Any]) -> None:
        """Tell how the study ended: finished if as many trials were made as wanted, else interrupted."""
        trials = study.get("trials", {})
        made = sum(int(trials.get(state) or 0) for state in ("complete", "pruned", "failed"))
        self._tell_study(study, made >= int(trials.get("wanted") or 0))

    def _tell_study(self, study: Mapping[str, Any], finished: bool | None) -> None:
        with self._changed:
            self._study, self._study_changed, self._finished = deepcopy(dict(study)), True, finished
            self._changed.notify()

    def close(self, timeout: float = 20.0) -> int:
        """Send what is left for up to ``timeout`` seconds, warn of what remains and return how many trials that is."""
        with self._changed:
            if self._study and self._finished is None:
                self._finished, self._study_changed = False, True
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        with self._changed:
            left = len(self._pending | set(self._inbox))
            study_left = self._study_changed
        if left or study_left or self._thread.is_alive():
            what = f"{left} trial{'s' if left != 1 else ''}" if left else "the study's summary"
            self._warn(
                f"tracking at {redact(self._uri)}: {what} not sent yet; nothing is lost, "
                f"the same command sends it when the server answers"
            )
        return left

    def url(self) -> str:
        """Return the page that compares the trials, or the command that opens it."""
        if not is_server(self._uri):
            return f"python -m harness.ui --runs {self._folder.parent}"
        experiment = self._state.experiment_id
        return f"{self._uri}/{view_route(experiment)}" if experiment else self._uri

    def links(self) -> dict[str, str]:
        """Return label → page of its run, as far as the server has answered; ``""`` is the study's own."""
        base = f"{self._uri}/" if is_server(self._uri) else ""
        state = self._state
        runs = {"": state.parent} | dict(state.runs) if state.parent else dict(state.runs)
        return {label: base + run_route(state.experiment_id, run) for label, run in runs.items()}

    # The thread.

    def _run(self) -> None:
        wait = 0.0
        while True:
            with self._changed:
                if not self._has_work():
                    if self._closing:
                        return
                    self._changed.wait()
                elif wait and not self._closing:
                    deadline = time.monotonic() + wait
                    while not self._closing and (left := deadline - time.monotonic()) > 0:
                        self._changed.wait(left)
                last = self._closing
            try:
                self._take()
                self._send()
                wait, self._told_down = 0.0, ""
            except GoneError as error:
                # Someone deleted runs or emptied the server: look at what is there and write the rest anew.
                self._store = None
                if wait:
                    self._warn_down(str(error))
                wait = _FIRST_WAIT
                if last:
                    return
            except Exception as error:  # Whatever MLflow, its database or the disk does, training goes on.
                self._store = None
                wait = min(max(2 * wait, _FIRST_WAIT), _LONGEST_WAIT)
                self._warn_down(reason(error))
                if last:
                    return

    def _has_work(self) -> bool:
        waiting = self._inbox or self._files or self._study_changed or self._pending
        return bool(self._study and waiting)

    def _warn_down(self, why: str) -> None:
        if not self._told_down:
            self._told_down = why
            self._warn(
                f"tracking at {redact(self._uri)} does not answer ({why}); the study goes on, "
                f"its records stay in {self._folder} and are sent later"
            )

    def _take(self) -> None:
        """Move what was told into the thread's own memory, and remember it on disk before anything is sent."""
        with self._changed:
            told, self._inbox = self._inbox, {}
            files, self._files = self._files, []
            self._pending |= set(told)
        state, before = self._state, asdict(self._state)
        for label, (record, seen) in told.items():
            self._records[label] = record
            self._note_times(record, seen, 0)
        for label, path in files:
            state.artifacts.setdefault(f"{label}:{self._relative(path)}", "")
        if self._study and not state.started.get(""):
            state.started[""] = _now()
        self._read_records()
        if asdict(state) != before:
            state.save(self._folder / "tracking.json")

    def _note_times(self, record: TrialRecord, seen: int, lasted: int) -> None:
        self._state.started.setdefault(record.label, seen - lasted)
        if record.state == "running":
            self._state.ended.pop(record.label, None)
        else:
            self._state.ended.setdefault(record.label, seen)

    def _read_records(self) -> None:
        """Find trials on disk that were never told to this object: made before a resume, or while it was down."""
        for path in sorted(self._folder.glob("trials/*/record.json")):
            if path.parent.name in self._records:
                continue
            with suppress(DataError, OSError):
                record = replace(TrialRecord.load(path.parent), curves={})
                self._records[record.label] = record
                if self._state.sent.get(record.label) != _fingerprint(record):
                    seen = round(path.stat().st_mtime * 1000)
                    self._note_times(record, seen, round(1000 * sum(e.get("seconds") or 0.0 for e in record.epochs)))
                    with self._changed:
                        self._pending.add(record.label)

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else str(path)

    def _send(self) -> None:
        store = self._connected()
        with self._changed:
            study, changed, finished = self._study, self._study_changed, self._finished
            self._study_changed = False
            waiting = sorted(self._pending)
        try:
            if changed:
                self._send_study(store, study, finished)
            for label in waiting:
                self._send_trial(store, study, label, finished)
            if finished is not None:
                self._send_interrupted(store, study, finished)
            self._send_artifacts(store)
        except Exception:
            with self._changed:
                self._study_changed = self._study_changed or changed
            raise
        finally:
            self._state.save(self._folder / "tracking.json")

    def _connected(self) -> Store:
        if self._store is None:
            state = self._state
            store = Store(self._uri, self._experiment, self._folder.parent / "mlartifacts" / self._experiment)
            runs = store.find_runs(state.study_id)
            state.experiment_id, state.parent = store.experiment_id, runs.pop("", "")
            gone = set(state.sent) - set(runs)
            state.runs = runs
            if gone or not state.parent:
                state.artifacts = dict.fromkeys(state.artifacts, "")
            for label in gone:
                del state.sent[label]
            with self._changed:
                self._pending |= gone & set(self._records)
                self._study_changed = self._study_changed or not state.parent
            self._store = store
        return self._store

    def _send_study(self, store: Store, study: Mapping[str, Any], finished: bool | None) -> None:
        state = self._state
        content = study_content(study, self._records, finished)
        if not state.parent:
            state.parent = store.create_run(content.name, state.study_id, "", state.started[""], "")
        if finished is None:
            state.ended.pop("", None)
        else:
            state.ended[""] = _now()
        self._write(store, state.parent, content, state.started[""], state.ended.get("") or _now())
        store.describe_experiment(experiment_tags(content.tags["mlflow.note.content"], study.get("space", {})))
        if "space" in study:
            store.upload_json(state.parent, study["space"], "space.json")
        if finished is not None:
            store.upload_json(state.parent, dict(study), "study.json")

    def _send_trial(self, store: Store, study: Mapping[str, Any], label: str, finished: bool | None) -> None:
        state, record = self._state, self._records[label]
        content = trial_content(record, study)
        if finished is not None and record.state == "running":
            content = replace(content, status="KILLED", tags=content.tags | {"state": "interrupted"})
        if label not in state.runs:
            state.runs[label] = store.create_run(label, state.study_id, label, state.started[label], state.parent)
        self._write(store, state.runs[label], content, state.started[label], state.ended.get(label) or _now())
        state.sent[label] = _fingerprint(record)
        with self._changed:
            self._pending.discard(label)

    def _send_interrupted(self, store: Store, study: Mapping[str, Any], finished: bool | None) -> None:
        for label, record in self._records.items():
            if record.state == "running":
                self._send_trial(store, study, label, finished)

    def _write(self, store: Store, run_id: str, content: Content, started: int, ended: int) -> None:
        try:
            store.write(run_id, content, started, ended)
        except RejectedError as error:
            if content.name not in self._rejected:
                self._rejected.add(content.name)
                self._warn(f"tracking at {redact(self._uri)} refuses values of run '{content.name}': {error}")

    def _send_artifacts(self, store: Store) -> None:
        state = self._state
        for key, sent in list(state.artifacts.items()):
            label, _, name = key.partition(":")
            path = self._folder / name
            run_id = state.runs.get(label) if label else state.parent
            if run_id and path.exists() and (now := _signature(path)) != sent:
                try:
                    store.upload(run_id, path)
                except RejectedError as error:
                    self._warn(f"tracking at {redact(self._uri)} refuses {path.name}: {error}")
                state.artifacts[key] = now


def _fingerprint(record: TrialRecord) -> str:
    text = json.dumps(asdict(replace(record, curves={})), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _signature(path: Path) -> str:
    """Return a digest of the names, sizes and times of a file, or of all files of a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    stats = [(str(p.relative_to(path)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:12]


def open_tracker(
    uri: str | None, study_folder: Path, experiment: str, warn: Warn | None = None
) -> MLflowTracker | NullTracker:
    """Return the tracker for ``--tracking-uri``: None is the local store of ``runs``, ``none`` tracks nothing.

    Raises:
        InputError: the URI is malformed.
    """
    if uri == "none":
        return NullTracker()
    return MLflowTracker(uri or default_uri(study_folder.absolute().parent), study_folder, experiment, warn)


def resync(study_folder: Path, uri: str | None = None, warn: Warn | None = None, timeout: float = 60.0) -> int:
    """Send a study's records to a server that was down, or never told, while it ran.

    Returns:
        How many trials could not be sent.

    Raises:
        InputError: there is no study in the folder, or the URI is malformed.
    """
    try:
        study = json.loads((study_folder / "study.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{study_folder} holds no readable study.json: {error}") from error
    tracker = open_tracker(uri, study_folder, study["name"], warn)
    tracker.finish_study(study)
    if (study_folder / "report").is_dir():
        tracker.artifacts(None, [study_folder / "report"])
    return tracker.close(timeout)
