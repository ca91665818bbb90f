"""The process that reads MATLAB files for ``harness.data.mat``: it may crash, or be refused the memory it asks for.

It reads a JSON object of path → names of tables from its argument, and writes the tables to standard output, as a NumPy
archive without pickles.
"""

import json
import resource
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.mat import NAMES, REFUSED, Table
from harness.errors import first_line

MOST_MEMORY = 2**31
"""Bytes of address space; the official files need a tenth."""


def main() -> int:
    """Read what the argument asks for, and write it to standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    wanted: dict[str, list[str]] = json.loads(sys.argv[1])
    arrays: dict[str, NDArray[Any]] = {}
    for index, (path, names) in enumerate(wanted.items()):
        print(path, file=sys.stderr, flush=True)
        try:
            for name, table in _tables(path, names):
                arrays |= {f"{index} {name} values": table.values, f"{index} {name} counts": table.counts}
        except MemoryError:
            reason = f"it needs more than {MOST_MEMORY / 2**30:.0f} GiB"
        except Exception as error:  # SciPy raises many kinds of errors on a damaged file.
            reason = first_line(error)
        else:
            continue
        print(f"{path} is not a readable MATLAB file: {reason}", file=sys.stderr)
        return REFUSED
    np.savez(sys.stdout.buffer, allow_pickle=False, **arrays)
    return 0


def _tables(path: str, names: Sequence[str]) -> Iterator[tuple[str, Table]]:
    from scipy.io import loadmat

    content = loadmat(path)
    for name in names:
        if name == NAMES and {"event_list", "file_list"} <= content.keys():
            yield name, _names(content["event_list"], content["file_list"])
        elif name in content:
            entries = [np.asarray(entry) for entry in _walk(content[name])]
            if any(entry.dtype.kind not in "biuf" for entry in entries):
                raise ValueError(f"{name} holds something other than numbers")
            flat = [entry.astype(np.float64).ravel() for entry in entries]
            yield name, Table(np.concatenate([np.zeros(0), *flat]), np.array([len(f) for f in flat], dtype=np.int64))


def _names(events: Any, files: Any) -> Table:
    names = [
        f"{event[0]}/{name[0][0]}"
        for event, group in zip(events.ravel().tolist(), files.ravel(), strict=True)
        for name in group.tolist()
    ]
    return Table(np.array(names, dtype=np.str_), np.ones(len(names), dtype=np.int64))


def _walk(table: Any) -> Iterator[Any]:
    """Yield each image's entry of a MATLAB cell of events, which are cells of images."""
    for event in table.ravel():
        for entry in event.ravel():
            yield entry[0] if entry.dtype == object else entry


if __name__ == "__main__":
    sys.exit(main())
