"""The best student as a model in a store: registered once, whatever happens, and loadable without unpickling."""

import json
import sqlite3
from dataclasses import replace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from harness.core.evaluation import EvalConfig
from harness.core.record import write_json
from harness.deployment.pictures import decode_picture
from harness.detection.suppression import faces
from harness.evaluation.inference import detect
from harness.models.fold import freeze
from harness.models.named import find_network
from harness.tracking import default_uri, resync
from harness.tracking.registry import BEST
from harness.tracking.store import _client
from tests.tracking.fake_run import PATIENCE, Folder, finish


def track(folder: Folder, best: str = "0000") -> None:
    """Run the folder's study, or continue it, and register its best student."""
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    folder.run(tracker, ("v1", best), epochs=1)
    tracker.model(best)
    finish(folder.study, best).save(folder.path)
    tracker.finish_study(finish(folder.study, best))
    assert tracker.close(PATIENCE) == 0


@pytest.mark.slow
def test_a_model_has_what_it_needs_and_finds_what_the_network_finds(folder: Folder) -> None:
    weights = folder.weights("0000")
    track(folder)
    client, run = _client(default_uri(folder.path.parent)), folder.runs()["0000"]
    version = client.get_model_version_by_alias(folder.name, BEST)
    assert (int(version.version), version.run_id) == (1, run.info.run_id)
    [output] = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.status, logged.params["neck.channels"]) == ("0000", "READY", "32")
    on = {metric.key: metric.dataset_name for metric in logged.metrics or ()}
    assert (on["ap_search"], on["ap_val"], on["params"]) == ("synthetic-search", "synthetic-val", None)

    from mlflow.pyfunc import load_model  # Warns when it is imported before the tracker has silenced MLflow.

    model: Any = load_model(str(version.source))
    kept = [path.relative_to(folder.path.parent) for path in (folder.path.parent / "mlartifacts").rglob("*.*")]
    files = {path.suffix for path in kept if "code" not in path.parts}
    assert files == {".py", ".txt", ".yaml", ".json", ".safetensors"}, "nothing is pickled"
    assert model.metadata.signature.inputs.input_names() == ["image"]
    [found] = model.predict(model.input_example, {"score": 0.05})["faces"]
    picture = decode_picture(model.input_example["image"][0])
    network = find_network(None, "v2", weights, folder.path).load()
    freeze(network)
    expected = faces(detect(network, picture, replace(EvalConfig(), score_threshold=0.05), 0))
    assert list(found) == expected != []
    for example, score, told in ((b"no picture", 0.5, "picture 0 is no image"), (b"", 1.5, "score lies in 0 … 1")):
        with pytest.raises(MlflowException, match=told):
            model.predict(model.input_example.assign(image=[example]), {"score": score})


@pytest.mark.slow
def test_a_model_is_registered_once_for_each_best_student(folder: Folder) -> None:
    for label in ("0000", "0001"):
        folder.weights(label)
    track(folder)
    assert resync(folder.path, timeout=PATIENCE) == 0
    state = json.loads((folder.path / "tracking.json").read_text())
    write_json(folder.path / "tracking.json", state | {"model_sent": ""})  # As if the last answer had been lost.
    assert resync(folder.path, timeout=PATIENCE) == 0
    client = _client(default_uri(folder.path.parent))
    assert len(client.search_model_versions(f"name = '{folder.name}'")) == 1
    track(folder, "0001")
    track(folder, "0000")
    assert len(client.search_model_versions(f"name = '{folder.name}'")) == 2
    assert int(client.get_model_version_by_alias(folder.name, BEST).version) == 1
    with sqlite3.connect(folder.path.parent / "mlflow.db") as store:
        assert store.execute("select count(*) from logged_models").fetchone() == (2,)
    store.close()


def test_a_model_that_cannot_be_made_costs_one_warning(folder: Folder) -> None:
    folder.path.joinpath("trials", "0000").mkdir(parents=True)
    folder.path.joinpath("trials", "0000", "weights.safetensors").write_bytes(b"no weights")
    track(folder)
    assert len(folder.warnings) == 1
    assert "refuses 0000 as a model" in folder.warnings[0]
    assert folder.runs()["0000"].info.status == "FINISHED"
