"""``Contents``: the parts of a report on replayed searches that depend on the number of objectives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.reporting.publish import Picture


@dataclass(frozen=True, eq=False)
class Contents:
    """What a report shows of replayed searches.

    Attributes:
        title: heading of the table.
        table: one row per sampler, as text; ``legend`` explains its columns.
        remarks: what limits the result, beside what limits all replays of the table.
        findings: statements about the result.
        pictures: in the order of the report.
        results: content of ``results.csv``; ``rows`` says what its rows are.
        ran: how a search ran, in a few words; ``method``: what else a reader must know.
        summary: keys of ``summary.json``, beside those of all replays.
    """

    title: str
    table: pd.DataFrame
    legend: str
    remarks: Sequence[str]
    findings: Sequence[str]
    pictures: Sequence[Picture]
    results: pd.DataFrame
    rows: str
    ran: str
    method: Sequence[str]
    summary: dict[str, Any]
