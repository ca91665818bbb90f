"""``python -m tests.tracking.screenshots STUDY FOLDER``: pictures of MLflow's pages of a study, for the documentation.

The study must be in ``runs/`` and tracked there. Only studies of generated scenes are shown.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2

from harness.core.manifest import Manifest
from harness.core.record import load_records, ranked
from harness.tracking.registry import BEST
from harness.tracking.store import _client
from harness.tracking.view import compare_route, logged_model_route, view_route
from tests.chromium import screenshot

RUNS = Path("runs")
WIDTH, HEIGHT = 1900, 1000
ASSISTANT = 490
"""Width of MLflow's assistant at the right, which is cut off, pixels."""
SHOWN = 1000
"""Width of the pictures, pixels."""


def main(study: str, target: Path) -> None:
    """Write three pictures to ``target``."""
    manifest, records = Manifest.load(RUNS / study), load_records(RUNS / study)
    assert manifest.config.data.source == "synthetic", f"{study} shows photographs"
    command = [sys.executable, "-m", "harness.ui", "--runs", str(RUNS), "--json"]
    with (
        tempfile.TemporaryDirectory() as place,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        try:
            base = _printed(server)["url"]
            client = _client(base)
            tracked = client.get_experiment_by_name(study)
            assert tracked is not None, f"{study} is not tracked in {RUNS}"
            experiment = tracked.experiment_id
            runs = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
            compared = [ranked(records)[0].label, *(name for name in ("v2-shared", "v2", "v1") if name in runs)]
            model = client.get_model_version_by_alias(study, BEST).tags["model_id"]
            pages = {
                "runs": view_route(experiment),
                "compare": compare_route(experiment, [runs[name] for name in compared]),
                "model": logged_model_route(experiment, model),
            }
            for name, route in pages.items():
                picture = target / f"mlflow_{name}.png"
                screenshot(f"{base}/{route}", Path(place), picture, WIDTH, HEIGHT)
                _shrink(picture)
        finally:
            server.terminate()


def _printed(server: "subprocess.Popen[str]") -> dict[str, str]:
    """Return what the command prints when its server answers."""
    assert server.stdout is not None
    text = ""
    while not text.endswith("\n}\n"):
        line = server.stdout.readline()
        assert line, f"the server ended: {text}"
        text += line
    found: dict[str, str] = json.loads(text)
    return found


def _shrink(path: Path) -> None:
    image = cv2.imread(str(path))
    assert image is not None
    kept = image[:, : WIDTH - ASSISTANT]
    size = (SHOWN, round(SHOWN * kept.shape[0] / kept.shape[1]))
    cv2.imwrite(str(path), cv2.resize(kept, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
