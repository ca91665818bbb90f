"""A manifest that no study wrote."""

from dataclasses import replace
from typing import Any

from harness.core.arch import ARCHS
from harness.core.manifest import Images, Manifest, Space, Start, UsedTeacher
from harness.core.protocol import StudyConfig
from harness.core.provenance import Provenance


def fake_manifest(config: StudyConfig, **values: Any) -> Manifest:
    """Return a manifest of ``config``; ``values`` replace its other fields."""
    manifest = Manifest(
        config=config,
        space=Space({"name": config.space, "axes": []}, "5bace0000000", 124_416, 124_320, 21_345),
        data={
            "train": Images("1d0a77b2c99e4f10", 1_000, 8_000),
            "search": Images("3c8d10fae2b96a75", 300, 2_410),
            "val": Images("9f2c5a1be07d4c33", 400, 3_174),
        },
        search_protocol={"digest": "9ro70c020000"},
        protocol={"digest": "9ro70c010000"},
        start=Start("teacher", "3f9ac0de11"),
        teacher=UsedTeacher("v1", "3f9ac0de11", 487_103, ARCHS["v1"].to_dict()),
        identity={},
        workers=2,
        threads=1,
        command=f"python -m harness.study --data {config.data.source} --name {config.name}",
        provenance=Provenance(
            "91c8e27",
            {"python": "3.12.4", "torch": "2.13.0", "numpy": "2.4.1", "optuna": "5.0.0", "harness": "0.1.0"},
            {"device": "cpu", "cores": "2", "cpu": "a two-core test machine", "system": "Linux"},
        ),
        started="2026-01-05T10:00:00+00:00",
    )
    return replace(manifest, **values)
