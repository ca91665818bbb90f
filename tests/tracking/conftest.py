"""MLflow stores for tests: making a database's tables takes seconds, so it is done once and copied."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from harness.tracking import default_uri
from harness.tracking.store import _client
from tests.tracking.fake_run import Folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with all its tables and no study, shared by all processes of a parallel test run."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    store = folder / "empty-store.db"
    with FileLock(folder / "empty-store.lock"):
        if not store.exists():
            made = folder / "new-store" / "mlflow.db"
            made.parent.mkdir(exist_ok=True)
            _client(default_uri(made.parent)).search_experiments()
            made.rename(store)
    return store


@pytest.fixture
def runs(tmp_path: Path, empty_store: Path) -> Path:
    """A folder of studies, with a space, an accent and a per cent sign in its path, and an empty store."""
    folder = tmp_path / "runs é 100%" / "runs"
    folder.mkdir(parents=True)
    shutil.copyfile(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture
def folder(runs: Path) -> Folder:
    return Folder(runs, "mine")
