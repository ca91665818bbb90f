"""``python -m harness.data check PATH``: what a WIDER FACE copy holds, and everything that is wrong with it."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness import cli
from harness.data import SPLITS
from harness.data.check import SplitReport, inspect, write_sheet
from harness.data.widerface import AbsentSplitError
from harness.errors import DataError

EXAMPLES = """examples:
  python -m harness.data check PATH/TO/WIDERFACE
  python -m harness.data check PATH/TO/WIDERFACE --split train --sheets /tmp/sheets --json

exit code: 0 where every split that is there can be used (faults that are skipped are listed), 2 where one is refused
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Check a data folder and print what was found, or one JSON object with ``--json``."""
    parser = cli.Parser("harness.data", "Images and faces on disk.", EXAMPLES)
    parser.add_argument("action", choices=["check"], help="read all labels, decode all images, list every fault")
    parser.add_argument("path", type=Path, metavar="PATH", help="folder of a WIDER FACE copy, in either layout")
    parser.add_argument("--split", choices=SPLITS, help="look at this one only (default: those that are there)")
    parser.add_argument(
        "--sheets", type=Path, metavar="DIR", default=cli.RUNS / "sheets", help="where contact sheets go (runs/sheets)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(argv)

    found: dict[str, SplitReport] = {}
    absent: dict[str, str] = {}
    broken: dict[str, str] = {}
    for split in [given.split] if given.split else SPLITS:
        started = time.perf_counter()
        try:
            found[split] = inspect(given.path, split, _progress if sys.stderr.isatty() else None)
        except AbsentSplitError as error:
            absent[split] = str(error)
            continue
        except DataError as error:
            broken[split] = str(error)
            continue
        seconds = time.perf_counter() - started
        print(f"{split}: {found[split].annotated / seconds:,.0f} images a second", file=sys.stderr)
    if not found:
        raise DataError(next(iter([*broken.values(), *absent.values()])))
    sheets = {}
    for split, report in found.items():
        if report.sheet is not None:
            sheets[split] = given.sheets / f"{given.path.resolve().name}_{split}.png"
            write_sheet(sheets[split], report.sheet)
    accepted = not broken and not any(report.refused for report in found.values())
    if given.json:
        splits = {
            split: {**report.to_dict(), "sheet": str(sheets[split]) if split in sheets else None}
            for split, report in found.items()
        }
        said = {"path": str(given.path), "accepted": accepted, "splits": splits, "absent": absent, "broken": broken}
        cli.emit(said)
    else:
        for split, report in found.items():
            _print(split, report, sheets.get(split))
        for split, message in broken.items():
            _say(f"\n{split}\n  REFUSED: {message}")
        for message in absent.values():
            _say(f"\n{message}")
    return 0 if accepted else 2


def _progress(what: str, done: int, total: int) -> None:
    print(f"\r{what}: {done:,} of {total:,} images", end="" if done < total else "\n", file=sys.stderr)


def _print(split: str, report: SplitReport, sheet: Path | None) -> None:
    _say(f"\n{split} ({report.layout} layout)")
    _say(f"  images     {report.images:,} of {report.annotated:,} annotated")
    _say(f"  faces      {report.faces:,}")
    _say(f"  landmarks  {report.landmarks:,} faces have them")
    for name, count in report.listed.items():
        _say(f"  {name:<9}  {count:,} faces listed")
    _say("  face heights in pixels")
    most = max(1, *report.heights.values())
    for name, count in report.heights.items():
        _say(f"    {name:>8} {count:>9,} {'█' * round(40 * count / most)}".rstrip())
    _say(f"  faults     {len(report.faults):,}")
    for fault in report.faults:
        _say(f"    {fault}")
    if sheet is not None:
        _say(f"  contact sheet {sheet}")
    _say(f"  REFUSED: {report.refused}" if report.refused else "  can be used")


def _say(line: str) -> None:
    """Print a line; file names that are no valid UTF-8 are shown escaped."""
    print(line.encode("utf-8", "backslashreplace").decode("utf-8"))


if __name__ == "__main__":
    cli.run(main)
