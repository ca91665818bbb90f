"""No secret of ``--storage`` or ``--tracking-uri`` reaches a file, a store or the terminal."""

import os
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
        (["HARNESS_STORAGE", "postgresql://me:hunter2@db.lab/optuna"], []),
        (["HARNESS_TRACKING_URI", "http://me:hunter2@127.0.0.1:1"], []),
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
    if given[0].startswith("HARNESS_"):
        monkeypatch.setenv(*given)
        given = []
    assert main(["--study", "quick", "--name", "mine", "--runs", str(runs), "--device", "cpu", *given]) == 0

    study = Manifest.load(runs / "mine")
    assert shlex.split(study.command)[11:] == recorded, "the command is recorded, and masked"
    files = [path for path in runs.rglob("*") if path.is_file()]
    assert {"study.json", "report.md", "tracking.json", "mlflow.db"} <= {path.name for path in files}
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []
    private = {path.name for path in (runs / "mine").iterdir() if path.stat().st_mode & 0o777 == 0o600}
    assert private == {"study.json", "tracking.json"}
    printed = "".join(capfd.readouterr())
    assert "trials side by side" in printed
    assert "hunter2" not in printed
    if not any("TRACKING" in name or "tracking" in name for name in (*given, *os.environ)):
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


def test_an_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = list[Resources]()

    def run(_: StudyConfig, resources: Resources, __: Progress) -> Path:
        found.append(resources)
        raise InputError("enough")

    monkeypatch.setattr("harness.search.run.run_study", run)
    monkeypatch.setenv("HARNESS_STORAGE", "postgresql://me:hunter2@host/db")
    monkeypatch.setenv("HARNESS_TRACKING_URI", "http://me:hunter2@host")
    for given in ([], ["--storage", "sqlite:///a.db", "--tracking-uri", "none"]):
        with pytest.raises(InputError, match="enough"):
            main(["--device", "cpu", *given])
    addresses = [(one.storage, one.tracking_uri) for one in found]
    assert addresses == [("postgresql://me:hunter2@host/db", "http://me:hunter2@host"), ("sqlite:///a.db", "none")]
    assert "hunter2" not in found[0].command


def test_the_variables_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for variable in ("HARNESS_STORAGE", "HARNESS_TRACKING_URI"):
        assert f"the environment variable {variable} keeps a password out of the process list" in shown
