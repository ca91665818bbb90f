"""Names of the faults, what happens in each, and how often. A fault is a module of this folder with ``disturb``."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault.

    Attributes:
        what: what happens, for the table.
        repetitions: how often it happens in the full table.
        a_study: how often it happens to one study at most.
    """

    what: str
    repetitions: int
    a_study: int


FAULTS = {
    "worker_killed": Fault("a worker is killed (SIGKILL)", 100, 10),
    "search_killed": Fault("the searching process is killed (SIGKILL)", 100, 10),
    "preempted": Fault("the searching process, or all processes, get SIGTERM", 10, 5),
    "stopped": Fault("a worker or the searching process is stopped (SIGSTOP) and woken", 10, 5),
    "disk_full": Fault("the disk is full, then has room again", 6, 3),
    "postgres_restarted": Fault("PostgreSQL is restarted while two studies use it", 6, 3),
    "mlflow_gone": Fault("MLflow's server is killed, slow, and back", 3, 3),
    "clock_jumps": Fault("the clock is set forwards or backwards, by up to a month", 10, 5),
    "memory_exhausted": Fault("a trial exhausts the memory", 2, 1),
    "not_finite": Fault("a trial's loss is not finite", 2, 1),
    "data_gone": Fault("decoded images vanish, or are cut off, within an epoch", 6, 3),
}
