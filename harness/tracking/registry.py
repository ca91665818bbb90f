"""Writes a study's best student to MLflow: a logged model of its run, registered under the study's name.

Every step looks for what an earlier attempt has written, so that a repeated one writes nothing twice.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.tracking.address import is_server
from harness.tracking.content import Content

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

BEST = "best"
"""Alias of the version that holds the best student: ``models:/STUDY@best``."""

_DIGEST = "weights_digest"
_LONGEST_PARAM = 250


def register(
    client: "MlflowClient", uri: str, run_id: str, study: str, content: Content, folder: Path, digest: str
) -> None:
    """Log a model, and make it the version ``best`` of the registered model of its study.

    Args:
        client: a connected client.
        uri: its address.
        run_id: the run that trained the network.
        study: the study's name.
        content: of the run.
        folder: the MLflow model.
        digest: of its weights.

    Raises:
        Exception: whatever MLflow raises while a server does not answer.
    """
    model = _logged(client, run_id, content, folder, digest)
    _create(client, study)
    known = client.search_model_versions(f"name = '{study}'")
    version = next((one.version for one in known if one.tags.get("model_id") == model.model_id), None)
    if version is None:
        # A server wants the model's id; a database's registry would look for it at the address in MLflow's settings.
        known_by = model.model_id if is_server(uri) else None
        source = model.artifact_location if known_by is None else f"models:/{known_by}"
        tags = {"model_id": model.model_id, "trial": content.name}
        version = client.create_model_version(study, source, run_id, tags, model_id=known_by).version
    client.set_logged_model_tags(
        model.model_id, {"mlflow.modelVersions": json.dumps([{"name": study, "version": int(version)}])}
    )
    client.set_registered_model_alias(study, BEST, str(version))


def _logged(client: "MlflowClient", run_id: str, content: Content, folder: Path, digest: str) -> "LoggedModel":
    """Return the logged model of a run's weights; write it if it is not there, or not whole."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric

    run = client.get_run(run_id)
    experiment = run.info.experiment_id
    found = client.search_logged_models([experiment], f"name = '{content.name}'")
    model = next((one for one in found if one.source_run_id == run_id and one.tags.get(_DIGEST) == digest), None)
    if model is None:
        params = {key: value for key, value in content.params.items() if len(value) <= _LONGEST_PARAM}
        model = client.create_logged_model(experiment, content.name, run_id, {_DIGEST: digest}, params, "face detector")
    if model.status == LoggedModelStatus.READY:
        return model
    client.log_model_artifacts(model.model_id, str(folder))
    if model.model_id not in {output.model_id for output in (run.outputs.model_outputs if run.outputs else ())}:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    splits = {split.split: split for split in content.data}
    measured = []
    for key, value in content.metrics.items():
        images = splits.get("search" if key.startswith("ap_search") else "val")
        on = images if key.startswith(("ap_", "landmark_")) else None
        data = {} if on is None else {"dataset_name": on.name, "dataset_digest": on.digest}
        at = run.info.end_time or run.info.start_time
        measured.append(Metric(key, value, at, 0, model_id=model.model_id, run_id=run_id, **data))
    client.log_batch(run_id, measured)
    return client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def _create(client: "MlflowClient", study: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(study, description="The best student of a study, by AP on its search split.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
