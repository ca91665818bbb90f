"""Of all processes that want to write one study of a database, one may; on SQLite and on PostgreSQL."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.storages import RDBStorage

from harness.errors import HarnessError, InputError
from harness.search import lease
from harness.search.lease import Lease
from harness.search.storage import open_storage
from tests import postgres

ROOT = Path(__file__).parents[2]
DIES = """
import os, sys
from harness.search.storage import open_storage
from harness.search.lease import Lease
storage = open_storage(sys.argv[1])
Lease(storage.engine, storage.get_study_id_from_name("study"), "study").acquire(print)
os._exit(9)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if postgres.INITDB is None or postgres.POSTGRES is None:
        pytest.skip(postgres.MISSING)
    with postgres.postgres() as running:
        yield running.url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.server, pytest.mark.slow])])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RDBStorage]:
    """A database with one study that nobody owns."""
    sqlite = f"sqlite:///{tmp_path / 'study.db'}"
    opened = open_storage(sqlite if request.param == "sqlite" else request.getfixturevalue("server"))
    study = optuna.create_study(storage=opened, study_name="study")
    yield opened
    opened.delete_study(study._study_id)
    opened.engine.dispose()


def made(storage: RDBStorage) -> Lease:
    return Lease(storage.engine, storage.get_study_id_from_name("study"), "study")


def test_a_second_process_of_this_machine_is_refused_at_once(storage: RDBStorage) -> None:
    first = made(storage)
    first.acquire(pytest.fail)
    with pytest.raises(InputError, match=r"study 'study' of this storage is in use by process \d+ on .*choose another"):
        made(storage).acquire(pytest.fail)
    first.hold()
    first.release()
    second = made(storage)
    second.acquire(pytest.fail)
    second.release()


def test_the_study_of_a_process_that_was_killed_is_taken_over_at_once(storage: RDBStorage) -> None:
    url = storage.engine.url.render_as_string(hide_password=False)
    assert subprocess.run([sys.executable, "-c", DIES, url], cwd=ROOT).returncode == 9
    second = made(storage)
    second.acquire(pytest.fail)
    second.release()


def test_a_clock_that_is_set_makes_no_owner_seem_dead(storage: RDBStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    url = storage.engine.url.render_as_string(hide_password=False)
    waits = DIES.replace("os._exit(9)", "print(flush=True); sys.stdin.read()")
    with subprocess.Popen(
        [sys.executable, "-c", waits, url], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        platform: Any = psutil._psplatform  # type: ignore[attr-defined]
        later = platform.boot_time() + 3_600
        monkeypatch.setattr(platform, "boot_time", lambda: later)
        with pytest.raises(InputError, match="is in use by process"):
            made(storage).acquire(pytest.fail)
        owner.kill()


def test_on_another_machine_the_counter_decides(storage: RDBStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "PATIENCE", 1.0)
    monkeypatch.setattr(lease, "BEAT", 0.1)
    first, said = made(storage), list[str]()
    first._owner["machine"] = "elsewhere"
    first.acquire(said.append)
    with pytest.raises(InputError, match="is in use by process"):
        made(storage).acquire(said.append)
    assert said[0].startswith("waiting 1 s to see whether process ")
    first._ended.set()  # It stands still.
    first._thread.join()
    second = made(storage)
    begun = time.monotonic()
    second.acquire(said.append)
    assert time.monotonic() - begun >= 1.0
    with pytest.raises(HarnessError, match="was taken over by another process while this one stood still"):
        first.hold()
    first.release()
    second.hold()
    second.release()


def test_of_many_that_start_together_one_succeeds(storage: RDBStorage) -> None:
    leases, outcomes = [made(storage) for _ in range(6)], list[str]()
    start = threading.Barrier(len(leases))

    def acquire(one: Lease) -> None:
        start.wait()
        try:
            one.acquire(pytest.fail)
            outcomes.append("owner")
        except InputError:
            outcomes.append("refused")

    threads = [threading.Thread(target=acquire, args=[one]) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["owner"] + ["refused"] * 5
    for one in leases:
        one.release()


def test_a_lost_answer_is_no_lost_study(storage: RDBStorage) -> None:
    """The server changed the counter, and the connection broke before it said so."""
    first = made(storage)
    first.acquire(pytest.fail)
    before = first._held
    assert first._swap(before, first._next())
    first._held = before
    first.hold()
    first.hold()
    first.release()


def test_an_attribute_of_something_else_is_replaced_after_a_wait(
    storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PATIENCE", 0.2)
    optuna.load_study(study_name="study", storage=storage).set_user_attr(lease.KEY, {"process": "me"})
    first = made(storage)
    first.acquire(lambda _: None)
    first.release()
