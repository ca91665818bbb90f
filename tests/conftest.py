"""Shared by all tests: threads, real data, and fixtures that are made once for all processes of a test run."""

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from sqlalchemy import Engine, event

from tests.toy import STUDY, THREADS, WORKERS, Toy, end, start

os.environ["OMP_NUM_THREADS"] = str(THREADS)  # Read when PyTorch loads, here and in every process that a test starts.

import torch

from harness.core.machine import available_cores

torch.set_num_threads(THREADS)

_REAL = {"widerface_root", "published_weights"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes of ``-n auto``: one per core, at most 8, since each must load PyTorch."""
    return min(available_cores(), 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that read real data or the toy study, so that they can be left out."""
    for item in items:
        assert isinstance(item, pytest.Function)
        if _REAL & set(item.fixturenames):
            item.add_marker(pytest.mark.real)
        if "toy" in item.fixturenames:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.trains)


@pytest.fixture(scope="session", autouse=True)
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Turn off fsync: no test checks that files survive a power cut, and a study syncs hundreds of times."""

    def connected(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        event.listen(Engine, "connect", connected)
        yield


@pytest.fixture(scope="session")
def widerface_root() -> Path:
    """The copy of WIDER FACE that the environment names."""
    return _named("WIDERFACE_ROOT", "a copy of WIDER FACE")


@pytest.fixture(scope="session")
def published_weights() -> Path:
    """The folder of published FeatherFace weights that the environment names."""
    return _named("FEATHERFACE_WEIGHTS", "a folder of published weights")


def _named(variable: str, what: str) -> Path:
    if not os.environ.get(variable):
        pytest.skip(f"{variable} does not name {what}")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def cache(shared: Path) -> Path:
    """Cache of decoded and generated images; ``load_split`` lets one process make them."""
    folder = shared / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def toy(shared: Path, cache: Path) -> Toy:
    """A study that trains, run once by its command with two workers. Tests that change its folder copy it."""
    runs, said = shared / "toy", shared / "toy" / "said.json"
    with FileLock(shared / "toy.lock"):
        if not said.exists():
            runs.mkdir()
            (runs / "cache").symlink_to(cache)
            arguments = [*STUDY, "--runs", str(runs), "--workers", WORKERS, "--json"]
            said.write_text(json.dumps(end(start("harness.study", arguments))), encoding="utf-8")
    code, output, errors = json.loads(said.read_text(encoding="utf-8"))
    assert code == 0, errors
    return Toy(runs / "toy", output, errors)
