"""``sweep``: the cases, one after the other, each in a folder, in databases and in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.scale.case import Case
from tests import postgres

ROOT = Path(__file__).parents[2]
SIZES, QUICK_SIZES = (100, 300, 1_000, 3_000, 10_000), (2, 4)
"""Numbers of trials."""

MOST_REPORTED = 1_000
"""Trials of the largest study whose report is written."""

FEW, LONG = 8, 600.0
"""Workers, and seconds of a training, where the number of trials varies: all is sent before the next training ends."""

WORKERS, QUICK_WORKERS = (1, 10, 30, 100, 300, 1_000), (2,)
SHORT = 60.0
"""Seconds of a training where the number of workers varies: a minute, so that 1,000 workers are more than enough."""

ROUNDS, LEAST = 4, 300
"""Trials per worker, and trials at least, where the number of workers varies."""

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"


def sweep(folder: Path, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``sizes`` and ``workers``, one dict per case, as ``case.run`` returns it.

    Args:
        folder: an empty folder.
        quick: whether to use toy sizes.
        say: called with a line after every case.
    """
    first = _run(Case(str(_runs(folder, "first", None)), "first", 1, 1, 1.0, tracking="none", reports=False))
    say(f"images and teacher are made; the first start took {first['start']:.0f} s")
    sizes, numbers = (QUICK_SIZES, QUICK_WORKERS) if quick else (SIZES, WORKERS)
    found: dict[str, Any] = {"sizes": [], "workers": []}
    with _server() as new_database:
        stores = [SQLITE] if new_database is None else [SQLITE, POSTGRESQL][quick:]
        wanted = [("sizes", store, size, FEW, LONG) for size in sizes for store in stores]
        wanted += [("workers", stores[-1], max(LEAST, ROUNDS * n), n, SHORT) for n in numbers]
        if quick:
            wanted = [(kind, store, min(size, max(sizes)), n, time) for kind, store, size, n, time in wanted]
        for number, (kind, store, trials, workers, seconds) in enumerate(wanted):
            name = f"{kind}_{number}"
            case = Case(str(_runs(folder, name, "first")), name, trials, workers, seconds)
            if store == POSTGRESQL and new_database is not None:
                case = replace(case, storage=new_database(name))
            case = replace(case, reports=kind == "sizes" and trials <= MOST_REPORTED)
            row = {"trials": trials, "workers": workers, "seconds": seconds, "store": store, **_run(case)}
            if kind == "sizes":
                row |= _run(replace(case, resumes=True))
            found[kind].append(row)
            shutil.rmtree(case.runs)
            say(
                f"{trials:,} trials, {workers:,} workers, {store}: {row['total_ms']:.0f} ms a trial, "
                f"workers wait {100 * row['kept_waiting']:.1f} % of their time"
            )
    return found


def _runs(folder: Path, name: str, source: str | None) -> Path:
    """Return a new folder of studies, with the images and the teacher of another one."""
    runs = folder / name
    runs.mkdir()
    for shared in ("cache", "teachers") if source else ():
        (runs / shared).symlink_to(folder / str(source) / shared)
    return runs


def _run(case: Case) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale.case", json.dumps(asdict(case))],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def _server() -> Iterator[Callable[[str], str] | None]:
    """Run PostgreSQL, and yield a function that makes a database and returns its address; None where there is none."""
    if postgres.INITDB is None or postgres.POSTGRES is None:
        yield None
        return
    import psycopg

    with postgres.postgres(durable=True) as server:

        def new_database(name: str) -> str:
            with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return server.url.replace("/postgres?", f"/{name}?")

        yield new_database
