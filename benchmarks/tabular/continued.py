"""An earlier table, perhaps of another machine, whose trainings are not run again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.tabular.graded import VAL
from benchmarks.tabular.rows import ENDED
from harness.core.record import TrialRecord
from harness.core.table import Curves, Table, Trained
from harness.errors import InputError


def continued(path: Path, now: Table) -> Table | None:
    """Return the table that a file holds, to be continued; None if there is no file.

    Args:
        path: the file.
        now: the table without that file, with the provenance of what would train.

    Raises:
        InputError: its trainings had another protocol.
        DataError: it is no table.
    """
    if not path.exists():
        return None
    earlier = Table.load(path)
    before, after = _protocol(earlier), _protocol(now)
    if differ := [name for name in before if before[name] != after[name]]:
        raise InputError(
            f"{path} is a table with other {', '.join(differ)}: move it away, or name a new file with --out"
        )
    return earlier


def _protocol(table: Table) -> dict[str, Any]:
    """Return, in words, what must agree in two tables if their trainings may stand in one."""
    return {
        "spaces": table.space_digest,
        "study settings": replace(table.config, trials=1, seeds=1),
        "images": table.images,
        "AP protocols": (table.search_protocol, table.protocol),
        "teachers": table.teacher["digest"],
        "versions of the training": table.training,
        "threads": table.threads,
        "precisions": {one["machine"]["precision"] for one in table.provenance},
    }


def fill(networks: Sequence[Sequence[TrialRecord]], earlier: Table) -> None:
    """Fill the records of trainings that have not ended here and have ended in an earlier table.

    Args:
        networks: for each network the records of its trainings.
        earlier: the table.
    """
    known = {network.label: network for network in earlier.networks}
    for records in networks:
        network = known.get(records[0].label)
        if network is None:
            continue
        records[0].speed = records[0].speed or network.speed
        by_seed = {one.seed: one for one in network.trainings}
        for record in records:
            if record.state not in ENDED and record.seed in by_seed:
                _fill(record, by_seed[record.seed])


def _fill(record: TrialRecord, trained: Trained) -> None:
    record.state, record.reason = trained.state, trained.reason
    record.epochs = [
        {
            "epoch": number + 1,
            "ap": _epoch(trained.search, number),
            VAL: _epoch(trained.val, number),
            "losses": _epoch(trained.losses, number),
            "seconds": seconds,
        }
        for number, seconds in enumerate(trained.seconds)
    ]


def _epoch(curves: Curves, number: int) -> dict[str, float | None]:
    """Return name → value of one epoch; empty if it was not evaluated."""
    values = {name: curve[number] for name, curve in curves.items()}
    return values if any(value is not None for value in values.values()) else {}
