"""``Tracker``: the interface to which a study reports; ``MLflowTracker`` sends to MLflow from a separate thread."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from harness.core.manifest import Manifest
from harness.core.record import TrialRecord
from harness.core.secrets import mask_url
from harness.tracking.address import check_uri, default_uri, is_server, page_root
from harness.tracking.sender import Sender, now, ran_all, without_curves
from harness.tracking.store import GoneError, reason
from harness.tracking.view import run_route, view_route

Warn = Callable[[str], None]
_LOG = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0
"""Seconds between attempts while a server is down; doubled each time."""


class Tracker(Protocol):
    """Receives the progress of a running study. No method raises, and only ``close`` waits."""

    def start_study(self, study: Manifest) -> None:
        """Report that a study starts."""

    def trial(self, record: TrialRecord) -> None:
        """Report the state of one trial; called at its start, after every epoch and at its end."""

    def artifacts(self, label: str | None, paths: Iterable[Path]) -> None:
        """Store files or folders with a trial's run, or with the study's own (None)."""

    def model(self, label: str) -> None:
        """Register a trained network as the study's model."""

    def finish_study(self, study: Manifest) -> None:
        """Report that the study ended."""

    def close(self, timeout: float = 60.0) -> int:
        """Wait at most ``timeout`` seconds until everything is sent, and return the number of trials that were not."""

    def url(self) -> str:
        """Return the address of the study's page or the command that opens it; empty if nothing is tracked."""


class NullTracker:
    """Tracks nothing."""

    def start_study(self, study: Manifest) -> None:
        """Do nothing."""

    def trial(self, record: TrialRecord) -> None:
        """Do nothing."""

    def artifacts(self, label: str | None, paths: Iterable[Path]) -> None:
        """Do nothing."""

    def model(self, label: str) -> None:
        """Do nothing."""

    def finish_study(self, study: Manifest) -> None:
        """Do nothing."""

    def close(self, timeout: float = 60.0) -> int:  # noqa: ARG002
        """Do nothing."""
        return 0

    def url(self) -> str:
        """Return nothing."""
        return ""


class MLflowTracker:
    """Sends a study to MLflow: a parent run for the study, a nested run for each trial.

    A thread connects (importing MLflow and creating a database take seconds), sends the latest state of each trial, and
    retries while the server is down. The records on disk are complete: data that could not be sent is sent by the next
    run of the study, or by ``resync``.

    Args:
        uri: the tracking URI; see ``address.ACCEPTED``.
        study_folder: ``runs/<study>``; ``tracking.json`` is written there.
        experiment: the experiment's name.
        warn: called with one line when the server stops answering, and with one at the end if something was not sent.

    Raises:
        InputError: the URI is malformed.
    """

    def __init__(self, uri: str, study_folder: Path, experiment: str, warn: Warn | None = None) -> None:
        self._uri = check_uri(uri)
        self._folder = study_folder.absolute()
        self._warn = warn or _LOG.warning
        self._sender = Sender(self._uri, self._folder, experiment, self._warn)
        self._changed = threading.Condition()
        self._trials: dict[str, tuple[TrialRecord, int]] = {}
        self._files: list[tuple[str, Path]] = []
        self._model = ""
        self._study: Manifest | None = None
        self._finished: bool | None = None
        self._study_taken = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def start_study(self, study: Manifest) -> None:
        """Report that a study starts; trials of an earlier run that were never sent are read from their records."""
        self._set_study(study, None)

    def trial(self, record: TrialRecord) -> None:
        """Report the state of one trial; only the latest state of each trial is sent."""
        seen = without_curves(record), now()
        with self._changed:
            self._trials[record.label] = seen
            self._changed.notify()

    def artifacts(self, label: str | None, paths: Iterable[Path]) -> None:
        """Store files or folders with a trial's run, or with the study's own (None)."""
        with self._changed:
            self._files += [(label or "", Path(path).absolute()) for path in paths]
            self._changed.notify()

    def model(self, label: str) -> None:
        """Register a trained network under the study's name; an earlier one stays as a version."""
        with self._changed:
            self._model = label
            self._changed.notify()

    def finish_study(self, study: Manifest) -> None:
        """Report that the study ended: finished if it ran all its trials, else interrupted."""
        self._set_study(study, ran_all(study))

    def _set_study(self, study: Manifest, finished: bool | None) -> None:
        with self._changed:
            self._study, self._finished, self._study_taken = study, finished, False
            self._changed.notify()

    def close(self, timeout: float = 60.0) -> int:
        """Wait at most ``timeout`` seconds until everything is sent; warn of and return the number of unsent trials."""
        with self._changed:
            if self._study and self._finished is None:
                self._finished, self._study_taken = False, False
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        with self._changed:
            left = len(self._sender.pending | set(self._trials))
            study_left = self._sender.study_pending or not self._study_taken
        if left or study_left or self._thread.is_alive():
            what = f"{left} trial{'s' if left != 1 else ''}" if left else "the study's summary or model"
            self._warn(
                f"tracking at {mask_url(self._uri)}: {what} not sent yet; nothing is lost, "
                "the same command sends it when the server answers"
            )
        return left

    def url(self) -> str:
        """Return the address of the page that compares the trials, or the command that opens it."""
        if not is_server(self._uri):
            local = self._uri == default_uri(self._folder.parent)
            return f"python -m harness.ui --runs {self._folder.parent}" + (
                "" if local else f" --tracking-uri '{mask_url(self._uri)}'"
            )
        experiment = self._sender.state.experiment_id
        return f"{page_root(self._uri)}/{view_route(experiment)}" if experiment else page_root(self._uri)

    def links(self) -> dict[str, str]:
        """Return label → address of its run's page, for the runs that exist on the server; ``""`` is the study itself.

        For a database, addresses are relative to the one printed by ``python -m harness.ui``.
        """
        base, state = f"{page_root(self._uri)}/" if is_server(self._uri) else "", self._sender.state
        runs = {"": state.parent, **state.runs}
        return {label: base + run_route(state.experiment_id, run) for label, run in runs.items() if run}

    # Methods of the sending thread.

    def _run(self) -> None:
        wait, down = 0.0, False
        while True:
            last = self._wait_for_work(wait)
            if last is None:
                return
            why = ""
            try:
                self._hand_over()
                self._sender.send()
            except GoneError as error:
                # Runs were deleted: they are created again, the first time without a wait.
                why = str(error) if wait else ""
                wait = _FIRST_WAIT
            except Exception as error:  # No error of MLflow, its database or the disk may stop training.
                why = reason(error, self._uri)
                wait = min(max(2 * wait, _FIRST_WAIT), _LONGEST_WAIT)
            else:
                wait, down = 0.0, False
                continue
            self._sender.disconnect()
            if why and not down:
                down = True
                self._warn(
                    f"tracking at {mask_url(self._uri)} does not answer ({why}); the study continues, "
                    f"its records stay in {self._folder} and are sent later"
                )
            if last and why:
                return

    def _wait_for_work(self, wait: float) -> bool | None:
        """Wait at least ``wait`` seconds and until there is something to send; ``close`` ends the wait.

        Returns:
            Whether this is the last attempt; None if the tracker closes with nothing to send.
        """
        deadline = time.monotonic() + wait
        with self._changed:
            while not self._closing:
                left = deadline - time.monotonic()
                if left <= 0 and self._has_work():
                    return False
                self._changed.wait(left if left > 0 else None)
            return True if self._has_work() else None

    def _has_work(self) -> bool:
        waiting = self._trials or self._files or self._model or not self._study_taken
        return bool(self._study and (waiting or self._sender.pending or self._sender.study_pending))

    def _hand_over(self) -> None:
        with self._changed:
            trials, self._trials = self._trials, {}
            files, self._files = self._files, []
            model, self._model = self._model, ""
            study, finished, taken = self._study, self._finished, self._study_taken
            self._study_taken = True
            # Inside the lock, so that every trial is here or in the sender when ``close`` counts the unsent ones.
            for record, seen in trials.values():
                self._sender.add_trial(record, seen)
            for label, path in files:
                self._sender.add_artifact(label, path)
            if model:
                self._sender.set_model(model)
            if not taken and study is not None:
                self._sender.set_study(study, finished)


def open_tracker(
    uri: str | None, study_folder: Path, experiment: str, warn: Warn | None = None
) -> MLflowTracker | NullTracker:
    """Return the tracker for ``--tracking-uri``: None is the local store in ``runs``, ``none`` tracks nothing.

    Raises:
        InputError: the URI is malformed.
    """
    if uri == "none":
        return NullTracker()
    return MLflowTracker(uri or default_uri(study_folder.absolute().parent), study_folder, experiment, warn)


def resync(study_folder: Path, uri: str | None = None, warn: Warn | None = None, timeout: float = 60.0) -> int:
    """Send a study's records to a server that was down, or not used, while the study ran.

    Returns:
        The number of trials that could not be sent.

    Raises:
        DataError: there is no readable study in the folder.
        InputError: the URI is malformed.
    """
    study = Manifest.load(study_folder)
    tracker = open_tracker(uri, study_folder, study.name, warn)
    tracker.finish_study(study)
    if (study_folder / "report").is_dir():
        tracker.artifacts(None, [study_folder / "report"])
    if study.standing.best is not None:
        tracker.model(study.standing.best)
    return tracker.close(timeout)
