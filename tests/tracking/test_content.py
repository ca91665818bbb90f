"""Logged content, as data."""

import pytest

from harness.core.arch import SLOTS
from harness.tracking.content import flatten, study_content, trial_content
from tests.fake_landmarks import landmark_error
from tests.tracking.fake_run import finish, make_record, make_study


def test_content_of_a_trial_names_every_axis_and_value() -> None:
    record = make_record("0000", 2, "complete")
    record.teacher = {"label": "v1", "digest": "7eac4e000000", "params": 487_103}
    record.latency = 0.712_349
    content = trial_content(record, make_study("s"))
    assert content.params["neck.channels"] == "32"
    assert content.metrics["predicted_latency_to_v1"] == 0.7123
    assert content.params["neck.name"] == "bifpn_light"
    assert {content.params[f"distill.{key}"] for key in ("temperature", "alpha", "feature_weight")} == {
        "4.0",
        "0.7",
        "0.5",
    }
    assert content.params["protocol.teacher"] == "v1 7eac4e000000"
    assert (content.metrics["ap_val"], content.metrics["ap_search"]) == (0.8041, 0.8)
    assert content.metrics["params"] == 256_148 == sum(content.metrics[f"params_{slot}"] for slot in SLOTS)
    assert content.metrics["macs"] == 410_568_000
    assert {"fps", "latency_ms", "ratio_to_v1", "size_mb", "landmark_nme"} <= set(content.metrics)
    assert (content.metrics["landmark_matched"], content.metrics["landmark_faces"]) == (812, 1_024)
    assert {"space_digest", "data_digest", "arch_digest", "role", "state"} <= set(content.tags)
    assert content.tags["search_protocol_digest"] != content.tags["protocol_digest"]
    epoch, seconds, metrics = content.curves[1]
    assert (epoch, seconds) == (2, 5.0)
    assert metrics["loss/box"] == 1.0
    assert metrics["epoch/ap_search"] == 0.2
    left_out = {"epoch/ap_search_hard", "ap_search_hard"} & {*metrics, *content.metrics}
    assert not left_out, "a difficulty without faces has no AP, not an AP of 0"


def test_a_network_that_is_not_graded_has_a_search_ap_only() -> None:
    metrics = trial_content(make_record("0001", 2, "complete"), make_study("s")).metrics
    assert {name for name in metrics if name.startswith("ap_")} == {"ap_search", "ap_search_easy", "ap_search_medium"}


def test_missing_measurements_are_no_metrics() -> None:
    record = make_record("0000", 2, "complete")
    record.ap, record.landmark = {**record.ap, "easy": None}, landmark_error(None, 0)
    metrics = trial_content(record, make_study("s")).metrics
    assert {"ap_val_easy", "landmark_nme", "landmark_failure_rate"}.isdisjoint(metrics)
    assert (metrics["ap_val"], metrics["landmark_matched"], metrics["landmark_faces"]) == (0.8041, 0, 1_024)


@pytest.mark.parametrize(
    ("state", "status"), [("running", "RUNNING"), ("complete", "FINISHED"), ("pruned", "KILLED"), ("failed", "FAILED")]
)
def test_content_status_and_reason(state: str, status: str) -> None:
    content = trial_content(make_record("0001", 1, state), make_study("s"))
    assert content.status == status
    assert ("reason" in content.tags) == (state in ("pruned", "failed"))
    assert ("ap_search" in content.metrics) == (state == "complete"), "a trial without a final AP shows none"


def test_ap_is_the_first_metric_of_a_run_and_of_the_alphabet() -> None:
    for state in ("running", "complete"):
        record = make_record("0000", 2, state)
        content = trial_content(record, make_study("s"))
        first = content.curves[0][2] if state == "running" else content.metrics
        assert next(iter(first)) == ("epoch/ap_search" if state == "running" else "ap_search")
    assert min(content.metrics) == "ap_search"
    record.state = "running"
    record.epochs[0]["ap"] = record.epochs[1]["ap"] = {}
    assert trial_content(record, make_study("s")).curves == [], "losses wait for the first AP"
    record.state = "failed"
    assert len(trial_content(record, make_study("s")).curves) == 2


def test_a_run_names_the_images_that_it_used() -> None:
    study, used = make_study("s"), {}
    for label in ("0000", "0001"):
        used[label] = trial_content(make_record(label, 1, "complete"), study).data
    assert [split.name for split in used["0000"]] == ["synthetic-train", "synthetic-search", "synthetic-val"]
    assert [split.split for split in used["0001"]] == ["train", "search"], "it is not graded"
    assert {split.digest for split in used["0000"]} == {images.digest for images in study.data.values()}
    assert used["0000"][0].profile == {"images": study.data["train"].images, "faces": study.data["train"].faces}


def test_content_of_a_study_describes_it() -> None:
    records = {label: make_record(label, 1, "complete") for label in ("v1", "v2", "0000")}
    content = study_content(finish(make_study("mine")), records, True)
    note = content.tags["mlflow.note.content"]
    assert "budget 256,148 parameters: 21,345 of 124,416 configurations fit" in note
    assert "| 0000 (best) | candidate | 256,148 | 0.8000 | 0.9123 |" in note
    assert (content.metrics["best_ap_search"], content.metrics["best_ap_val"]) == (0.8, 0.8041)
    assert content.tags["mlflow.source.git.commit"] == "91c8e27"


def test_flatten_leaves_out_what_is_empty() -> None:
    assert flatten({"a": {"b": 1, "c": None}, "d": ("x", "y"), "e": ""}) == {"a.b": "1", "d": "x,y"}
