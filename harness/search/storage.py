"""The study's database: one writer, and each trial created in one transaction, so that a killed study resumes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from harness.core.mounts import network_file_system
from harness.core.secrets import mask_text, mask_url
from harness.core.space import Configuration
from harness.errors import HarnessError, InputError, first_line
from harness.search.lease import Lease, owner_of

ACCEPTED = "sqlite:///PATH, postgresql://USER:PASSWORD@HOST/DATABASE or mysql://…"
_PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds between attempts to open a database whose tables another process makes at the same time."""

HISTORY = "history"
"""User attribute: the number of earlier trials whose results decided this trial's configuration and pruning."""


@contextmanager
def single_writer(folder: Path) -> Iterator[None]:
    """Hold the study's lock; the system releases it when this process ends, however it ends.

    Raises:
        InputError: another process runs this study, or the lock is no file.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"{folder} is in use: the same study runs in another process; wait for it or choose another --name"
        ) from error
    except OSError as error:
        raise InputError(
            f"{folder / 'lock'} cannot be locked ({error.strerror}): it must be a plain file; remove it"
        ) from error
    try:
        yield
    finally:
        lock.release()


def check_url(url: str) -> None:
    """Refuse a storage URL that could never be used, without opening it.

    Raises:
        InputError: the URL is malformed, its driver is not installed, or it names a SQLite database that is no file or
            lies on a network file system.
    """
    try:
        parsed = make_url(url)
        parsed.get_dialect().import_dbapi()
    except (SQLAlchemyError, ValueError, TypeError):
        reason = f"storage '{mask_url(url)}' is not a database URL (accepted: {ACCEPTED})"
        raise InputError(reason) from None  # The error may quote the password.
    except ImportError as error:
        extra = "; pip install -e .[postgres] installs it" if url.startswith("postgresql") else ""
        raise InputError(f"storage '{mask_url(url)}' needs the driver '{error.name}'{extra}") from error
    if parsed.get_backend_name() == "sqlite":
        _check_sqlite(parsed)


def _check_sqlite(url: URL) -> None:
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:") or path.endswith("/"):
        raise InputError(
            f"storage '{mask_url(str(url))}' names no file: a study must outlive its process; give sqlite:///PATH"
        )
    kind = network_file_system(Path(path))
    if kind is not None:
        raise InputError(
            f"storage {path} is on a network file system ({kind}), where the locks of SQLite do not keep other "
            "machines out: give a local folder with --runs, or a database server with --storage"
        )


def open_storage(url: str) -> RDBStorage:
    """Open a database, and create missing tables.

    Raises:
        InputError: it cannot be reached or is not an Optuna database.
    """
    check_url(url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        for pause in _PAUSES:
            with suppress(IntegrityError, ProgrammingError):  # Another process makes the tables at the same time.
                return _opened(url)
            time.sleep(pause)
        return _opened(url)
    except (SQLAlchemyError, RuntimeError, ValueError, TypeError) as error:
        reason = mask_text(first_line(error), url)
        raise InputError(f"storage '{mask_url(url)}' cannot be opened: {reason}") from None


def _opened(url: str) -> RDBStorage:
    # A connection that a restarted server has closed is opened again, where no statement was under way.
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


def running_process(url: str, name: str) -> dict[str, Any] | None:
    """Return ``process`` and ``host`` of the process that runs a study of a database; None if none does.

    Raises:
        InputError: the database cannot be reached, or does not hold the study.
    """
    storage = open_storage(url)
    try:
        return owner_of(storage.engine, storage.get_study_id_from_name(name))
    except KeyError:
        raise InputError(f"storage '{mask_url(url)}' holds no study '{name}'") from None
    finally:
        storage.engine.dispose()


class Ledger:
    """The trials of one study in an Optuna database.

    Args:
        storage: an open database.
        name: the study's name there.
        directions: one per objective.
    """

    def __init__(self, storage: BaseStorage, name: str, directions: Sequence[StudyDirection]) -> None:
        self._study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=list(directions),
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=optuna.pruners.NopPruner(),
        )
        self._storage = storage
        self._known: list[FrozenTrial] | None = None
        self._lease: Lease | None = None

    @contextmanager
    def owned(self, say: Callable[[str], None]) -> Iterator["Ledger"]:
        """Let no other process write the study meanwhile.

        Args:
            say: called with one line if it is unclear whether the process that used it last still runs.

        Raises:
            InputError: another process runs the study.
        """
        assert isinstance(self._storage, RDBStorage)
        self._lease = Lease(self._storage.engine, self._study._study_id, self._study.study_name)
        try:
            self._lease.acquire(say)
            self._known = None
            yield self
        finally:
            self._lease.release()
            self._storage.engine.dispose()

    def _hold(self) -> None:
        if self._lease is not None:
            self._lease.hold()

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, for reading."""
        return self._study

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the study as a whole."""
        return dict(self._study.user_attrs)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of the study as a whole: plain data."""
        self._hold()
        self._study.set_user_attr(key, value)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by number.

        They are read once: afterwards only this process changes them, and Optuna would read all running ones again.
        """
        return list(self._trials())

    def _trials(self) -> list[FrozenTrial]:
        if self._known is None:
            self._known = self._study.get_trials(deepcopy=False)
        return self._known

    def add(
        self,
        configuration: Configuration,
        distributions: Mapping[str, BaseDistribution],
        user_attrs: Mapping[str, Any],
        system_attrs: Mapping[str, Any],
    ) -> int:
        """Create a running trial in one transaction and return its number."""
        self._hold()
        known = self._trials()
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(configuration),
            distributions=dict(distributions),
            user_attrs=dict(user_attrs),
            system_attrs=dict(system_attrs),
        )
        self._study.add_trial(trial)
        trial.number = len(known)
        trial._trial_id = self._study._storage.get_trial_id_from_study_id_trial_number(
            self._study._study_id, trial.number
        )
        known.append(trial)
        return trial.number

    def report(self, number: int, epoch: int, value: float) -> None:
        """Write the objective after an epoch; an existing value of that epoch is kept."""
        self._hold()
        trial = self._trials()[number]
        if epoch not in trial.intermediate_values:
            self._storage.set_trial_intermediate_value(trial._trial_id, epoch, value)
            trial.intermediate_values[epoch] = value

    def tell(self, number: int, state: TrialState, values: Sequence[float] | None) -> None:
        """End a trial."""
        self._hold()
        known = self._trials()
        known[number] = self._study.tell(number, list(values) if values is not None else None, state=state)


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn a database failure during the run into an error of one line.

    Raises:
        HarnessError: the database is full, gone or locked.
    """
    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        reason = mask_text(first_line(cause), url)
        raise HarnessError(
            f"storage '{mask_url(url)}' failed: {reason}; fix that and run the same command again to resume"
        ) from None
