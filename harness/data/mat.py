"""Reads WIDER FACE's MATLAB files in a process of its own, because SciPy's reader crashes on some damaged files."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError

NAMES = "names"
"""A table that is made of ``event_list`` and ``file_list``: ``event/name`` of every image."""

REFUSED = 3
"""Exit code of the process if a file cannot be read. It prints the path of every file that it begins to read; the last
line says why it ends."""

_MOST_SECONDS = 300


@dataclass(frozen=True, eq=False)
class Table:
    """A table with one entry per image: ``values`` of all images (float64, or texts), and the ``counts`` of each."""

    values: NDArray[Any]
    counts: NDArray[np.int64]

    def images(self) -> list[NDArray[np.float64]]:
        """Return the values of each image."""
        return [self.values[start:end] for start, end in pairwise([0, *np.cumsum(self.counts).tolist()])]


def read_tables(wanted: Mapping[Path, Sequence[str]]) -> dict[Path, dict[str, Table]]:
    """Return the wanted tables of MATLAB files, as far as the files have them.

    Raises:
        DataError: a file is damaged, or a table is not one of numbers per image; the message names the file.
    """
    request = json.dumps({str(path): list(names) for path, names in wanted.items()})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "harness.data.mat_process", request],
            capture_output=True,
            timeout=_MOST_SECONDS,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # Every thread would reserve memory.
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{_listed(wanted)}: reading takes longer than {_MOST_SECONDS} s: a file is damaged") from error
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode == REFUSED:
        raise DataError(said[-1])
    if done.returncode:
        cause = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
        raise DataError(f"{said[-1] if said else _listed(wanted)}: reading it crashes ({cause}): the file is damaged")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as arrays:
        return {
            path: {
                name: Table(arrays[f"{index} {name} values"], arrays[f"{index} {name} counts"])
                for name in names
                if f"{index} {name} values" in arrays
            }
            for index, (path, names) in enumerate(wanted.items())
        }


def _listed(wanted: Mapping[Path, Sequence[str]]) -> str:
    return ", ".join(map(str, wanted))
