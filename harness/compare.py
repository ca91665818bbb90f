"""``python -m harness.compare STUDY …``: several studies in one report, with intervals over images and over seeds."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import cli
from harness.core.files import REPORTS, RUNS
from harness.core.limits import check_name
from harness.core.numbers import integer
from harness.errors import InputError
from harness.evaluation.stats import RESAMPLES

FEWEST = 100
"""Least number of resamples; with fewer, the ends of an interval are too noisy."""

EXAMPLES = """Writes runs/compare-STUDY-…/report.md and, as a page, report.html; prints the networks and the findings.

examples:
  python -m harness.compare from_v1 from_released --ground-truth PATH/TO/WIDERFACE/ground_truth
  python -m harness.compare one other --ground-truth DIR --published RetinaFace-MobileNet0.25=RESULTS.tar.gz
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Compare studies and print the networks and the findings, or one JSON object with ``--json``."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.note and not given.publish:
        parser.error("--note needs --publish")
    if given.published and given.ground_truth is None:
        parser.error("--published needs --ground-truth: prediction files do not contain the annotated faces")
    if given.resamples < FEWEST:
        parser.error(f"--resamples must be at least {FEWEST}, got {given.resamples}")
    published = dict(_published(item) for item in given.published)
    targets = [given.runs / f"compare-{'-'.join(given.studies)}"]
    if given.publish is not None:
        check_name(given.publish, "--publish")
        targets.append(REPORTS / given.publish)

    # Imported after the cheap checks: pandas and Matplotlib take seconds to load.
    from harness.reporting.compare import check_comparison, compare, read_studies, summary, write_comparison

    studies = read_studies(given.studies, given.runs)
    for target in targets:
        check_comparison(target)
    with cli.Progress() as progress:
        found = compare(studies, given.runs, given.ground_truth, published, given.resamples, progress.stage)
    written = [write_comparison(found, targets[0], _command(given, published, False), given.note, public=False)]
    if given.publish is not None:
        written.append(_publish(given, studies, published, targets[1]))
    if given.json:
        report_path, published_path = (*map(str, written), None)[:2]
        cli.emit(summary(found) | {"report": report_path, "published_report": published_path})
        return 0
    _print(found, written)
    return 0


def _publish(given: Any, studies: Any, published: dict[str, Path], target: Path) -> Path:
    """Make the report again from records, which are put beside it."""
    from harness.reporting.records import COMPARISON, Recipe, publish
    from harness.reporting.records.collect import compared

    command = _command(given, published, True)
    recipe = Recipe(
        COMPARISON, given.studies, given.note, command=command, resamples=given.resamples, detectors=list(published)
    )
    return publish(recipe, compared(studies, given.runs, given.ground_truth, published), target)


def _parser() -> cli.Parser:
    parser = cli.Parser(
        "harness.compare", "Compare the networks of several studies, with intervals over images and seeds.", EXAMPLES
    )
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="name of a study in --runs")
    parser.add_argument(
        "--ground-truth",
        type=Path,
        metavar="DIR",
        help="folder of wider_{face,easy,medium,hard}_val.mat; adds recall by blur, occlusion, …",
    )
    parser.add_argument(
        "--published",
        action="append",
        default=[],
        metavar="LABEL=PATH",
        help="prediction files of another detector on the same images, shown in a separate table; may be repeated",
    )
    parser.add_argument(
        "--resamples", type=integer, default=RESAMPLES, metavar="N", help="resamples of the images (%(default)s)"
    )
    parser.add_argument("--publish", metavar="NAME", help="also write it to reports/NAME/, to be committed")
    cli.add(parser, "--note", "--runs", "--json")
    return parser


def _published(item: str) -> tuple[str, Path]:
    label, equals, path = item.partition("=")
    if not (label and equals and path):
        raise InputError(f"--published must be a detector's name and prediction files, LABEL=PATH, got '{item}'")
    return label, Path(path)


def _command(given: Any, published: dict[str, Path], public: bool) -> str:
    """Return the command that repeats this comparison; a public one contains no paths of this machine."""

    def shown(path: Path) -> str:
        return f"PATH/TO/{path.name}" if public else str(path)

    words = ["python", "-m", "harness.compare", *given.studies]
    if given.ground_truth is not None:
        words += ["--ground-truth", shown(given.ground_truth)]
    for label, path in published.items():
        words += ["--published", f"{label}={shown(path)}"]
    if given.resamples != RESAMPLES:
        words += ["--resamples", str(given.resamples)]
    if given.runs != RUNS:
        words += ["--runs", shown(given.runs)]
    if public:
        words += ["--publish", given.publish, *(["--note", given.note] if given.note else [])]
    return shlex.join(words)


def _print(found: Any, written: Sequence[Path]) -> None:

    from harness.reporting.compare.findings import findings
    from harness.reporting.compare.tables import networks
    from harness.reporting.format import terminal
    from harness.reporting.publish import places

    table = terminal(networks(found)[["network", "parameters", "seeds", "training, min", "AP mean, %"]])
    cli.show(table, *(f"- {sentence}".replace("`", "") for sentence in findings(found)))
    cli.show(*map(places, written))


if __name__ == "__main__":
    cli.run(main)
