"""``python -m harness.budget``: what a space or an architecture costs against the budget."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from harness import cli
from harness.core.arch import ArchConfig, OptionValue
from harness.core.names import load_space
from harness.core.protocol import Budget, SpeedConfig
from harness.core.record import TrialRecord, find_trial
from harness.core.space import Configuration
from harness.counting import SpaceCounts, tree
from harness.models.builder import resolve_arch
from harness.models.costs import broken, costs
from harness.models.modules.part import Cost

LISTED = 5
"""How many of the largest configurations within the budget are shown."""
BARS, PICTURED = 24, 72
"""Bars of the histogram in the terminal, and in the picture."""
WIDTH, TABLE = 50, 100
"""Columns of the longest bar, and of the table of parts, which is no narrower than that."""

_EPILOG = """every nn.Parameter counts, frozen or not. Beside it stand parameters with BatchNorm's buffers; parameters
once deployed (BatchNorms folded into the convolutions straight before them); and the bytes of all tensors of a weights
file. Multiply-adds are those of convolutions and linears for one image.

examples:
  python -m harness.budget --space v2_light --plot counts.png
  python -m harness.budget --arch v2 --against v1 --depth 3
  python -m harness.budget --trial default/7 --max-macs 400000000"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the counts of ``--space``, or the parts of ``--arch`` or ``--trial``."""
    parser = _parser()
    given = parser.parse_args(argv)
    for name in ("size", "depth"):
        if getattr(given, name) < 1:
            unit = "pixels" if name == "size" else "levels"
            parser.error(f"--{name} must be a positive number of {unit}, got {getattr(given, name)}")
    if given.against and given.space:
        parser.error("--against needs --arch or --trial")
    if given.plot is not None and given.plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        parser.error(f"--plot must end in .png, .svg or .pdf, got {given.plot}")
    budget = Budget(
        given.budget,
        max_with_buffers=given.max_with_buffers,
        max_deployed=given.max_deployed,
        max_macs=given.max_macs,
        macs_size=given.size,
        max_bytes=cli.megabytes(given.max_megabytes),
    )
    if given.space:
        answer = count_space(given.space, budget)
    elif given.trial:
        answer = explain(given.trial, _trial_arch(given.trial, given.runs), budget, given.size, given.against)
    else:
        answer = explain(given.arch, resolve_arch(given.arch), budget, given.size, given.against)
    if given.plot is not None:
        _plot(given, answer, budget)
    if given.json:
        cli.emit(answer)
    elif given.space:
        _print_space(answer)
    else:
        _print_arch(answer, given.depth)
    if given.plot is not None and not given.json:
        Console().print(f"written: {given.plot}", soft_wrap=True, highlight=False)
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser(
        "harness.budget", "Count a search space, or explain an architecture, against the parameter budget.", _EPILOG
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--space", metavar="NAME", help="a module of search_spaces/")
    what.add_argument("--arch", metavar="NAME", help="v1, v2, v2_as_written or featherface")
    what.add_argument("--trial", metavar="STUDY/NUMBER", help="a network of a study in runs/")
    parser.add_argument(
        "--budget", type=int, default=Budget().max_params, metavar="N", help=f"parameters allowed ({Budget()})"
    )
    cli.add_bounds(parser)
    parser.add_argument("--max-with-buffers", type=int, metavar="N", help="parameters and buffers allowed")
    parser.add_argument("--max-deployed", type=int, metavar="N", help="parameters allowed once deployed")
    parser.add_argument("--against", metavar="ARCH", help="with --arch or --trial: a second architecture beside it")
    parser.add_argument(
        "--size", type=int, default=SpeedConfig().size, metavar="PX", help="image side for multiply-adds (%(default)s)"
    )
    parser.add_argument(
        "--depth", type=int, default=2, metavar="N", help="levels of the tree that are printed (%(default)s)"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the histogram or the parts into FILE")
    parser.add_argument("--runs", type=Path, default=cli.RUNS, metavar="DIR", help="folder of runs (default: runs)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    return parser


def _trial_arch(name: str, runs: Path) -> ArchConfig:
    return ArchConfig.from_dict(TrialRecord.load(find_trial(name, runs)).arch)


def _plot(given: Any, answer: dict[str, Any], budget: Budget) -> None:
    # Only where a picture is asked for: matplotlib takes a second to load.
    import pandas as pd

    from harness.reporting.parts import part_counts
    from harness.reporting.study import plots
    from harness.reporting.style import save

    if given.space:
        totals = SpaceCounts(load_space(given.space)).histogram
        figure = plots.totals(*_bars(totals.values, totals.counts, budget.max_params, PICTURED), budget.max_params)
    else:
        rows = {
            network["arch"].upper() if network["arch"] in ("v1", "v2") else network["arch"]: part_counts(
                network["parts"]
            )
            for network in (answer.get("against"), answer)
            if network is not None
        }
        figure = plots.parts(pd.DataFrame.from_dict(rows, orient="index"), budget.max_params)
    given.plot.parent.mkdir(parents=True, exist_ok=True)
    save(figure, given.plot)


def count_space(name: str, budget: Budget) -> dict[str, Any]:
    """Return a space's counts as plain data.

    Raises:
        InputError: there is no such space, or it is too large for a budget of several bounds.
        BudgetError: nothing in it can be built or fits; the message says the smallest possible count.
    """
    space = load_space(name)
    started = time.perf_counter()
    counts = SpaceCounts(space)
    totals, feasible = counts.histogram, counts.feasible(budget)
    seconds = time.perf_counter() - started
    over = counts.over(budget)
    edges, bars = _bars(totals.values, totals.counts, budget.max_params, BARS)
    return {
        "space": name,
        "digest": space.digest(),
        "budget": budget.max_params,
        "bounds": _bounds(budget),
        "configurations": counts.size,
        "buildable": counts.buildable,
        "feasible": feasible,
        "smallest": counts.smallest,
        "largest": counts.largest(),
        "largest_feasible": [{"params": n, "configuration": c} for n, c in counts.nearest(budget, LISTED)],
        "smallest_excess": None if over is None else _excess(counts, *over, budget),
        "histogram": {"edges": edges, "counts": bars},
        "seconds": seconds,
        "configurations_per_second": counts.size / seconds,
    }


def _excess(counts: SpaceCounts, params: int, configuration: Configuration, budget: Budget) -> dict[str, Any]:
    return {
        "params": params,
        "excess": params - budget.max_params,
        "configuration": configuration,
        "moves": [asdict(move) | {"text": str(move)} for move in counts.moves(configuration, budget)],
    }


def _bounds(budget: Budget) -> list[dict[str, Any]]:
    return [{"measure": str(measure), "limit": limit} for measure, limit in budget.bounds]


def _bars(
    values: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], limit: int, most: int
) -> tuple[list[int], list[int]]:
    """Return bin edges and counts; bins hold totals above their lower edge, and a limit among them is an edge."""
    limit = min(limit, int(values[-1]))
    step = max(-(-int(values[-1] - values[0]) // (most - 2)), 1)
    below = max(-(-(limit - int(values[0]) + 1) // step), 0)
    above = max(-(-(int(values[-1]) - limit) // step), 0)
    edges = [limit + step * k for k in range(-below, above + 1)]
    cumulative = np.concatenate(([0], np.cumsum(counts)))[np.searchsorted(values, edges, side="right")]
    return edges, np.diff(cumulative).tolist()


def explain(name: str, arch: ArchConfig, budget: Budget, size: int, against: str | None = None) -> dict[str, Any]:
    """Return an architecture's parts as plain data; ``excess`` is negative where it is under the parameter budget.

    Raises:
        InputError: there is no architecture called ``against``.
    """
    other = None if against is None else resolve_arch(against)
    parts = costs(arch, size, size)
    whole = sum(parts.values(), Cost())
    problems = broken(arch, budget)
    answer: dict[str, Any] = {
        "arch": name,
        "options": {slot: str(part) for slot, part in arch.parts().items()},
        "total": whole.params,
        "with_buffers": whole.with_buffers,
        "deployed": whole.deployed,
        "bytes": whole.bytes,
        "parts": {slot: cost.params for slot, cost in parts.items()},
        "macs": whole.macs,
        "macs_parts": {slot: cost.macs for slot, cost in parts.items()},
        "size": size,
        "budget": budget.max_params,
        "bounds": _bounds(budget),
        "excess": whole.params - budget.max_params,
        "hints": next((one.hints for one in problems if one.measure.name == "params"), ""),
        "broken": [
            {"measure": str(one.measure), "total": one.total, "limit": one.limit, "excess": one.excess}
            | {"hints": one.hints}
            for one in problems
        ],
        "tree": tree(arch, size, size).to_dict(),
    }
    if other is not None and against is not None:
        answer["against"] = explain(against, other, budget, size)
    return answer


def _print_space(answer: dict[str, Any]) -> None:
    console = Console(highlight=False)
    size, budget = answer["configurations"], answer["budget"]
    bounds = " and ".join(f"{one['limit']:,} {one['measure']}" for one in answer["bounds"])
    console.print(f"[bold]{answer['space']}[/bold] against {bounds} (digest {answer['digest']})", soft_wrap=True)
    for what in ("configurations", "buildable", "feasible"):
        console.print(f"  {what:<16}{answer[what]:>14,}  {100 * answer[what] / size:5.1f} %")
    console.print(f"  {'smallest':<16}{answer['smallest']:>14,}  parameters")
    console.print(f"  {'largest':<16}{answer['largest']:>14,}  parameters")
    console.print("\nparameters, up to    configurations")
    most = max(answer["histogram"]["counts"], default=1) or 1
    for edge, number in zip(answer["histogram"]["edges"][1:], answer["histogram"]["counts"], strict=True):
        colour = "green" if edge <= budget else "red"
        bar = "█" * round(WIDTH * number / most) or ("▏" if number else "")
        console.print(f"{edge:>18,}   [{colour}]{bar}[/{colour}] {number:,}")
        if edge == budget:
            console.print(f"[bold]{'budget':>18} ─┤[/bold]")
    console.print(f"\nlargest within the budget ({LISTED} first)")
    for row in answer["largest_feasible"]:
        console.print(f"  {row['params']:,}  {_configuration_text(row['configuration'])}", soft_wrap=True)
    over = answer["smallest_excess"]
    if over is not None:
        console.print(
            f"\nsmallest excess: {over['excess']:,}, in {_configuration_text(over['configuration'])}", soft_wrap=True
        )
        texts = [move["text"] for move in over["moves"][:LISTED]] or ["no change of one axis is enough"]
        for text in texts:
            console.print(f"  {text}", soft_wrap=True)
    listed = "" if len(answer["bounds"]) > 1 else ", without visiting a configuration"
    console.print(f"\ncounted in {1_000 * answer['seconds']:.0f} ms{listed}")


def _configuration_text(configuration: dict[str, OptionValue]) -> str:
    return ", ".join(f"{name}={value}" for name, value in configuration.items())


def _print_arch(answer: dict[str, Any], depth: int) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, TABLE)
    against, size = answer.get("against"), answer["size"]
    others = {} if against is None else dict(_rows(against["tree"], depth))
    table = Table("part", title=f"{answer['arch']}, every parameter counted", box=SIMPLE_HEAD, title_justify="left")
    headings = ["parameters", "share", f"MACs at {size}×{size}"]
    for heading in [*headings, *([against["arch"], "difference"] if against else [])]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("comes out", no_wrap=True)
    for path, node in [*_rows(answer["tree"], depth), ((), answer["tree"])]:
        row = ["  " * (len(path) - 1) + node["name"] if path else "total", f"{node['params']:,}"]
        row += [f"{100 * node['params'] / answer['total']:.1f} %", f"{node['macs']:,}"]
        if against:
            other = others.get(path) if path else against["tree"]
            row += ["–", ""] if other is None else [f"{other['params']:,}", f"{node['params'] - other['params']:+,}"]
        table.add_row(*row, _shapes(node["shapes"]), style="bold" if len(path) < 2 else "")
    console.print(table)
    for network in (answer, *([against] if against else [])):
        console.print(
            f"{network['arch']}: {network['total']:,} parameters, {network['with_buffers']:,} with buffers, "
            f"{network['deployed']:,} once deployed (BatchNorms folded), {network['bytes']:,} bytes of weights",
            soft_wrap=True,
        )
    for slot, part in answer["options"].items():
        console.print(f"  {slot:<16}{part}", soft_wrap=True)
    for one in answer["broken"]:
        excess = f"{one['excess']:,} over the budget of {one['limit']:,} {one['measure']}"
        console.print(f"{excess}; {one['hints']}", soft_wrap=True)
    if answer["excess"] <= 0:
        console.print(f"{-answer['excess']:,} parameters left of {answer['budget']:,}")


def _rows(
    node: dict[str, Any], depth: int, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield path and node of every part, and of everything in it that holds parameters, in forward order."""
    for child in node["children"]:
        if child["params"] or not path:
            here = (*path, child["name"])
            yield here, child
            if len(here) < depth:
                yield from _rows(child, depth, here)


def _shapes(shapes: list[list[int]]) -> str:
    """Return one shape a line, ``64×80×80``; what comes out of many calls is cut short."""
    texts = ["×".join(map(str, shape)) for shape in shapes]
    return "\n".join([*texts[:3], *(["…"] if len(texts) > 3 else [])])


if __name__ == "__main__":
    cli.run(main)
