"""``python -m harness.audit``: the documented numbers beside what is counted here."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness import cli
from harness.core.arch import ARCHS
from harness.core.names import load_space
from harness.counting import compare
from harness.models.costs import count_parts
from harness.reporting.audit.page import audit_page
from harness.reporting.audit.rows import VERDICTS, merged, number_text, rows
from harness.reporting.format import NOTHING

REPORTS = Path("reports")
SPACE = "v2_light"
AUDITED = ("v1", "v2", "v2_as_written")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the audit's verdicts, or everything with ``--json`` or ``--markdown``."""
    parser = cli.Parser(
        "harness.audit",
        "Compare every documented number with what is counted here.",
        epilog="Make the committed page again: python -m harness.audit --markdown reports/audit/report.md",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the whole audit as a page to FILE")
    given = parser.parse_args(argv)
    known = rows()
    if given.markdown is not None:
        given.markdown.parent.mkdir(parents=True, exist_ok=True)
        given.markdown.write_text(audit_page(load_space(SPACE), REPORTS), encoding="utf-8")
    counters = {name: compare(ARCHS[name]) for name in AUDITED}
    if given.json:
        cli.emit(
            {
                "archs": {
                    name: {
                        "total": one.closed_form,
                        "numel": one.numel,
                        "fvcore": one.fvcore,
                        "thop": one.thop,
                        "thop_skipped": one.skipped,
                        "parts": count_parts(ARCHS[name]),
                    }
                    for name, one in counters.items()
                },
                "rows": [asdict(row) | {"difference": row.difference} for row in known],
            }
        )
        return 0
    console = Console()
    table = Table("arch", "parameters", "numel", "fvcore", "thop", "skipped by thop", title="Parameters by counter")
    for name, one in counters.items():
        skipped = f"{sum(one.skipped.values()):,} in {len(one.skipped)} tensors" if one.skipped else NOTHING
        table.add_row(name, *(f"{n:,}" for n in (one.closed_form, one.numel, one.fvcore, one.thop)), skipped)
    console.print(table)
    table = Table(
        "what", "unit", "basis", "documented", "recomputed", "verdict", title="Documented numbers that differ"
    )
    for row, _ in merged(known):
        if row.recomputed is not None and row.verdict in VERDICTS[2:4]:
            numbers = (number_text(number, row.unit) for number in (row.documented, row.recomputed))
            table.add_row(row.what, row.unit, row.basis, *numbers, row.verdict)
    console.print(table)
    totals = Counter(row.verdict for row, _ in merged(known))
    console.print(", ".join(f"{verdict}: {totals[verdict]}" for verdict in VERDICTS))
    if given.markdown is not None:
        console.print(f"written: {given.markdown}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    cli.run(main)
