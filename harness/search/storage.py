"""The study's database: one writer, and each trial created in one transaction, so that a killed study resumes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from harness.core.secrets import mask_text, mask_url
from harness.core.space import Configuration
from harness.errors import HarnessError, InputError

ACCEPTED = "sqlite:///PATH, postgresql://USER:PASSWORD@HOST/DATABASE or mysql://…"
HISTORY = "history"
"""User attribute: the number of earlier trials whose results decided this trial's configuration and pruning."""


@contextmanager
def single_writer(folder: Path) -> Iterator[None]:
    """Hold the study's lock; the system releases it when this process ends, however it ends.

    Raises:
        InputError: another process runs this study.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"{folder} is in use: the same study runs in another process; wait for it or choose another --name"
        ) from error
    try:
        yield
    finally:
        lock.release()


def check_url(url: str) -> None:
    """Refuse a storage URL that could never be opened, without opening it.

    Raises:
        InputError: the URL is malformed or its driver is not installed.
    """
    try:
        make_url(url).get_dialect().import_dbapi()
    except (SQLAlchemyError, ValueError, TypeError):
        reason = f"storage '{mask_url(url)}' is not a database URL (accepted: {ACCEPTED})"
        raise InputError(reason) from None  # The error may quote the password.
    except ImportError as error:
        extra = "; pip install -e .[postgres] installs it" if url.startswith("postgresql") else ""
        raise InputError(f"storage '{mask_url(url)}' needs the driver '{error.name}'{extra}") from error


def open_storage(url: str) -> BaseStorage:
    """Open a database, and create missing tables.

    Raises:
        InputError: it cannot be reached or is not an Optuna database.
    """
    check_url(url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return RDBStorage(url)
    except (SQLAlchemyError, RuntimeError, ValueError) as error:
        reason = mask_text(str(error).splitlines()[0], url)
        raise InputError(f"storage '{mask_url(url)}' cannot be opened: {reason}") from None


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
        self._study.set_user_attr(key, value)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by number."""
        return self._study.get_trials(deepcopy=False)

    def add(
        self,
        configuration: Configuration,
        distributions: Mapping[str, BaseDistribution],
        user_attrs: Mapping[str, Any],
        system_attrs: Mapping[str, Any],
    ) -> int:
        """Create a running trial in one transaction and return its number."""
        number = len(self.trials())
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=dict(configuration),
                distributions=dict(distributions),
                user_attrs=dict(user_attrs),
                system_attrs=dict(system_attrs),
            )
        )
        return number

    def report(self, number: int, epoch: int, value: float) -> None:
        """Write the objective after an epoch; an existing value of that epoch is kept."""
        trial = self.trials()[number]
        if epoch not in trial.intermediate_values:
            self._storage.set_trial_intermediate_value(trial._trial_id, epoch, value)

    def tell(self, number: int, state: TrialState, values: Sequence[float] | None) -> None:
        """End a trial."""
        self._study.tell(number, list(values) if values is not None else None, state=state)


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
        reason = mask_text(str(cause).splitlines()[0], url)
        raise HarnessError(
            f"storage '{mask_url(url)}' failed: {reason}; fix that and run the same command again to resume"
        ) from None
