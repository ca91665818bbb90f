"""The comparison page: which columns and charts MLflow shows when a study is opened by its link.

MLflow stores a shared view as a tag of the experiment, in plain JSON, and opens it by a key in the address
(``viewStateShareKey``; read in MLflow 3.17's front end). A newer MLflow that does not know the tag shows its default
table, with the same runs and names.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

VIEW = "compare"
COLUMNS = (
    "tags.`role`",
    "tags.`state`",
    "metrics.`ap_search`",
    "metrics.`ap_val`",
    "metrics.`params`",
    "metrics.`fps`",
    "metrics.`ratio_to_v1`",
    "metrics.`ap_val_easy`",
    "metrics.`ap_val_medium`",
    "metrics.`ap_val_hard`",
    "metrics.`latency_ms`",
    "metrics.`macs`",
    "metrics.`size_mb`",
)
SPREAD = ("metrics.`ap_val_std`", "metrics.`ap_search_std`", "metrics.`seeds`")
"""Further columns of an ablation, whose networks have means over seeds."""
_AP, _CURVE = "ap_search", "epoch/ap_search"
"""Metrics of the charts: the AP that every network trained to the end has."""
_SECTION = "trade-off"
_TRAINING = "workflowType=machine_learning"
"""Opens the side “Model training”; MLflow keeps the side in the browser, and opens “GenAI” where none was chosen."""


def experiment_tags(note: str, axes: Mapping[str, Any], *, arms: bool = False) -> dict[str, str]:
    """Return the tags of a study's experiment: its description, its kind and its shared view.

    Args:
        note: Markdown shown above the runs.
        axes: ``SearchSpace.to_dict()``; its axes are plotted against AP.
        arms: list the networks of an ablation with means over their seeds, and not their trainings.
    """
    names = [axis["name"] for axis in axes.get("axes", [])]
    return {
        "mlflow.note.content": note,
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{VIEW}": json.dumps(_view(names, arms=arms)),
    }


def view_route(experiment_id: str) -> str:
    """Return the part of the address that opens an experiment's comparison page."""
    return f"#/experiments/{experiment_id}/runs?{_TRAINING}&viewStateShareKey={VIEW}"


def run_route(experiment_id: str, run_id: str) -> str:
    """Return the part of the address that opens one run's page."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?{_TRAINING}"


def compare_route(experiment_id: str, run_ids: Sequence[str]) -> str:
    """Return the part of the address that opens the page that compares chosen runs."""
    runs, experiments = (quote(json.dumps(ids)) for ids in (list(run_ids), [experiment_id]))
    return f"#/compare-runs?runs={runs}&experiments={experiments}&{_TRAINING}"


def model_route(name: str) -> str:
    """Return the part of the address that opens a registered model."""
    return f"#/models/{name}?{_TRAINING}"


def logged_model_route(experiment_id: str, model_id: str) -> str:
    """Return the part of the address that opens the model of one run."""
    return f"#/experiments/{experiment_id}/models/{model_id}?{_TRAINING}"


def _view(axes: list[str], *, arms: bool) -> dict[str, Any]:
    columns = (*COLUMNS, *SPREAD) if arms else COLUMNS
    return {
        # The study's own run has no AP; without the filter it is listed among the trials.
        "searchFilter": "tags.role = 'arm'" if arms else "tags.role != 'study'",
        "orderByKey": "metrics.`ap_search`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": dict.fromkeys(columns, 90),
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunSections": [
            {"uuid": _SECTION, "name": "Trade-off", "display": True, "isReordered": True, "isGenerated": False}
        ],
        "isAccordionReordered": True,
        "compareRunCharts": [
            _chart("params", "SCATTER", "Search AP against parameters", xaxis=_axis("params"), yaxis=_axis(_AP)),
            _chart("fps", "SCATTER", "Search AP against FPS", xaxis=_axis("fps"), yaxis=_axis(_AP)),
            _chart("curve", "LINE", "Search AP by epoch", metricKey=_CURVE, selectedMetricKeys=[_CURVE]),
            _chart(
                "axes",
                "PARALLEL",
                "Axes against search AP",
                selectedParams=[name for name in axes if not name.endswith(".name")][:5],
                selectedMetrics=[_AP],
                showAllRuns=False,
            ),
        ],
    }


def _chart(key: str, kind: str, title: str, **options: Any) -> dict[str, Any]:
    return {
        "uuid": f"{_SECTION}-{key}",
        "type": kind,
        "displayName": title,
        "metricSectionId": _SECTION,
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
        **options,
    }


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}
