"""``python -m harness.budget``: what a space or an architecture costs against the parameter budget."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from harness import cli
from harness.arch import OptionValue
from harness.builder import resolve_arch
from harness.counting import SpaceCounts, count_parts, macs
from harness.counting.closed_form import hints
from harness.names import load_space
from harness.protocol import Budget, SpeedConfig

LISTED = 5
"""How many of the largest configurations within the budget are shown."""
BARS = 24
WIDTH = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Print the counts of ``--space`` or the parts of ``--arch``."""
    parser = cli.Parser(
        "harness.budget",
        "Count a search space, or explain an architecture, against the parameter budget.",
        epilog="Every nn.Parameter counts, frozen or not. Multiply-adds are those of convolutions and linears.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--space", metavar="NAME", help="a module of search_spaces/")
    what.add_argument("--arch", metavar="NAME", help="v1, v2 or v2_as_written")
    parser.add_argument(
        "--budget", type=int, default=Budget().max_params, metavar="N", help=f"parameters allowed ({Budget()})"
    )
    parser.add_argument("--against", metavar="ARCH", help="with --arch: a second architecture beside it")
    parser.add_argument(
        "--size", type=int, default=SpeedConfig().size, metavar="PX", help="image side for multiply-adds (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    given = parser.parse_args(argv)
    if given.size < 1:
        parser.error(f"--size must be a positive number of pixels, got {given.size}")
    if given.against and not given.arch:
        parser.error("--against needs --arch")
    budget = Budget(given.budget)
    if given.space:
        answer = count_space(given.space, budget)
        cli.emit(answer) if given.json else _print_space(answer)
    else:
        answer = explain_arch(given.arch, budget, given.size, given.against)
        cli.emit(answer) if given.json else _print_arch(answer)
    return 0


def count_space(name: str, budget: Budget) -> dict[str, Any]:
    """Return a space's counts as plain data.

    Raises:
        InputError: there is no such space.
        BudgetError: nothing in it can be built or fits; the message says the smallest possible count.
    """
    space = load_space(name)
    started = time.perf_counter()
    counts = SpaceCounts(space)
    totals = counts.histogram
    seconds = time.perf_counter() - started
    over = counts.over(budget)
    edges, bars = _bars(totals.values, totals.counts, budget.max_params)
    return {
        "space": name,
        "digest": space.digest(),
        "budget": budget.max_params,
        "configurations": counts.size,
        "buildable": counts.buildable,
        "feasible": counts.feasible(budget),
        "smallest": counts.smallest,
        "largest": counts.largest(),
        "largest_feasible": [{"params": n, "configuration": c} for n, c in counts.nearest(budget, LISTED)],
        "smallest_excess": None
        if over is None
        else {
            "params": over[0],
            "excess": over[0] - budget.max_params,
            "configuration": over[1],
            "moves": [asdict(move) | {"text": str(move)} for move in counts.moves(over[1], budget)],
        },
        "histogram": {"edges": edges, "counts": bars},
        "seconds": seconds,
        "configurations_per_second": counts.size / seconds,
    }


def _bars(values: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], limit: int) -> tuple[list[int], list[int]]:
    """Return bin edges and counts; bins hold totals above their lower edge, and a limit among them is an edge."""
    limit = min(limit, int(values[-1]))
    step = max(-(-int(values[-1] - values[0]) // (BARS - 2)), 1)
    below = max(-(-(limit - int(values[0]) + 1) // step), 0)
    above = max(-(-(int(values[-1]) - limit) // step), 0)
    edges = [limit + step * k for k in range(-below, above + 1)]
    cumulative = np.concatenate(([0], np.cumsum(counts)))[np.searchsorted(values, edges, side="right")]
    return edges, np.diff(cumulative).tolist()


def explain_arch(name: str, budget: Budget, size: int, against: str | None = None) -> dict[str, Any]:
    """Return an architecture's parts as plain data; ``excess`` is negative where it is under the budget.

    Raises:
        InputError: there is no such architecture.
    """
    arch = resolve_arch(name)
    parts, by_part = count_parts(arch), macs(arch, size, size)
    whole = sum(parts.values())
    excess = whole - budget.max_params
    answer: dict[str, Any] = {
        "arch": name,
        "options": {slot: str(part) for slot, part in arch.parts().items()},
        "total": whole,
        "parts": parts,
        "macs": sum(by_part.values()),
        "macs_parts": by_part,
        "size": size,
        "budget": budget.max_params,
        "excess": excess,
        "hints": hints(arch, excess) if excess > 0 else "",
    }
    if against:
        answer["against"] = explain_arch(against, budget, size)
    return answer


def _print_space(answer: dict[str, Any]) -> None:
    console = Console(highlight=False)
    size, budget = answer["configurations"], answer["budget"]
    console.print(f"[bold]{answer['space']}[/bold] against {budget:,} parameters (digest {answer['digest']})")
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
    console.print(f"\ncounted in {1_000 * answer['seconds']:.0f} ms, without visiting a configuration")


def _configuration_text(configuration: dict[str, OptionValue]) -> str:
    return ", ".join(f"{name}={value}" for name, value in configuration.items())


def _print_arch(answer: dict[str, Any]) -> None:
    console = Console(highlight=False)
    against = answer.get("against")
    table = Table("part", title=f"{answer['arch']} against {answer['budget']:,} parameters")
    headings = ["parameters", "share", f"MACs at {answer['size']}"]
    if against:
        headings += [against["arch"], "difference"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for slot, params in [*answer["parts"].items(), ("total", answer["total"])]:
        multiply_adds = answer["macs"] if slot == "total" else answer["macs_parts"][slot]
        row = [slot, f"{params:,}", f"{100 * params / answer['total']:.1f} %", f"{multiply_adds:,}"]
        if against:
            other = against["total"] if slot == "total" else against["parts"][slot]
            row += [f"{other:,}", f"{params - other:+,}"]
        table.add_row(*row, style="bold" if slot == "total" else "", end_section=slot == "head")
    console.print(table)
    for slot, part in answer["options"].items():
        console.print(f"  {slot:<16}{part}", soft_wrap=True)
    excess = answer["excess"]
    if excess > 0:
        console.print(f"{excess:,} over the budget; {answer['hints']}", soft_wrap=True)
    else:
        console.print(f"{-excess:,} parameters left")


if __name__ == "__main__":
    cli.run(main)
