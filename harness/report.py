"""``python -m harness.report NAME``: writes the report of a study in ``runs/``, finished or not."""

from collections.abc import Sequence

from harness import cli
from harness.core.files import REPORTS
from harness.core.limits import check_name

EXAMPLES = """Writes runs/NAME/report/ (report.md, report.html, pictures, results.csv) and prints its table.

examples:
  python -m harness.report default-v2_p5-synthetic
  python -m harness.report NAME --publish --as widerface --note "600 of the 3,226 validation images\""""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report and print its table, or one JSON object with ``--json``."""
    parser = cli.Parser("harness.report", "Write the report of a study: tables, pictures, results.csv.", EXAMPLES)
    parser.add_argument("name", help="name of a study in --runs")
    parser.add_argument("--publish", action="store_true", help="also write it to reports/NAME/, to be committed")
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

    # Imported after the cheap checks: pandas and Matplotlib take seconds to load.
    from harness.reporting import build_report, publish_report, summary, terminal_table
    from harness.reporting.publish import places
    from harness.reporting.study.data import find_study

    folder = find_study(given.name, given.runs)
    report = build_report(folder)
    published = None
    if given.publish:
        published = publish_report(folder, REPORTS, given.note, given.name_as or "", weights=given.weights)
    if given.json:
        cli.emit(summary(folder) | {"published": None if published is None else str(published)})
        return 0
    cli.show(terminal_table(folder), *(places(path) for path in (report, published) if path is not None))
    return 0


if __name__ == "__main__":
    cli.run(main)
