"""Terminal output for the summaries of ``harness.counting.summary``."""

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.counting.summary import LISTED

BAR = 50
"""Length of the longest bar of a histogram, characters."""

Answer = dict[str, Any]


def space_text(answer: Answer) -> Iterator[str | Text]:
    """Yield the lines for a summary that ``summarise_space`` returned."""
    bounds = " and ".join(f"{one['limit']:,} {one['measure']}" for one in answer["bounds"])
    yield Text.assemble((answer["space"], "bold"), f" against {bounds} (digest {answer['digest']})")
    for what in ("configurations", "buildable", "feasible"):
        yield f"  {what:<16}{answer[what]:>14,}  {100 * answer[what] / answer['configurations']:5.1f} %"
    for what in ("smallest", "largest"):
        yield f"  {what:<16}{answer[what]:>14,}  parameters"
    yield "\nparameters, up to    configurations"
    edges, counts = answer["histogram"]["edges"][1:], answer["histogram"]["counts"]
    most = max(counts, default=1) or 1
    for edge, number in zip(edges, counts, strict=True):
        bar = "█" * round(BAR * number / most) or ("▏" if number else "")
        yield Text.assemble(f"{edge:>18,}   ", (bar, "green" if edge <= answer["budget"] else "red"), f" {number:,}")
        if edge == answer["budget"]:
            yield Text(f"{'budget':>18} ─┤", "bold")
    yield f"\nthe {LISTED} largest within the budget"
    for row in answer["largest_feasible"]:
        yield f"  {row['params']:,}  {_configuration(row['configuration'])}"
    over = answer["smallest_excess"]
    if over is not None:
        yield f"\nsmallest excess: {over['excess']:,}, in {_configuration(over['configuration'])}"
        moves = [move["text"] for move in over["moves"][:LISTED]]
        yield from (f"  {text}" for text in moves or ["no change of one axis is enough"])
    listed = "" if len(answer["bounds"]) > 1 else ", without visiting a configuration"
    yield f"\ncounted in {1_000 * answer['seconds']:.0f} ms{listed}"


def _configuration(configuration: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in configuration.items())


def arch_text(answer: Answer, against: Answer | None, depth: int) -> Iterator[str | Table]:
    """Yield the table of parts and the lines for a summary that ``summarise_arch`` returned.

    Args:
        answer: summary of the architecture.
        against: summary of a second architecture to compare with, or None.
        depth: number of tree levels in the table.
    """
    others = {} if against is None else dict(_rows(against["tree"], depth))
    table = Table("part", title=f"{answer['arch']}, every parameter counted", box=SIMPLE_HEAD, title_justify="left")
    headings = ["parameters", "share", f"MACs at {answer['size']}×{answer['size']}"]
    for heading in [*headings, *([] if against is None else [against["arch"], "difference"])]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("output", no_wrap=True)
    for path, node in [*_rows(answer["tree"], depth), ((), answer["tree"])]:
        row = ["  " * (len(path) - 1) + node["name"] if path else "total", f"{node['params']:,}"]
        row += [f"{100 * node['params'] / answer['total']:.1f} %", f"{node['macs']:,}"]
        if against is not None:
            other = others.get(path) if path else against["tree"]
            row += ["–", ""] if other is None else [f"{other['params']:,}", f"{node['params'] - other['params']:+,}"]
        table.add_row(*row, _shapes(node["shapes"]), style="bold" if len(path) < 2 else "")
    yield table
    for one in (answer, against):
        if one is not None:
            yield (
                f"{one['arch']}: {one['total']:,} parameters, {one['with_buffers']:,} with buffers, "
                f"{one['deployed']:,} once deployed (BatchNorms folded), {one['bytes']:,} bytes of weights"
            )
    yield from (f"  {slot:<16}{part}" for slot, part in answer["options"].items())
    for bound in answer["broken"]:
        excess = f"{bound['excess']:,} over the budget of {bound['limit']:,} {bound['measure']}"
        yield f"{excess}; {bound['hints']}"
    if answer["excess"] <= 0:
        yield f"{-answer['excess']:,} parameters left of {answer['budget']:,}"


def _rows(node: Answer, depth: int, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Answer]]:
    """Yield path and node of every part and of every module in it that has parameters, in forward order."""
    for child in node["children"]:
        if child["params"] or not path:
            here = (*path, child["name"])
            yield here, child
            if len(here) < depth:
                yield from _rows(child, depth, here)


def _shapes(shapes: list[list[int]]) -> str:
    """Return one shape per line, such as ``64×80×80``; if there are more than three, only the first three."""
    texts = ["×".join(map(str, shape)) for shape in shapes]
    return "\n".join([*texts[:3], *(["…"] if len(texts) > 3 else [])])
