"""``python -m harness.data``: download WIDER FACE, check a copy, or write generated scenes as pictures."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from harness import cli
from harness.core.files import RUNS, write_atomically
from harness.core.limits import LARGEST_SEED, require
from harness.core.numbers import integer
from harness.data.check import SplitReport, inspect, write_sheet
from harness.data.download import ARCHIVES, fetch_widerface
from harness.data.synthetic.generate import render_scene
from harness.data.widerface import ON_DISK, AbsentSplitError, find_layout
from harness.errors import DataError, printable

EXAMPLES = """examples:
  python -m harness.data download widerface PATH/TO/WIDERFACE
  python -m harness.data check PATH/TO/WIDERFACE
  python -m harness.data check PATH/TO/WIDERFACE --split train --sheets /tmp/sheets --json
  python -m harness.data scenes scenes

`python -m harness.data ACTION --help` shows the options of an action.
"""

CHECK = """examples:
  python -m harness.data check PATH/TO/WIDERFACE
  python -m harness.data check PATH/TO/WIDERFACE --split train --sheets /tmp/sheets --json

Prints the number of images, faces and landmarks, the face heights and every fault, and writes a contact sheet of each
split. Exits with code 2 if a split is refused; faults that training skips are only listed.
"""

DOWNLOAD = f"""examples:
  python -m harness.data download widerface PATH/TO/WIDERFACE
  HF_ENDPOINT=https://a.mirror python -m harness.data download widerface PATH/TO/WIDERFACE

Downloads {", ".join(archive.name for archive in ARCHIVES)} ({sum(archive.size for archive in ARCHIVES) / 1e9:.1f} GB;
twice that must be free), verifies their sha256 and unpacks them. The same command resumes an interrupted download and
leaves existing folders unchanged. WIDER FACE may be used for research only.
"""

SCENES = """examples:
  python -m harness.data scenes scenes
  python -m harness.data scenes scenes --number 100 --seed 1 --json

Writes the first validation scenes of studies with that seed as PNG files, 160 pixels a side: pictures to try
`python -m harness.detect` on, which no network was trained with.
"""

MOST_SCENES = 10_000

BOXES = "boxes coloured by a face's easiest list: easy green, medium yellow, hard orange, none grey"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the actions, which have their own parsers and ``--help``. Return the exit code."""
    parser = cli.Parser("harness.data", "Images and faces on disk.", EXAMPLES)
    parser.add_argument(
        "action",
        choices=list(ACTIONS),
        help="download: download an official data set; check: read all labels, decode all images, list every fault; "
        "scenes: write generated scenes as pictures",
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the action")
    given = parser.parse_args(argv)
    return ACTIONS[given.action](given.arguments)


def download(argv: Sequence[str]) -> int:
    """Download a data set and print the next command, or one JSON object with ``--json``. Return the exit code."""
    parser = cli.Parser("harness.data download", "Download an official data set from the Hugging Face hub.", DOWNLOAD)
    parser.add_argument("dataset", choices=["widerface"], help="name of the data set")
    parser.add_argument("path", type=Path, metavar="DIR", help="target folder; created if it does not exist")
    cli.add(parser, "--json")
    given = parser.parse_args(argv)
    with cli.Progress(in_bytes=True) as progress:
        fetched = fetch_widerface(given.path, progress.stage)
    lacks = ""
    try:
        find_layout(given.path, "val")
    except DataError as error:
        lacks = str(error)
    following = f"python -m harness.data check {shlex.quote(str(given.path))}"
    if given.json:
        cli.emit({"path": str(given.path), "fetched": fetched, "lacks": lacks or None, "next": following})
        return 0
    for folder, files in fetched.items():
        print(f"{given.path / folder}: {files:,} files")
    if not fetched:
        print(f"{given.path} is complete: nothing to download")
    if lacks:
        print(f"still missing: {lacks}")
    print(f"next: {following}")
    return 0


def check(argv: Sequence[str]) -> int:
    """Check a data folder; print its content and faults, or one JSON object with ``--json``. Return the exit code."""
    parser = cli.Parser(
        "harness.data check", "Count the images and faces of a WIDER FACE copy, and list every fault.", CHECK
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="folder of a WIDER FACE copy, in either layout")
    parser.add_argument("--split", choices=ON_DISK, help="check only this split (default: all in the folder)")
    parser.add_argument(
        "--sheets",
        type=Path,
        metavar="DIR",
        default=RUNS / "sheets",
        help="folder for contact sheets (%(default)s)",
    )
    cli.add(parser, "--json")
    given = parser.parse_args(argv)
    cli.require_writable("--sheets", given.sheets)

    found: dict[str, SplitReport] = {}
    absent: dict[str, str] = {}
    broken: dict[str, str] = {}
    for split in [given.split] if given.split else ON_DISK:
        started = time.perf_counter()
        try:
            with cli.Progress() as progress:
                found[split] = inspect(given.path, split, progress.stage)
        except AbsentSplitError as error:
            absent[split] = str(error)
            continue
        except DataError as error:
            broken[split] = str(error)
            continue
        seconds = time.perf_counter() - started
        print(f"{split}: {found[split].annotated / seconds:,.0f} images per second", file=sys.stderr)
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
            _say("", split, f"  REFUSED: {message}")
        for message in absent.values():
            _say("", message)
    return 0 if accepted else 2


def scenes(argv: Sequence[str]) -> int:
    """Write generated scenes as PNG files; print their folder, or one JSON object with ``--json``. Return 0."""
    parser = cli.Parser("harness.data scenes", "Write generated scenes with faces as pictures.", SCENES)
    parser.add_argument("path", type=Path, metavar="DIR", help="target folder; created if it does not exist")
    parser.add_argument(
        "--number", type=integer, default=8, metavar="N", help="number of scenes (default: %(default)s)"
    )
    cli.add(parser, "--seed", default=0, help="seed of the scenes (default: %(default)s)")
    cli.add(parser, "--json")
    given = parser.parse_args(argv)
    require(0 < given.number <= MOST_SCENES, f"--number lies in 1 … {MOST_SCENES:,}, got {given.number:,}")
    require(0 <= given.seed <= LARGEST_SEED, f"--seed lies in 0 … {LARGEST_SEED:,}, got {given.seed:,}")
    cli.require_writable("DIR", given.path)
    files = [given.path / f"scene-{index:04}.png" for index in range(given.number)]
    with cli.Progress() as progress:
        for index, file in enumerate(files):
            scene = render_scene(given.seed, "val", index)
            write_atomically(file, cv2.imencode(".png", scene.image)[1].tobytes())
            progress.stage("scenes", index + 1, given.number)
    if given.json:
        cli.emit({"files": [str(file) for file in files]})
    else:
        _say(
            f"scenes in {given.path}: {given.number:,}",
            f"next: python -m harness.detect {shlex.quote(str(given.path))} --out found",
        )
    return 0


ACTIONS: dict[str, Callable[[Sequence[str]], int]] = {"download": download, "check": check, "scenes": scenes}


def _print(split: str, report: SplitReport, sheet: Path | None) -> None:
    _say("", f"{split} ({report.layout} layout)")
    _say(f"  images     {report.images:,} of {report.annotated:,} annotated")
    _say(f"  faces      {report.faces:,}")
    _say(f"  landmarks  {report.landmarks:,} faces")
    for name, count in report.listed.items():
        _say(f"  {name:<9}  {count:,} faces")
    _say("  face heights in pixels")
    most = max(1, *report.heights.values())
    for name, count in report.heights.items():
        _say(f"    {name:>8} {count:>9,} {'█' * round(40 * count / most)}".rstrip())
    _say(f"  faults     {len(report.faults):,}")
    for fault in report.faults:
        _say(f"    {fault}")
    if sheet is not None:
        _say(f"  contact sheet {sheet}" + (f" ({BOXES})" if report.listed else ""))
    _say(f"  REFUSED: {report.refused}" if report.refused else "  can be used")


def _say(*lines: str) -> None:
    for line in lines:
        print(printable(line))


if __name__ == "__main__":
    cli.run(main)
