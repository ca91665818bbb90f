"""No secret of ``--storage`` or ``--tracking-uri`` reaches a file, a store or the terminal."""

import shlex
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from harness.core.manifest import FILE, Manifest
from harness.core.protocol import StudyConfig
from harness.core.record import load_records
from harness.errors import InputError
from harness.reporting import build_report
from harness.search.progress import Progress
from harness.search.resources import Resources
from harness.search.storage import open_storage
from harness.study import main
from harness.tracking import default_uri, open_tracker, sender
from tests.reporting.fake_study import write_study
from tests.tracking.fake_run import PATIENCE, Folder, stored_runs


def keep_books(config: StudyConfig, resources: Resources, progress: Progress) -> Path:
    """Write, send and report what ``run_study`` does, of a study that was made up instead of trained."""
    folder = write_study(resources.runs, config.name)
    study = replace(Manifest.load(folder), command=resources.command)
    study.save(folder)
    report = build_report(folder)
    tracker = open_tracker(resources.tracking_uri, folder, config.name, progress.line)
    tracker.start_study(study)
    for record in load_records(folder):
        tracker.trial(record)
    tracker.artifacts(None, [report.parent, folder / FILE])
    tracker.finish_study(study)
    tracker.close(PATIENCE)
    progress.line(f"trials side by side: {tracker.url()}")
    return report


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        (
            ["--storage", "postgresql://me:hunter2@db.lab/optuna?sslpassword=hunter2&sslmode=require"],
            ["--storage", "postgresql://me:***@db.lab/optuna?sslpassword=***&sslmode=***"],
        ),
        (["--storage=mysql://me:a%2Fhunter2:@b@db.lab/o"], ["--storage=mysql://me:***@db.lab/o"]),
        (["--tracking-uri", "http://me:hunter2@127.0.0.1:1"], ["--tracking-uri", "http://***@127.0.0.1:1"]),
    ],
)
@pytest.mark.slow
def test_a_study_keeps_no_secret_of_its_command(
    given: list[str],
    recorded: list[str],
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("harness.search.run.run_study", keep_books)
    assert main(["--study", "quick", "--name", "mine", "--runs", str(runs), "--device", "cpu", *given]) == 0

    study = Manifest.load(runs / "mine")
    assert shlex.split(study.command)[-len(recorded) :] == recorded, "the command is recorded, and masked"
    files = [path for path in runs.rglob("*") if path.is_file()]
    assert {"study.json", "report.md", "tracking.json", "mlflow.db"} <= {path.name for path in files}
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []
    printed = "".join(capfd.readouterr())
    assert "trials side by side" in printed
    assert "hunter2" not in printed
    if "--tracking-uri" not in given:
        tags = stored_runs(default_uri(runs), "mine")["mine"].data.tags
        assert tags["command"] == study.command
        assert len([path for path in files if path.name == "study.json"]) == 2, "it is also an artifact"


def test_an_error_that_quotes_the_address_is_masked(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "http://me:hunter2@127.0.0.1:1"

    def refuse(*_: object) -> None:
        raise MlflowException(f"API request to {uri}/api/2.0 as me:hunter2 failed")

    monkeypatch.setattr(sender, "Store", refuse)
    folder = Folder(runs, "mine")
    tracker = folder.tracker(uri)
    tracker.start_study(folder.study)
    tracker.close(PATIENCE)
    assert "API request to http://***@127.0.0.1:1/api/2.0" in folder.warnings[0]
    assert "hunter2" not in "".join(folder.warnings)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2",
        "postgresql://me:hunter2@127.0.0.1:1/db?connect_timeout=hunter2",
        "postgresql://me:hunter2@host:port/db",
        "postgres://me:hunter2@host/db",
        "mysql://me:hunter2@host/db",
        "me:hunter2@host/db",
    ],
)
def test_a_storage_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(InputError, match="storage ") as refused:
        open_storage(url)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_a_mistyped_option_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--storge=postgresql://me:hunter2@host/db"])
    assert "--storge=postgresql://me:***@host/db" in capsys.readouterr().err
