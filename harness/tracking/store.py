"""``Store``: idempotent writes to an MLflow server or database.

Every write sends only what the server does not hold yet, and a point of a curve always has the same timestamp. A write
whose answer was lost can therefore be repeated: it changes nothing.
"""

import getpass
import json
import logging
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.secrets import mask_text
from harness.tracking import registry
from harness.tracking.address import CONNECT_SECONDS, check_reachable, is_server
from harness.tracking.content import Content, Split

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

_ENVIRONMENT = {
    # The tracker's thread tries again later; MLflow's default of 7 retries of 120 s would block it for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(CONNECT_SECONDS),
    "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS),
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
_CHATTY = ("mlflow", "alembic", "sqlalchemy", "urllib3")
_PARAMS_A_BATCH, _METRICS_A_BATCH = 100, 500
"""MLflow refuses batches of more than 100 parameters or tags, or of more than 1,000 values."""


@dataclass
class Known:
    """Content of a run on the server; ``data``: names and digests of its data sets."""

    status: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    data: set[tuple[str, str]] = field(default_factory=set)


class RejectedError(Exception):
    """The server refuses a value permanently."""


class GoneError(Exception):
    """A run or experiment that was written before has been deleted."""


def _client(uri: str) -> "MlflowClient":
    """Import MLflow, silently, and connect."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Of MLflow 3.17 beside SQLAlchemy 2.1 and pandas 3, and its coloured advice. Not ``catch_warnings``, which would
    # undo other threads' filters.
    for noise in ("The ``noload`` loader strategy is deprecated", "Operation with range is deprecated", "\x1b"):
        warnings.filterwarnings("ignore", message=noise)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return client


class Store:
    """One experiment of one server.

    Args:
        uri: a checked tracking URI.
        experiment: the experiment's name.
        artifacts: folder for the experiment's artifacts; a server stores them itself.

    Raises:
        OSError, mlflow.exceptions.MlflowException: the server does not answer.
    """

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        check_reachable(uri)
        self._uri, self._client = uri, _client(uri)
        self._known: dict[str, Known] = {}
        found = self._client.get_experiment_by_name(experiment)
        if found is None:
            location = None if is_server(uri) else artifacts.as_uri()
            self.experiment_id = str(self._client.create_experiment(experiment, artifact_location=location))
        else:
            self.experiment_id = str(found.experiment_id)
            if found.lifecycle_stage != "active":
                self._client.restore_experiment(self.experiment_id)
        self._experiment_tags: dict[str, str] = dict(found.tags) if found is not None else {}

    def describe_experiment(self, tags: dict[str, str]) -> None:
        """Set the experiment's tags that differ from what it has."""
        for key, value in tags.items():
            if self._experiment_tags.get(key) != value:
                self._client.set_experiment_tag(self.experiment_id, key, value)
                self._experiment_tags[key] = value

    def find_runs(self, study_id: str) -> dict[str, str]:
        """Return label → run id of all runs of a study folder; the study's own run has an empty label."""
        found: dict[str, str] = {}
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id], f"tags.study_id = '{study_id}'", max_results=500, page_token=token
            )
            for run in page:
                data = run.data
                used = run.inputs.dataset_inputs if run.inputs else []
                self._known[run.info.run_id] = Known(
                    run.info.status,
                    dict(data.params),
                    dict(data.tags),
                    dict(data.metrics),
                    {(one.dataset.name, one.dataset.digest) for one in used},
                )
                found[data.tags.get("label", "")] = run.info.run_id
            token = page.token
            if not token:
                return found

    def create_run(self, name: str, study_id: str, label: str, started: int, parent: str) -> str:
        """Create a run, nested under ``parent`` unless that is empty, and return its id."""
        tags = {"study_id": study_id, "mlflow.user": _user(), "mlflow.source.name": "python -m harness.study"}
        if parent:
            tags |= {"label": label, "mlflow.parentRunId": parent}
        run = self._client.create_run(self.experiment_id, start_time=started, tags=tags, run_name=name)
        run_id = str(run.info.run_id)
        self._known[run_id] = Known("RUNNING", tags=tags)
        return run_id

    def write(self, run_id: str, content: Content, started: int, ended: int) -> None:
        """Send what the run does not hold yet.

        Args:
            run_id: from ``find_runs`` or ``create_run``.
            content: the complete content of the run.
            started, ended: milliseconds since 1970; final metrics and the end of the run get the time ``ended``.

        Raises:
            RejectedError: the server refuses a value permanently.
            GoneError: the run was deleted.
            Exception: whatever MLflow raises while a server does not answer.
        """
        from mlflow.entities import Metric, Param, RunTag

        known = self._known[run_id]
        params = {key: value for key, value in content.params.items() if key not in known.params}
        # MLflow's parameters cannot change, but a resumed study's may (more trials, other workers): these become tags.
        tags = content.tags | {
            f"now.{key}": value for key, value in content.params.items() if known.params.get(key, value) != value
        }
        done = int(known.tags.get("epochs", 0))
        # The page that compares runs begins with the metric that they got first: a final AP, or that of an epoch.
        metrics = {key: value for key, value in content.metrics.items() if known.metrics.get(key) != value}
        points = [Metric(key, value, ended, 0) for key, value in metrics.items()]
        points += [
            Metric(key, value, started + round(1000 * elapsed), epoch)
            for epoch, elapsed, metrics in content.curves
            if epoch > done
            for key, value in metrics.items()
        ]
        if content.curves:
            tags["epochs"] = str(max(done, content.curves[-1][0]))
        tags = {key: value for key, value in tags.items() if known.tags.get(key) != value}
        data = [split for split in content.data if (split.name, split.digest) not in known.data]
        try:
            self._send(
                run_id,
                points,
                [Param(key, value) for key, value in params.items()],
                # Tags are sent last: the tag ``epochs`` means that the points have arrived.
                [RunTag(key, value) for key, value in tags.items()],
            )
            if data:
                self._client.log_inputs(run_id, [_dataset_input(split) for split in data])
            if content.status != known.status:
                if content.status == "RUNNING":
                    self._client.update_run(run_id, status="RUNNING")
                else:
                    self._client.set_terminated(run_id, content.status, ended)
        except Exception as error:
            raise self._classified(error) from error
        known.params |= params
        known.tags |= tags
        known.metrics |= metrics
        known.data |= {(split.name, split.digest) for split in data}
        known.status = content.status

    def _send(self, run_id: str, points: list[Any], params: list[Any], tags: list[Any]) -> None:
        batches = max(-(-len(params) // _PARAMS_A_BATCH), -(-len(points) // _METRICS_A_BATCH))
        for i in range(batches):
            some = slice(i * _PARAMS_A_BATCH, (i + 1) * _PARAMS_A_BATCH)
            self._client.log_batch(
                run_id,
                metrics=points[i * _METRICS_A_BATCH : (i + 1) * _METRICS_A_BATCH],
                params=params[some],
                tags=tags if batches == 1 and len(tags) <= _PARAMS_A_BATCH else [],
            )
        if batches != 1 or len(tags) > _PARAMS_A_BATCH:
            for i in range(0, len(tags), _PARAMS_A_BATCH):
                self._client.log_batch(run_id, tags=tags[i : i + _PARAMS_A_BATCH])

    def upload(self, run_id: str, path: Path) -> None:
        """Copy a file, or a folder with its name, to the run's artifacts."""
        try:
            if path.is_dir():
                self._client.log_artifacts(run_id, str(path), path.name)
            else:
                self._client.log_artifact(run_id, str(path))
        except Exception as error:
            raise self._classified(error) from error

    def upload_json(self, run_id: str, data: Any, name: str) -> None:
        """Store plain data as an artifact."""
        try:
            self._client.log_text(run_id, json.dumps(data, indent=1), name)
        except Exception as error:
            raise self._classified(error) from error

    def register(self, run_id: str, study: str, content: Content, model: Path, digest: str) -> None:
        """Log a model of a run and register it under its study's name; see ``registry.register``."""
        try:
            registry.register(self._client, self._uri, run_id, study, content, model, digest)
        except Exception as error:
            raise self._classified(error) from error

    def _classified(self, error: Exception) -> Exception:
        """Return the error to raise: ``GoneError`` for a deleted run, ``RejectedError`` for a refused value."""
        code = getattr(error, "error_code", "")
        if code == "RESOURCE_DOES_NOT_EXIST":
            return GoneError(reason(error, self._uri))
        if code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
            return RejectedError(reason(error, self._uri))
        return error


def _dataset_input(split: Split) -> "DatasetInput":
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.entities import Dataset, DatasetInput, InputTag

    generated = split.source == "synthetic"
    source = (
        CodeDatasetSource({"module": "harness.data.synthetic"}) if generated else resolve_dataset_source(split.source)
    )
    kind, profile = source._get_source_type(), json.dumps(split.profile)
    dataset = Dataset(split.name, split.digest, kind, source.to_json(), profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", split.split)])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def reason(error: BaseException, uri: str) -> str:
    """Return one short line that says why the server at ``uri`` failed, without that address's password."""
    text = mask_text(f"{error}", uri)
    for cut in ("Max retries exceeded", "Background on this error"):
        text = text.partition(cut)[0]
    line = " ".join(text.split()) or type(error).__name__
    for known in ("Connection refused", "timed out", "Name or service not known", "unable to open database file"):
        if known.lower() in str(error).lower():
            return known
    return line if len(line) <= 160 else f"{line[:157]}…"
