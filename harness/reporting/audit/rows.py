"""The audit: every documented number with the number that is counted on the described networks.

A row is one claim on one basis. On the basis ``documents`` a number is computed from the documents' own other
numbers, which shows where they contradict themselves; on ``v1``, ``v2`` and ``v2_as_written`` it is counted.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.core import documented
from harness.core.arch import ARCHS, ArchConfig
from harness.core.documented import CLAIMS, Claim
from harness.core.evaluation import SpeedConfig
from harness.core.retinaface import ANCHORS, STRIDES
from harness.core.training import DistillConfig
from harness.models.costs import count_parts
from harness.models.wiring import backbone_widths
from harness.reporting.parts import part_counts

DOCUMENTS = "documents"
VERDICTS = ("exact", "rounding", "differs", "contradicts itself", "cannot be checked here")

PARTS = {"backbone": "backbone", "attention": "cbam", "neck": "bifpn", "context": "context", "shuffle": "shuffle"}
PARTS |= {"head": "heads"}
"""Part of the tables → its word in the documents' keys."""

BYTES = 4
"""Bytes a float32 parameter takes; MB are 10^6 bytes here."""


@dataclass(frozen=True)
class Row:
    """One claim on one basis.

    Attributes:
        key: the quantity, as in ``harness.core.documented``; empty for sums of columns.
        what, where: the claim and its place in words.
        unit: unit of ``documented`` and ``recomputed``.
        written: the claim as written in the documents.
        basis: ``documents``, ``v1``, ``v2`` or ``v2_as_written``.
        documented, recomputed: the numbers; ``recomputed`` is None for what cannot be checked here.
        verdict: one of ``VERDICTS``.
    """

    key: str
    what: str
    where: str
    unit: str
    written: str
    basis: str
    documented: float
    recomputed: float | None
    verdict: str

    @property
    def difference(self) -> float | None:
        """Return recomputed minus documented."""
        return None if self.recomputed is None else self.recomputed - self.documented


def counts(arch: ArchConfig) -> dict[str, int]:
    """Return the documents' parts and ``total`` → parameters."""
    slots = count_parts(arch)
    parts = {PARTS[name]: number for name, number in part_counts(slots).items()}
    return {**parts, "total": sum(slots.values())}


def documented_counts(arch: str) -> dict[str, float]:
    """Return the documents' parts and ``total`` → parameters as documented for ``v1`` or ``v2``."""
    parts = {PARTS[name]: documented.claim(key).value for name, key in documented.PART_KEYS[arch].items()}
    return {"shuffle": 0.0, **parts, "total": documented.claim(f"{arch}.total").value}


def _percent(share: float) -> float:
    return 100 * share


def _derived(v1: Mapping[str, float], v2: Mapping[str, float]) -> dict[str, float]:
    """Return what follows from two lists of parameters: shares, reductions, ratios and sizes."""
    found = {f"v2.share.{part}": _percent(v2[part] / v2["total"]) for part in PARTS.values()}
    found |= {f"reduction.{part}": _percent(1 - v2[part] / v1[part]) for part in ("total", "cbam", "bifpn", "context")}
    found["kept.cbam"] = _percent(v2["cbam"] / v1["cbam"])
    found["v2.size"] = BYTES * v2["total"] / 1e6
    found["reduction.size"] = _percent(1 - v2["total"] / v1["total"])
    return found


def _settings(arch: ArchConfig) -> dict[str, float]:
    """Return what an architecture is built with, under the documents' keys without the leading ``v1.`` or ``v2.``."""
    levels, managers = len(STRIDES), sum(part.name == "cbam_plus" for part in (arch.attention, arch.neck_attention))
    attention, neck = arch.attention.option_dict(), arch.neck.option_dict()
    context, shuffle = arch.context.option_dict(), arch.shuffle.option_dict()
    return {
        key: float(value)
        for key, value in (
            ("channels", neck["channels"]),
            ("cbam_reduction", attention["reduction"]),
            ("bifpn_repeats", neck["repeats"]),
            ("bifpn_reduction", neck.get("reduction_factor")),
            ("ssh_groups", context.get("groups")),
            ("ssh_reduction", context.get("reduction")),
            ("shuffle_groups", shuffle.get("groups")),
            ("cbam_managers", managers),
            ("ssh_modules", levels),
            ("shuffle_modules", levels),
            ("head_instances", levels),
            ("head_anchors", len(ANCHORS[0])),
        )
        if value is not None
    }


def recomputed() -> dict[str, dict[str, float]]:
    """Return basis → key → number, for every documented number that can be computed or counted."""
    counted = {name: counts(arch) for name, arch in ARCHS.items() if name in ("v1", "v2", "v2_as_written")}
    written = {arch: documented_counts(arch) for arch in ("v1", "v2")}
    own = _derived(written["v1"], written["v2"])
    own["v1.size"] = BYTES * written["v1"]["total"] / 1e6
    wide, narrow = (documented.claim(f"{arch}.channels").value for arch in ("v1", "v2"))
    own["reduction.bifpn_channels"] = _percent(1 - narrow / wide)
    # A 3×3 convolution between C channels has 9 C² weights; a depthwise one with its pointwise one 9 C + C².
    own["reduction.bifpn_conv"] = _percent(1 - narrow**2 / wide**2)
    own["ratio.depthwise"] = 9 * narrow**2 / (9 * narrow + narrow**2)
    for level in ("easy", "medium", "hard"):
        own[f"gain.ap.{level}"] = documented.claim(f"v2.ap.{level}").value - documented.claim(f"v1.ap.{level}").value
    own["gain.fps"] = _percent(documented.claim("v2.fps").value / documented.claim("v1.fps").value - 1)
    own["reduction.size"] = _percent(1 - documented.claim("v2.size").value / documented.claim("v1.size").value)

    v1 = counted["v1"]
    found = {DOCUMENTS: own, "v1": {"shared.backbone": float(v1["backbone"]), "v1.size": BYTES * v1["total"] / 1e6}}
    found["v1"] |= {f"v1.{part}": float(number) for part, number in v1.items()}
    found["v1"] |= {"v1.total_rounded": float(v1["total"])}
    found["v1"] |= {f"v1.{key}": value for key, value in _settings(ARCHS["v1"]).items()}
    for name in ("v2", "v2_as_written"):
        v2 = counted[name]
        widths = backbone_widths(ARCHS[name].backbone)
        found[name] = {
            **{f"backbone.channels.p{level}": float(width) for level, width in zip((3, 4, 5), widths, strict=True)},
            "backbone.width": float(ARCHS[name].backbone.option_dict()["width"]),
            "input.side": float(SpeedConfig().size),
            "distill.temperature": DistillConfig().temperature,
            "distill.alpha": DistillConfig().alpha,
            "shared.backbone": float(v2["backbone"]),
            "v2.total_rounded": float(v2["total"]),
            **{f"v2.{part}": float(number) for part, number in v2.items()},
            **_derived(v1, v2),
            **{f"v2.{key}": value for key, value in _settings(ARCHS[name]).items()},
        }
    return found


def judge(claim: Claim, number: float, basis: str) -> str:
    """Return the verdict on a documented number that is recomputed as ``number``.

    It agrees by rounding if it rounds to the digits that were written.
    """
    if number == claim.value:
        return "exact"
    token = re.search(r"\d[\d,]*(?:\.(\d+))?(K?)", claim.written)
    decimals = len(token.group(1) or "") if token else 0
    scale = 1_000 if token and token.group(2) else 1
    if round(number / scale, decimals) == round(claim.value / scale, decimals):
        return "rounding"
    return "contradicts itself" if basis == DOCUMENTS else "differs"


def _column_sums() -> Iterator[Row]:
    for arch in ("v1", "v2"):
        written = documented_counts(arch)
        total = written.pop("total")
        number = sum(written.values())
        yield Row(
            key="",
            what=f"{arch.upper()}, sum of its documented parts against its documented total",
            where=documented.TABLE if arch == "v1" else f"{documented.TABLE}; {documented.FINAL}",
            unit="parameters",
            written=documented.claim(f"{arch}.total").written,
            basis=DOCUMENTS,
            documented=total,
            recomputed=number,
            verdict="exact" if number == total else "contradicts itself",
        )


def rows() -> list[Row]:
    """Return every claim on every basis that gives it a number, then the sums of the documents' columns."""
    numbers = recomputed()
    found: list[Row] = []
    for claim in CLAIMS:
        common = (claim.key, claim.what, claim.where, claim.unit, claim.written)
        here = [
            Row(*common, basis, claim.value, known[claim.key], judge(claim, known[claim.key], basis))
            for basis, known in numbers.items()
            if claim.key in known
        ]
        found += here or [Row(*common, DOCUMENTS, claim.value, None, "cannot be checked here")]
    return [*found, *_column_sums()]


def merged(known: list[Row]) -> list[tuple[Row, list[str]]]:
    """Return each claim on each basis once, with all its places in the documents."""
    places: dict[tuple[str, str, float, str], tuple[Row, list[str]]] = {}
    for row in known:
        places.setdefault((row.key, row.what, row.documented, row.basis), (row, []))[1].append(row.where)
    return list(places.values())


def number_text(value: float, unit: str) -> str:
    """Return a number as the audit prints it: parameters whole, everything else with up to two decimals."""
    if unit == "parameters":
        return f"{value:,.0f}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")
