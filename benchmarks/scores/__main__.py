"""``python -m benchmarks.scores``: measures how far cheap scores order candidates as full trainings do."""

import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.scores.catalogue import CATALOGUE
from harness import cli
from harness.core.limits import check_name
from harness.core.numbers import integer
from harness.core.table import TABLE, Table
from harness.errors import InputError, unknown_name

if TYPE_CHECKING:
    from benchmarks.scores.agreement import Judged

HERE, REPORTS = Path(__file__).parent, Path("reports")
SHARING = "default"
CANDIDATES, LEAST = 32, 8
QUICK_CANDIDATES, QUICK_LEAST = 4, 3
"""Number of candidates, and the smallest for which Kendall's τ is computed."""

EXAMPLES = f"""
Scores networks of a table that python -m benchmarks.tabular made, and compares their order with that after full
training by Kendall's tau. Costs are timed in alternation with steps of the full training. After every score, all values
are written to benchmarks/scores/NAME.json; at the end, a report is written to reports/scores_NAME/. NAME is that of the
table. The same command resumes after an interruption, and what is measured is read. Cheaper trainings of {CANDIDATES}
candidates take about as long as {5 * CANDIDATES // 2} full ones. No score reads the validation images.

{textwrap.fill(f"scores: {', '.join(CATALOGUE)}", 118)}

examples:
  python -m benchmarks.scores
  python -m benchmarks.scores --scores params,macs,synflow,tuned_slices
  python -m benchmarks.scores --table benchmarks/tabular/widerface_mini.json --data PATH/TO/WIDERFACE \\
      --init-backbone BACKBONE
  python -m benchmarks.scores --quick --runs /tmp/runs"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure scores; print the table and the findings, or one JSON object with ``--json``."""
    given = _parser().parse_args(argv)
    names, least = _names(given.scores), QUICK_LEAST if given.quick else LEAST
    usual = QUICK_CANDIDATES if given.quick else CANDIDATES
    count = usual if given.candidates is None else given.candidates
    if count < least:
        raise InputError(f"--candidates must be at least {least}: Kendall's τ of fewer is mostly chance; got {count}")
    if given.publish is not None:
        check_name(given.publish, "--publish")
    cli.require_writable("--runs", given.runs)

    # Imported after the cheap checks: PyTorch, pandas and Matplotlib take seconds to load.
    from benchmarks.scores.agreement import judge
    from benchmarks.scores.chosen import chosen, unmeasured
    from benchmarks.scores.data import Scores
    from benchmarks.scores.make import make
    from benchmarks.scores.page import check_report, summary, write_report
    from benchmarks.scores.slices import sharing
    from benchmarks.tabular.protocol import located
    from harness.search.resources import Resources

    with cli.Progress() as progress:
        path = given.table or (_toy_table(given, count, progress) if given.quick else TABLE)
        table = Table.load(path)
        networks = chosen(table, count, least)
        out, target = _places(given, path.stem)
        check_report(target)
        cli.require_writable("--out", out.parent)
        shares = sharing(given.sharing, table.config, quick=given.quick)
        found = unmeasured(table, networks, shares, quick=given.quick)
        if out.exists():
            earlier = Scores.load(out)
            if earlier.key == found.key:
                found = earlier
            else:
                progress.line(f"{out} is of other networks or trainings: everything is measured again")
        missing = [name for name in names if name not in found.scores]
        if missing:
            data = located(table.config.data, given.data, f"the table {path}")
            found = make(
                missing,
                found,
                out,
                table=table,
                study=replace(table.config, data=data),
                networks=networks,
                sharing=shares,
                resources=Resources(given.runs, given.workers, init_backbone=given.init_backbone, tracking_uri="none"),
                quick=given.quick,
                progress=progress,
            )
    found = replace(found, command=_command(given, list(found.scores)))
    found.save(out)
    judged = judge(found)
    report = write_report(judged, target, given.note)
    if given.json:
        cli.emit(summary(judged) | {"scores_file": str(out), "report": str(report)})
    else:
        _print(judged, out, report)
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser("benchmarks.scores", "Measure what cheap scores of candidates are worth.", EXAMPLES)
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help=f"made by python -m benchmarks.tabular (default: {TABLE})"
    )
    parser.add_argument(
        "--candidates",
        type=integer,
        metavar="N",
        help=f"the table's first N networks within the budget (default: {CANDIDATES}; at least {LEAST})",
    )
    parser.add_argument("--scores", default=",".join(CATALOGUE), metavar="LIST", help="which scores (default: all)")
    parser.add_argument(
        "--sharing",
        default=SHARING,
        metavar="NAME",
        help="study whose settings of shared weights are used (default: %(default)s)",
    )
    cli.add(parser, "--data", type=Path, help="the folder of a WIDER FACE copy, for a table of photographs")
    cli.add(parser, "--init-backbone", help="weights file that V1's backbone starts from, as for the table")
    parser.add_argument("--workers", type=integer, metavar="N", help="trainings at once (default: by cores and memory)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="all values (default: benchmarks/scores/NAME.json)")
    parser.add_argument("--publish", metavar="NAME", help="the report's folder in reports/ (default: scores_NAME)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"toy sizes, {QUICK_CANDIDATES} candidates of a toy table; file and report stay in --runs",
    )
    cli.add(parser, "--note", help="a note on the data, shown at the top of the report")
    cli.add(parser, "--runs", "--json")
    return parser


def _names(text: str) -> list[str]:
    """Return the scores that are named, in the order of the catalogue.

    Raises:
        InputError: a score is unknown, or none is named.
    """
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in CATALOGUE:
            raise unknown_name("score", name, CATALOGUE)
    if not names:
        raise InputError(f"--scores names no score (known: {', '.join(CATALOGUE)})")
    return [name for name in CATALOGUE if name in names]


def _places(given: Any, name: str) -> tuple[Path, Path]:
    """Return the file of all values and the folder of the report."""
    out = given.runs / f"scores_{name}.json" if given.quick else HERE / f"{name}.json"
    return given.out or out, (given.runs if given.quick else REPORTS) / (given.publish or f"scores_{name}")


def _toy_table(given: Any, count: int, progress: cli.Progress) -> Path:
    """Make a table of toy sizes, or read it, and return its file."""
    from benchmarks.tabular.make import Maker
    from benchmarks.tabular.protocol import protocol
    from harness.search.resources import Resources

    command = f"python -m benchmarks.tabular --quick --configurations {count}"
    resources = Resources(given.runs, given.workers, tracking_uri="none")
    maker = Maker(protocol("quick", count, 2), resources, progress, command)
    out = maker.folder / "table.json"
    with maker.opened(out):
        maker.train(out)
    return out


def _command(given: Any, measured: Sequence[str]) -> str:
    """Return the command that measures these scores, without paths of this machine."""
    words = ["python", "-m", "benchmarks.scores", *(["--quick"] if given.quick else [])]
    words += [] if given.table in (None, TABLE) else ["--table", f"PATH/TO/{given.table.name}"]
    words += [] if given.candidates is None else ["--candidates", str(given.candidates)]
    words += [] if len(measured) == len(CATALOGUE) else ["--scores", ",".join(measured)]
    words += [] if given.sharing == SHARING else ["--sharing", given.sharing]
    words += [] if given.data is None else ["--data", "PATH/TO/WIDERFACE"]
    words += [] if given.init_backbone is None else ["--init-backbone", f"PATH/TO/{given.init_backbone.name}"]
    words += ["--publish", given.publish] if given.publish else []
    words += ["--note", given.note] if given.note else []
    return shlex.join(words)


def _print(found: "Judged", out: Path, report: Path) -> None:
    from benchmarks.scores.findings import findings, headline, remarks
    from benchmarks.scores.tables import taus
    from harness.reporting.format import terminal
    from harness.reporting.publish import places

    cli.show(headline(found), *remarks(found), terminal(taus(found)), *(f"- {said}" for said in findings(found)))
    cli.show(f"all values: {out}", places(report))


if __name__ == "__main__":
    cli.run(main)
