"""The audit as a Markdown page: the rows of ``harness.reporting.audit.rows``, and further tables."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from harness.core.arch import ARCHS, SLOTS
from harness.core.budget import Budget
from harness.core.documented import CLAIMS
from harness.core.space import SearchSpace
from harness.counting import SpaceCounts
from harness.errors import DataError
from harness.models.costs import count, count_parts
from harness.reporting.audit.rows import DOCUMENTS, Row, counts, documented_counts, merged, number_text, rows
from harness.reporting.format import NOTHING, markdown
from harness.reporting.lock import caption
from harness.reporting.parts import COUNTED
from harness.reporting.publish import render

NEAREST = 8
"""Architectures listed below the documented total."""


def audit_page(space: SearchSpace, reports: Path) -> str:
    """Return the page as Markdown; the same code and committed reports give the same bytes.

    Args:
        space: its architectures nearest to the documented total are listed.
        reports: folder of the committed reports, whose measured values are listed.

    Raises:
        DataError: a committed ``summary.json`` cannot be read.
    """
    known, budget, spaces = rows(), Budget(), SpaceCounts(space)
    measured = _measured(reports)
    return render(
        "audit.md.j2",
        counted=COUNTED,
        overview=_overview(known),
        parts=markdown(_parts()),
        snippets=markdown(_snippets(), text=("in v2", "as written")),
        budget=str(budget),
        feasible=f"{spaces.feasible(budget):,}",
        size=f"{spaces.size:,}",
        nearest=markdown(_nearest(spaces, budget), text=("what differs from v2",)),
        claims=markdown(_claims(measured), text=("claim", "where")),
        protocols=[f"`{name}`: {caption(one['protocol'], one['data'])}" for name, one in measured.items()],
        rows=markdown(_every(known), text=("where", "unit", "basis", "verdict")),
    )


def _overview(known: list[Row]) -> str:
    totals = {name: count(arch) for name, arch in ARCHS.items() if name in ("v1", "v2", "v2_as_written")}
    sums = {row.what[:2]: row for row in known if not row.key}
    own = next(row for row in known if row.key == "reduction.total" and row.basis == DOCUMENTS)
    cbam = next(row for row in known if row.key == "v1.cbam")
    lines = [
        f"- V1 has {totals['v1']:,} parameters; documented are {sums['V1'].documented:,.0f}, although the documented "
        f"parts add up to {sums['V1'].recomputed:,.0f}. Its CBAM has {cbam.recomputed:,.0f} parameters, not "
        f"{cbam.documented:,.0f}.",
        f"- V2 has {totals['v2']:,} parameters, {totals['v2'] - Budget().max_params:,} over the documented "
        f"{sums['V2'].documented:,.0f}; the documented parts add up to {sums['V2'].recomputed:,.0f}.",
        f"- V2 built from the documents' snippets as written has {totals['v2_as_written']:,} parameters, "
        f"{totals['v2_as_written'] - Budget().max_params:,} over.",
        f"- From one documented total to the other is a reduction of {own.recomputed:.1f} %, not {own.documented} %.",
    ]
    return "\n".join(lines)


def _parts() -> pd.DataFrame:
    columns: dict[str, dict[str, float]] = {
        "V1 documented": documented_counts("v1"),
        "v1": dict(counts(ARCHS["v1"])),
        "V2 documented": documented_counts("v2"),
        "v2": dict(counts(ARCHS["v2"])),
        "v2_as_written": dict(counts(ARCHS["v2_as_written"])),
    }
    parts = [part for part in columns["v1"] if part != "total"]
    table = [{"part": part, **{name: f"{column[part]:,.0f}" for name, column in columns.items()}} for part in parts]
    sums = {name: sum(column[part] for part in parts) for name, column in columns.items()}
    table.append({"part": "sum of the parts", **{name: f"{number:,.0f}" for name, number in sums.items()}})
    table.append({"part": "total", **{name: f"{column['total']:,.0f}" for name, column in columns.items()}})
    return pd.DataFrame(table)


def _snippets() -> pd.DataFrame:
    v2, written = ARCHS["v2"], ARCHS["v2_as_written"]
    table = []
    for slot in SLOTS:
        one, other = v2.parts()[slot], written.parts()[slot]
        changed = replace(v2, **{slot: other})
        total = count(changed)
        table.append(
            {
                "slot": slot,
                "in v2": f"{one}, {count_parts(v2)[slot]:,}",
                "as written": "the same" if one == other else f"{other}, {count_parts(changed)[slot]:,}",
                "costs": f"{total - count(v2):+,}" if one != other else "0",
                "total": f"{total:,}",
                "against the budget": f"{total - Budget().max_params:+,}",
            }
        )
    return pd.DataFrame(table)


def _nearest(spaces: SpaceCounts, budget: Budget) -> pd.DataFrame:
    base = ARCHS["v2"].parts()
    table = []
    for total, configuration in spaces.nearest(budget, NEAREST):
        arch = spaces.space.arch(configuration)
        changed = [f"{slot}={part}" for slot, part in arch.parts().items() if part != base[slot]]
        parts = {name: number for name, number in counts(arch).items() if name not in ("total", "backbone")}
        table.append(
            {
                "total": f"{total:,}",
                "left": f"{budget.max_params - total:,}",
                **{name: f"{number:,}" for name, number in parts.items()},
                "what differs from v2": ", ".join(changed),
            }
        )
    return pd.DataFrame(table)


def _measured(reports: Path) -> dict[str, dict[str, Any]]:
    """Return the committed studies' summaries by name, without comparisons, which contain no further measurements."""
    found = {}
    for path in sorted(reports.glob("*/summary.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is not readable: {error}; publish that report again") from error
        if isinstance(content, dict) and "pairs" not in content:
            found[path.parent.name] = content
    return found


def _claims(measured: dict[str, dict[str, Any]]) -> pd.DataFrame:
    table = []
    for claim in CLAIMS:
        arch, _, quantity = claim.key.partition(".")
        if not (quantity.startswith(("ap", "fps")) or (claim.key.startswith("kept.") and "quality" in claim.key)):
            continue
        cells = {name: _cell(one.get(arch), quantity) for name, one in measured.items()}
        table.append({"claim": claim.what, "where": claim.where, "documented": claim.written, **cells})
    return pd.DataFrame(table)


def _cell(network: dict[str, Any] | None, quantity: str) -> str:
    if network is None:
        return NOTHING
    if quantity == "fps":
        return NOTHING if network["fps"] is None else f"{network['fps']:.1f}, {network['ratio_to_v1']:.2f} × V1"
    ap = network["ap"].get(quantity.partition(".")[2])
    return NOTHING if ap is None else f"{100 * ap:.1f}"


def _every(known: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "what": row.what,
                "where": "; ".join(where),
                "unit": row.unit,
                "basis": row.basis,
                "documented": number_text(row.documented, row.unit),
                "recomputed": NOTHING if row.recomputed is None else number_text(row.recomputed, row.unit),
                "difference": NOTHING if row.difference is None else number_text(row.difference, row.unit),
                "verdict": row.verdict,
            }
            for row, where in merged(known)
        ]
    )
