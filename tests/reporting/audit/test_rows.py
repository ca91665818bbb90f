"""The audit: sums, verdicts, and the committed page made again byte for byte."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.documented import CLAIMS, Claim
from harness.core.names import load_space
from harness.reporting.audit.page import audit_page
from harness.reporting.audit.rows import DOCUMENTS, VERDICTS, judge, merged, rows
from harness.reporting.webpage import page

ROOT = Path(__file__).parents[3]


def found(key: str, basis: str, documented: float | None = None) -> tuple[float | None, str]:
    """Return what the audit recomputes and says of a claim."""
    row = next(r for r in rows() if r.key == key and r.basis == basis and documented in (None, r.documented))
    return row.recomputed, row.verdict


@pytest.mark.parametrize(
    ("key", "basis", "number", "verdict"),
    [
        ("v1.total", "v1", 487_103, "exact"),
        ("v2.total", "v2", 256_156, "differs"),
        ("v2.total", "v2_as_written", 268_060, "differs"),
        ("v1.cbam", "v1", 4_925, "differs"),
        ("v2.cbam", "v2", 6_600, "differs"),
        ("v2.bifpn", "v2", 26_068, "differs"),
        ("v2.context", "v2", 6_192, "differs"),
        ("v2.context", "v2_as_written", 6_768, "differs"),
        ("v2.shuffle", "v2", 1_056, "differs"),
        ("v2.shuffle", "v2_as_written", 0, "exact"),
        ("v2.heads", "v2", 3_168, "differs"),
        ("v2.heads", "v2_as_written", 15_552, "differs"),
        ("v1.bifpn", "v1", 113_610, "exact"),
        ("v1.context", "v1", 148_296, "exact"),
        ("v1.heads", "v1", 7_200, "exact"),
        ("shared.backbone", "v2", 213_072, "exact"),
        ("v1.total_rounded", "v1", 487_103, "rounding"),
        ("v1.cbam_reduction", "v1", 48, "differs"),
    ],
)
def test_counts_and_their_verdicts(key: str, basis: str, number: float, verdict: str) -> None:
    assert found(key, basis) == (number, verdict)


def test_the_documents_contradict_themselves() -> None:
    reduction, verdict = found("reduction.total", DOCUMENTS)
    assert reduction == pytest.approx(47.41, abs=0.005)
    assert verdict == "contradicts itself"
    sums = {row.what[:2]: row.recomputed for row in rows() if not row.key}
    assert sums == {"V1": 504_362, "V2": 256_560}
    assert found("reduction.cbam", DOCUMENTS, 91)[1] == "contradicts itself"
    assert found("reduction.cbam", DOCUMENTS, 94.4)[1] == "rounding"


def test_every_claim_is_judged() -> None:
    known = rows()
    assert {(row.key, row.where) for row in known if row.key} == {(claim.key, claim.where) for claim in CLAIMS}
    assert {row.verdict for row in known} == set(VERDICTS)
    assert all((row.recomputed is None) == (row.verdict == "cannot be checked here") for row in known)


def test_merging_keeps_every_place() -> None:
    known = rows()
    assert sum(len(places) for _, places in merged(known)) == len(known)


@pytest.mark.parametrize(
    ("written", "value", "number", "verdict"),
    [
        ("83.2%", 83.2, 83.2499, "rounding"),
        ("83.2%", 83.2, 83.2501, "contradicts itself"),
        ("~8x", 8, 7.6, "rounding"),
        ("1.0 MB", 1.0, 1.0, "exact"),
        ("487K", 487_000, 487_499, "rounding"),
        ("487K", 487_000, 487_501, "contradicts itself"),
    ],
)
def test_rounding_is_to_the_written_digits(written: str, value: float, number: float, verdict: str) -> None:
    assert judge(Claim("k", "w", "w", value, "", written), number, DOCUMENTS) == verdict


def test_the_committed_page_is_what_its_command_makes() -> None:
    committed = (ROOT / "reports" / "audit" / "report.md").read_text(encoding="utf-8")
    assert page(committed, {}) == (ROOT / "reports" / "audit" / "report.html").read_text(encoding="utf-8")
    assert committed == audit_page(load_space("v2_light"), ROOT / "reports"), (
        "make it again: python -m harness.audit --markdown reports/audit/report.md"
    )


@pytest.mark.slow
def test_json_has_the_keys_that_scripts_rely_on() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "harness.audit", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    data = json.loads(answer.stdout)
    totals = {name: (one["total"], one["fvcore"], one["thop"]) for name, one in data["archs"].items()}
    assert totals == {
        "v1": (487_103, 487_103, 487_083),
        "v2": (256_156, 256_156, 256_136),
        "v2_as_written": (268_060, 268_060, 268_040),
    }
    assert sum(data["archs"]["v2"]["parts"].values()) == 256_156
    assert all({"what", "where", "documented", "recomputed", "verdict"} <= set(row) for row in data["rows"])
