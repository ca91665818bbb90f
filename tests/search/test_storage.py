from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from harness.core.space import Configuration
from harness.errors import HarnessError, InputError
from harness.search.storage import Ledger, check_url, open_storage, single_writer, storage_errors

AXES = {"neck.channels": IntDistribution(24, 48, step=4), "context.name": CategoricalDistribution(("none", "ssh"))}
CONFIGURATION: Configuration = {"neck.channels": 28, "context.name": "ssh"}


def ledger(folder: Path) -> Ledger:
    return Ledger(open_storage(f"sqlite:///{folder / 'study.db'}"), "study", [StudyDirection.MAXIMIZE])


def test_a_trial_is_stored_completely_or_not_at_all(tmp_path: Path) -> None:
    """Another process that opens the database at any moment sees a running trial with everything that resumes it."""
    assert ledger(tmp_path).add(CONFIGURATION, AXES, {"history": 3, "source": "sampler"}, {"generation": 2}) == 0
    (trial,) = ledger(tmp_path).trials()
    assert trial.state == TrialState.RUNNING
    assert trial.params == CONFIGURATION
    assert trial.user_attrs == {"history": 3, "source": "sampler"}
    assert trial.system_attrs["generation"] == 2


def test_a_trial_resumes_by_its_number(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    first.add(CONFIGURATION, AXES, {}, {})
    first.report(0, 1, 0.25)
    again = ledger(tmp_path)
    again.report(0, 1, 0.75)  # The epoch was trained again after a kill: the first value is kept.
    again.report(0, 2, 0.5)
    again.tell(0, TrialState.COMPLETE, [0.5])
    assert again.add({"neck.channels": 24, "context.name": "none"}, AXES, {}, {}) == 1
    trial = ledger(tmp_path).trials()[0]
    assert trial.intermediate_values == {1: 0.25, 2: 0.5}
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5)


def test_a_pruned_trial_keeps_its_last_value(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    book.add(CONFIGURATION, AXES, {}, {})
    book.report(0, 1, 0.25)
    book.tell(0, TrialState.PRUNED, None)
    book.set_attribute("identity", {"seed": 0})
    (trial,) = ledger(tmp_path).trials()
    assert (trial.state, trial.value) == (TrialState.PRUNED, 0.25)
    assert ledger(tmp_path).attributes == {"identity": {"seed": 0}}


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        single_writer(tmp_path),
        pytest.raises(InputError, match=r"in use: the same study runs in another process"),
        single_writer(tmp_path),
    ):
        pass
    with single_writer(tmp_path):
        pass


def test_a_lock_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with (
        pytest.raises(InputError, match=r"lock cannot be locked .*: it must be a plain file; remove it"),
        single_writer(tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.db", "storage 'study.db' is not a database URL"),
        ("sqlite:study.db", "is not a database URL"),
        ("oracle9://host/db", "is not a database URL"),
        ("mysql+pymysql://me:secret@host/db", "needs the driver 'pymysql'"),
        ("sqlite://", "storage 'sqlite://' names no file: a study must outlive its process; give sqlite:///PATH"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file::memory:?uri=true&key=secret", "names no file"),
        ("sqlite:////tmp/", "names no file"),
    ],
)
def test_a_url_that_could_never_work_is_refused(url: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        check_url(url)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("not a database, but long enough to look like one" * 30)
    with pytest.raises(InputError, match=r"cannot be opened: .*file is not a database"):
        open_storage(f"sqlite:///{tmp_path / 'study.db'}")


def test_a_database_failure_during_the_run_is_one_line() -> None:
    error = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = OperationalError("INSERT", {}, Exception("database or disk is full"))
    with pytest.raises(HarnessError) as failed, storage_errors("postgresql://me:secret@host/db"):
        raise error
    assert failed.value.exit_code == 1
    assert "database or disk is full" in str(failed.value)
    assert "run the same command again to resume" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_failure_without_words_is_called_by_its_name() -> None:
    error = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = TimeoutError()
    with pytest.raises(HarnessError, match="failed: TimeoutError; fix that"), storage_errors("postgresql://host/db"):
        raise error


def test_what_a_ledger_keeps_is_what_the_database_holds(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    book.add(CONFIGURATION, AXES, {"history": 0, "source": "uniform", "rejected": {}}, {"generation": 1})
    book.add({"neck.channels": 24, "context.name": "none"}, AXES, {"rejected": {"repeated": 2}}, {})
    for number, values in ((0, (0.1, 1 / 3)), (1, (0.7,))):
        for epoch, value in enumerate(values, start=1):
            book.report(number, epoch, value)
    book.add({"neck.channels": 32, "context.name": "none"}, AXES, {}, {})
    book.add({"neck.channels": 36, "context.name": "none"}, AXES, {}, {})
    book.report(2, 1, 0.5)
    running = book.trials()
    book.tell(0, TrialState.COMPLETE, [1 / 3])
    book.tell(1, TrialState.PRUNED, None)
    book.tell(2, TrialState.FAIL, None)
    kept, read = book.trials(), ledger(tmp_path).trials()
    for name in ("number", "_trial_id", "state", "values", "distributions", "intermediate_values", "user_attrs"):
        assert [getattr(one, name) for one in kept] == [getattr(one, name) for one in read], name
    assert [one.system_attrs for one in kept] == [one.system_attrs for one in read]
    assert [list(one.params.items()) for one in kept] == [list(one.params.items()) for one in read]
    assert [one.state for one in running] == [TrialState.RUNNING] * 4, "a list that was given does not change"


def test_trials_are_read_again_by_the_next_owner(tmp_path: Path) -> None:
    book, other = ledger(tmp_path), ledger(tmp_path)
    assert not other.trials()
    book.add(CONFIGURATION, AXES, {}, {})
    with other.owned(pytest.fail):
        assert len(other.trials()) == 1
