"""Which tracking addresses are accepted."""

import traceback
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.tracking import MLflowTracker, default_uri
from harness.tracking.address import check_uri, page_root


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("foo://bar", "unknown scheme 'foo'"),
        ("file:///tmp/mlruns", "no longer supported; did you mean 'sqlite:////tmp/mlruns/mlflow.db'?"),
        ("file:mlruns", "did you mean 'sqlite:///mlruns/mlflow.db'?"),
        ("nonsense", "not a tracking URI"),
        ("", "not a tracking URI"),
        ("localhost:5000", "did you mean 'http://localhost:5000'?"),
        ("runs/mlflow.db", "did you mean 'sqlite:///runs/mlflow.db'?"),
        ("http://", "names no host"),
        ("http://host:port", "Port could not be cast"),
        ("http://host:99999", "Port out of range"),
        ("http://two words", "not a tracking URI"),
        ("sqlite://", "needs a file"),
        ("sqlite:///", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:///tests", "names a folder"),
        ("sqlite:///pyproject.toml", "is not a SQLite database"),
        ("sqlite:///pyproject.toml/mlflow.db", "cannot be made"),
        ("mysql://user:hunter2@host/db", "driver 'MySQLdb' is not installed"),
        ("postgresql://user:hunter2@host:x/db", "invalid literal"),
        ("postgresql://user:hunter2", "invalid literal"),
        ("http://user:hunter2/x@host", "percent-encoded"),
        ("http://user:hunter2", "Port could not be cast"),
        ("postgres://user:hunter2@host/db", "unknown scheme 'postgres'"),
        ("user:hunter2@host/mlflow.db", "not a tracking URI"),
        ("sqlite:///mlflow.db?password=hunter2", "needs a file"),
    ],
)
def test_malformed_uri_is_refused_before_anything_starts(uri: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        MLflowTracker(uri, tmp_path / "study", "study")
    message = str(caught.value)
    assert told in message
    assert "accepted: http(s)://HOST:PORT, sqlite:///PATH" in message
    assert "\n" not in message
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert not (tmp_path / "study").exists()


def test_accepted_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_uri("sqlite:///sub/mlflow.db") == f"sqlite:///{tmp_path}/sub/mlflow.db"
    assert check_uri("http://127.0.0.1:1/") == "http://127.0.0.1:1"
    assert check_uri(default_uri(Path("runs"))) == f"sqlite:///{tmp_path}/runs/mlflow.db"


def test_the_address_of_the_pages_holds_no_user() -> None:
    assert page_root("https://user:hunter2@host:5000/base") == "https://host:5000/base"
    assert page_root("http://[::1]:5000") == "http://[::1]:5000"
