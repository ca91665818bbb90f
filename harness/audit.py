"""``python -m harness.audit``: compares the documented numbers with counted ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from harness import cli
from harness.core.arch import ARCHS
from harness.core.files import REPORTS
from harness.core.names import load_space
from harness.counting import compare
from harness.models.costs import count_parts
from harness.reporting.audit.page import audit_page
from harness.reporting.audit.rows import VERDICTS, merged, number_text, rows
from harness.reporting.format import NOTHING
from harness.reporting.webpage import page

SPACE = "v2_light"
AUDITED = ("v1", "v2", "v2_as_written")

EXAMPLES = """Prints the parameters of each architecture by every counter, and the documented numbers that differ.

examples:
  python -m harness.audit
  python -m harness.audit --markdown reports/audit/report.md    regenerate the committed page"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the audit's verdicts, or everything with ``--json`` or ``--markdown``."""
    parser = cli.Parser(
        "harness.audit",
        "Compare every documented number with a counted one.",
        EXAMPLES,
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the whole audit to FILE, and as a page beside it"
    )
    cli.add(parser, "--json")
    given = parser.parse_args(argv)
    known = rows()
    if given.markdown is not None:
        cli.require_writable("--markdown", given.markdown.parent)
        text = audit_page(load_space(SPACE), REPORTS)
        given.markdown.write_text(text, encoding="utf-8")
        given.markdown.with_suffix(".html").write_text(page(text, {}), encoding="utf-8")
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
    table = Table("arch", "parameters", "numel", "fvcore", "thop", "skipped by thop", title="Parameters by counter")
    for name, one in counters.items():
        skipped = f"{sum(one.skipped.values()):,} in {len(one.skipped)} tensors" if one.skipped else NOTHING
        table.add_row(name, *(f"{n:,}" for n in (one.closed_form, one.numel, one.fvcore, one.thop)), skipped)
    cli.show(table)
    table = Table(
        "what", "unit", "basis", "documented", "recomputed", "verdict", title="Documented numbers that differ"
    )
    for row, _ in merged(known):
        if row.recomputed is not None and row.verdict in VERDICTS[2:4]:
            numbers = (number_text(number, row.unit) for number in (row.documented, row.recomputed))
            table.add_row(row.what, row.unit, row.basis, *numbers, row.verdict)
    totals = Counter(row.verdict for row, _ in merged(known))
    cli.show(table, ", ".join(f"{verdict}: {totals[verdict]}" for verdict in VERDICTS))
    if given.markdown is not None:
        cli.show(f"written: {given.markdown}")
    return 0


if __name__ == "__main__":
    cli.run(main)
