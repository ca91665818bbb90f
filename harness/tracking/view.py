"""The comparison page: which columns and charts MLflow shows when a study is opened by its link.

MLflow keeps a view that someone shares as a tag of the experiment, in plain JSON, and opens it by a key in the address
(``viewStateShareKey``; read in MLflow 3.17's front end). A newer MLflow that no longer knows the tag shows its default
table, with the same runs and names.
"""

import json
from collections.abc import Mapping
from typing import Any

VIEW = "compare"
COLUMNS = (
    "tags.`role`",
    "tags.`state`",
    "metrics.`ap_mean`",
    "metrics.`params`",
    "metrics.`fps`",
    "metrics.`ratio_to_v1`",
    "metrics.`ap_easy`",
    "metrics.`ap_medium`",
    "metrics.`ap_hard`",
    "metrics.`latency_ms`",
    "metrics.`macs`",
    "metrics.`size_mb`",
)
_SECTION = "trade-off"


def experiment_tags(note: str, axes: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a study's experiment: its description, its kind and the shared view.

    Args:
        note: Markdown shown above the runs.
        axes: ``SearchSpace.to_dict()``'s; its axes are shown against AP.
    """
    names = [axis["name"] for axis in axes.get("axes", [])]
    return {
        "mlflow.note.content": note,
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{VIEW}": json.dumps(_view(names)),
    }


def view_route(experiment_id: str) -> str:
    """Return the part of the address that opens an experiment's comparison page."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def run_route(experiment_id: str, run_id: str) -> str:
    """Return the part of the address that opens one run's page."""
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def _view(axes: list[str]) -> dict[str, Any]:
    return {
        # The study's own run has no AP and would stand among the trials.
        "searchFilter": "tags.role != 'study'",
        "orderByKey": "metrics.`ap_mean`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(COLUMNS),
        "columnOrder": list(COLUMNS),
        "columnWidths": dict.fromkeys(COLUMNS, 90),
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunSections": [
            {"uuid": _SECTION, "name": "Trade-off", "display": True, "isReordered": True, "isGenerated": False}
        ],
        "isAccordionReordered": True,
        "compareRunCharts": [
            _chart("params", "SCATTER", "AP against parameters", xaxis=_axis("params"), yaxis=_axis("ap_mean")),
            _chart("fps", "SCATTER", "AP against FPS", xaxis=_axis("fps"), yaxis=_axis("ap_mean")),
            _chart("curve", "LINE", "AP by epoch", metricKey="epoch/ap_mean", selectedMetricKeys=["epoch/ap_mean"]),
            _chart(
                "axes",
                "PARALLEL",
                "Axes against AP",
                selectedParams=[name for name in axes if not name.endswith(".name")][:5],
                selectedMetrics=["ap_mean"],
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
