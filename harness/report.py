"""``python -m harness.report NAME``: writes the report of a study in ``runs/``, or checks published ones."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cli
from harness.core.files import REPORTS
from harness.core.limits import check_name

if TYPE_CHECKING:
    from harness.reporting.records import Checked

EXAMPLES = """Writes runs/NAME/report/ (report.md, report.html, pictures, results.csv) and prints its table.

examples:
  python -m harness.report default-v2_p5-synthetic
  python -m harness.report NAME --publish --as widerface --note "600 of the 3,226 validation images"
  python -m harness.report --check              every report in reports/ is what its records give; 1 if one is not
  python -m harness.report --renew widerface    write it again from its records, after a change of the report's code"""


def main(argv: Sequence[str] | None = None) -> int:
    """Write a report and print its table, or check published ones; one JSON object with ``--json``."""
    parser = cli.Parser("harness.report", "Write the report of a study: tables, pictures, results.csv.", EXAMPLES)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a study in --runs; or reports in reports/")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--publish", action="store_true", help="also write it to reports/NAME/, to be committed")
    what.add_argument(
        "--check", action="store_true", help="compare published reports, or all of them, with what their records give"
    )
    what.add_argument("--renew", action="store_true", help="write published reports again from their records")
    parser.add_argument(
        "--as", dest="name_as", metavar="NAME", help="with --publish: write it to reports/NAME/ instead"
    )
    parser.add_argument(
        "--weights",
        action="store_true",
        help="with --publish: also write the weights of the teacher and of the best student; synthetic data only",
    )
    cli.add(parser, "--note", "--runs", "--json")
    given = parser.parse_args(argv)
    for option, value in (("--note", given.note), ("--as", given.name_as), ("--weights", given.weights)):
        if value and not given.publish:
            parser.error(f"{option} needs --publish")
    if given.name_as is not None:
        check_name(given.name_as, "--as")
    if given.check:
        return _check(given)
    if given.renew:
        return _renew(given)
    if len(given.names) != 1:
        parser.error(f"give the name of one study, got {len(given.names)}")
    return _write(given)


def _write(given: Any) -> int:
    # Imported after the cheap checks: pandas and Matplotlib take seconds to load.
    from harness.reporting import build_report, publish_report, summary, terminal_table
    from harness.reporting.publish import places
    from harness.reporting.study.data import find_study

    folder = find_study(given.names[0], given.runs)
    report = build_report(folder)
    published = None
    if given.publish:
        published = publish_report(folder, REPORTS, given.note, given.name_as or "", weights=given.weights)
    if given.json:
        cli.emit(summary(folder) | {"published": None if published is None else str(published)})
        return 0
    cli.show(terminal_table(folder), *(places(path) for path in (report, published) if path is not None))
    return 0


def _check(given: Any) -> int:
    """Return 0 if every report with records is what these give, else 1."""
    from harness.reporting.records import RECORDS, check, published

    folders = published(REPORTS, given.names)
    found = []
    with cli.Progress() as progress:
        for place, folder in enumerate(folders):
            progress.stage("making reports again", place, len(folders))
            found.append(check(folder))
    if given.json:
        cli.emit({"reports": [asdict(one) | {"fresh": one.fresh} for one in found]})
    else:
        cli.show(*(line for one in found for line in _said(one, REPORTS / one.name, RECORDS)))
    return int(not all(one.fresh for one in found if one.recorded))


def _said(one: "Checked", folder: Path, records: str) -> Iterator[str]:
    if not one.recorded:
        yield f"no records, not checked: {folder}"
    elif one.reason:
        yield f"not made again: {folder}: {one.reason}"
    elif one.stale:
        yield from (f"stale: {folder / name}" for name in one.stale)
        yield f"python -m harness.report --renew {one.name} writes what {folder / records} gives"
    else:
        yield f"fresh: {folder}"


def _renew(given: Any) -> int:
    from harness.reporting.publish import places
    from harness.reporting.records import RECORDS, published, renew

    # All that have records, unless some are named: then a missing one is an error.
    folders = [path for path in published(REPORTS, given.names) if given.names or (path / RECORDS).exists()]
    reports = [renew(folder) for folder in folders]
    if given.json:
        cli.emit({"published": [str(path) for path in reports]})
    else:
        cli.show(*map(places, reports))
    return 0


if __name__ == "__main__":
    cli.run(main)
