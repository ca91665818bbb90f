"""``python -m harness.budget``: counts a search space or an architecture against the budget."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness import cli
from harness.core.arch import ARCHS, ArchConfig
from harness.core.budget import Budget
from harness.core.evaluation import SpeedConfig
from harness.core.names import load_space
from harness.core.numbers import integer
from harness.core.record import TrialRecord, find_trial
from harness.counting import SpaceCounts
from harness.counting.summary import count, histogram, summarise_arch
from harness.counting.text import arch_text, space_text
from harness.models.builder import resolve_arch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURED = 72
"""Bins of the histogram in the picture."""

NARROWEST = 100
"""Least width of the table of parts, in columns."""

EXAMPLES = """
Prints how many configurations a space has, how many fit the budget, and a histogram of their parameters; or the parts
of an architecture with parameters, MACs and output shapes. Every nn.Parameter counts, frozen or not. Also printed:
parameters plus BatchNorm's buffers, parameters once deployed (each BatchNorm folded into the convolution directly
before it), and the bytes of all tensors of a weights file. MACs are those of convolutions and linear layers for one
image.

examples:
  python -m harness.budget --space v2_light --plot counts.png
  python -m harness.budget --arch v2 --against v1 --depth 3
  python -m harness.budget --trial default-v2_p5-synthetic/7 --max-macs 400000000"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the counts of ``--space``, or the parts of ``--arch`` or ``--trial``."""
    parser = _parser()
    given = parser.parse_args(argv)
    for name, unit in (("size", "pixels"), ("depth", "levels")):
        if getattr(given, name) < 1:
            parser.error(f"--{name} must be a positive number of {unit}, got {getattr(given, name)}")
    if given.against and given.space:
        parser.error("--against needs --arch or --trial")
    budget = Budget(
        **cli.chosen(given, "max_with_buffers", "max_deployed", "max_macs", "max_bytes"),
        **cli.chosen(given, max_params="budget", macs_size="size"),
    )
    if given.space:
        answer = count(load_space(given.space), budget)
    else:
        answer = summarise_arch(given.trial or given.arch, _arch(given), budget, given.size)
    against = None
    if given.against:
        against = count(given.against, budget)
        answer["against"] = against
    cli.require_picture(given.plot)
    if given.plot is not None:
        cli.write_picture(_picture(answer, budget), given.plot)
    if given.json:
        cli.emit(answer)
        return 0
    cli.show(*(space_text(answer) if given.space else arch_text(answer, against, given.depth)), least=NARROWEST)
    if given.plot is not None:
        cli.show(f"written: {given.plot}")
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser(
        "harness.budget", "Count a search space, or explain an architecture, against the parameter budget.", EXAMPLES
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--space", metavar="NAME", help="a module of search_spaces/")
    cli.add(what, "--space-file")
    what.add_argument("--arch", metavar="NAME", help=f"one of {', '.join(ARCHS)}")
    what.add_argument("--trial", metavar="STUDY/NUMBER", help="a network of a study in --runs")
    parser.add_argument(
        "--against", metavar="ARCH", help="with --arch or --trial: a second architecture to compare with"
    )
    parser.add_argument(
        "--depth", type=integer, default=2, metavar="N", help="levels of the tree to print (%(default)s)"
    )
    parser.add_argument(
        "--size", type=integer, default=SpeedConfig().size, metavar="PIXELS", help="image side for MACs (%(default)s)"
    )
    cli.add(parser, "--budget", "--max-macs", "--max-megabytes")
    parser.add_argument("--max-with-buffers", type=integer, metavar="N", help="parameters and buffers allowed")
    parser.add_argument("--max-deployed", type=integer, metavar="N", help="parameters allowed once deployed")
    cli.add(parser, "--plot", "--runs", "--json")
    return parser


def _arch(given: Any) -> ArchConfig:
    if given.arch:
        return resolve_arch(given.arch)
    return ArchConfig.from_dict(TrialRecord.load(find_trial(given.trial, given.runs)).arch)


def _picture(answer: dict[str, Any], budget: Budget) -> "Figure":
    # Imported only for a picture: pandas and Matplotlib take seconds to load.
    import pandas as pd

    from harness.reporting.parts import part_counts
    from harness.reporting.study import plots

    if "space" in answer:
        totals = SpaceCounts(load_space(answer["space"])).histogram
        return plots.totals(*histogram(totals, budget.max_params, PICTURED), budget.max_params)
    rows = {
        one["arch"].upper() if one["arch"] in ("v1", "v2") else one["arch"]: part_counts(one["parts"])
        for one in (answer.get("against"), answer)
        if one is not None
    }
    return plots.parts(pd.DataFrame.from_dict(rows, orient="index"), budget.max_params)


if __name__ == "__main__":
    cli.run(main)
