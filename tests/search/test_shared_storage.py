"""Studies whose trials are in a database that other processes use too."""

import gc
import signal
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from optuna.study import StudyDirection

from harness.core import mounts
from harness.errors import HarnessError, InputError
from harness.search.storage import Ledger, open_storage
from harness.training.job import Job, TrainResult
from tests import postgres
from tests.postgres import Postgres
from tests.search.stub import Plan, Stub, outcome

pytestmark = pytest.mark.slow


def test_a_study_that_another_process_runs_is_refused_whatever_its_folder(stub: Stub, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'all.db'}"
    with (
        Ledger(open_storage(url), "stub", [StudyDirection.MAXIMIZE]).owned(pytest.fail),
        pytest.raises(InputError, match="study 'stub' of this storage is in use by process"),
    ):
        stub.study(resources={"storage": url})
    assert not (stub.runs / "stub").exists()
    stub.study(resources={"storage": url})


@pytest.mark.parametrize("given", [True, False])
def test_a_database_file_of_another_machine_is_refused(
    given: bool, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text(f"server:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mounts")
    resources = {"storage": f"sqlite:///{tmp_path / 'all.db'}"} if given else {}
    with pytest.raises(
        InputError, match=r"is on a network file system \(nfs4\), where the locks of SQLite do not keep"
    ):
        stub.study(resources=resources)
    assert not (stub.runs / "stub").exists()
    assert not (tmp_path / "all.db").exists()


@dataclass
class Crash(Plan):
    """The server crashes after the first epoch of trial 1."""

    server: list[Postgres] = field(default_factory=list)

    def train(self, job: Job) -> Generator[dict[str, Any], bool, TrainResult]:
        steps = super().train(job)
        answer = yield next(steps)
        if job.label == "0001" and self.server:
            self.server.pop().kill()
        while True:
            try:
                answer = yield steps.send(answer)
            except StopIteration as ended:
                result: TrainResult = ended.value
                return result


@pytest.mark.server
@pytest.mark.skipif(postgres.POSTGRES is None or postgres.INITDB is None, reason=postgres.MISSING)
def test_a_study_resumes_after_its_server_crashed(stub: Stub) -> None:
    undisturbed = outcome(stub.study(name="whole", trials=6))
    with postgres.postgres() as server:
        with pytest.raises(HarnessError, match=r"storage .* failed: .*run the same command again to resume"):
            stub.study(Crash(server=[server]), trials=6, resources={"storage": server.url})
        with pytest.raises(InputError, match=r"storage .* cannot be opened"):
            stub.study(trials=6, resources={"storage": server.url})
        server.start()
        folder = stub.study(trials=6, resources={"storage": server.url})
        assert outcome(folder) == undisturbed


@pytest.fixture
def connections_are_left() -> Iterator[None]:
    """psycopg warns of connections that nobody closes: of an attempt that was too late, or to a server that died."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.mark.server
@pytest.mark.skipif(postgres.POSTGRES is None or postgres.INITDB is None, reason=postgres.MISSING)
@pytest.mark.usefixtures("connections_are_left")
def test_a_new_database_may_be_opened_by_several_at_once_and_its_server_restarted_between_two_statements() -> None:
    with postgres.postgres() as server:
        with ThreadPoolExecutor(4) as pool:
            for opened in pool.map(open_storage, [server.url] * 4):
                opened.engine.dispose()
        ledger = Ledger(open_storage(server.url), "stub", [StudyDirection.MAXIMIZE])
        with ledger.owned(pytest.fail):
            for number in (signal.SIGINT, signal.SIGQUIT):
                server.kill(number)
                server.start()
                ledger.set_attribute("restarted by", number)
                assert ledger.attributes["restarted by"] == number
