"""Every number that the FeatherFace V2 documents state, as data: what, where, and how it was written.

Nothing here was measured or computed by this project. A number that the documents repeat has one claim per place, all
with the same key. Where the places disagree, the claims of that key differ. Sums of the documents' columns are not
claims.
"""

from dataclasses import dataclass

OVERVIEW = "Overview"
ARCHITECTURE = "(a) Architecture Légère"
ATTENTION = "(b) CBAM_Plus"
NECK = "(c) BiFPN_Light"
HEADS = "(d) Unified Detection Heads"
FINAL = "Configuration Finale V2, Paramètres Architecturaux"
PERFORMANCE = "Configuration Finale V2, Performance Optimisée"
FORWARD = "Forward Pass Architecture V2"
STRATEGY = "Knowledge Distillation Strategy"
TABLE = "Comparative Analysis V1 vs V2"
CONCLUSION = "Conclusion"


@dataclass(frozen=True)
class Claim:
    """One documented number.

    Attributes:
        key: names the quantity; the same quantity in two places has the same key.
        where: section or table of the document.
        what: the quantity in words.
        value: the number, in ``unit``.
        unit: ``parameters``, ``%``, ``points``, ``FPS``, ``MB``, ``×``, ``channels``, ``pixels``, ``count`` or ``""``.
        written: the number as the document writes it (``~`` about, ``+`` at least).
    """

    key: str
    where: str
    what: str
    value: float
    unit: str
    written: str


def _repeat(key: str, what: str, value: float, unit: str, places: tuple[tuple[str, str], ...]) -> tuple[Claim, ...]:
    return tuple(Claim(key, where, what, value, unit, written) for where, written in places)


_TOTALS = (
    *_repeat("v1.total", "V1, total parameters", 487_103, "parameters", ((TABLE, "487,103"),)),
    Claim("v1.total_rounded", STRATEGY, "V1, total parameters in thousands", 487_000, "parameters", "487K params"),
    *_repeat("v2.total", "V2, total parameters", 256_148, "parameters", ((FINAL, "256,148"), (TABLE, "256,148"))),
    *_repeat(
        "v2.total_rounded",
        "V2, total parameters in thousands",
        256_000,
        "parameters",
        ((STRATEGY, "256K params"), (CONCLUSION, "256K paramètres")),
    ),
    *_repeat(
        "reduction.total",
        "V2's reduction of the total against V1",
        47.2,
        "%",
        (
            (OVERVIEW, "47.2% reduction"),
            (ARCHITECTURE, "47.2% moins de paramètres"),
            (FINAL, "47.2% réduction vs V1"),
            (TABLE, "47.2% reduction"),
            (CONCLUSION, "47.2% réduction paramètres"),
        ),
    ),
)

_PARTS = (
    Claim("shared.backbone", FINAL, "backbone, shared by V1 and V2", 213_072, "parameters", "213,072 params"),
    Claim("v1.cbam", TABLE, "V1, CBAM", 22_184, "parameters", "22,184"),
    Claim("v1.bifpn", TABLE, "V1, BiFPN", 113_610, "parameters", "113,610"),
    Claim("v1.context", TABLE, "V1, context", 148_296, "parameters", "148,296"),
    Claim("v1.heads", TABLE, "V1, detection heads", 7_200, "parameters", "7,200"),
    *_repeat("v2.cbam", "V2, CBAM_Plus, 2 managers", 1_248, "parameters", ((FINAL, "1,248 params"), (TABLE, "1,248"))),
    *_repeat("v2.bifpn", "V2, BiFPN_Light", 18_432, "parameters", ((FINAL, "18,432 params"), (TABLE, "18,432"))),
    *_repeat("v2.context", "V2, SSH_Grouped", 12_288, "parameters", ((FINAL, "12,288 params"), (TABLE, "12,288"))),
    *_repeat(
        "v2.shuffle",
        "V2, ChannelShuffle_Light",
        0,
        "parameters",
        ((HEADS, "Zero parameters implementation"), (FINAL, "0 params"), (FORWARD, "Zero parameters shuffle")),
    ),
    *_repeat("v2.heads", "V2, SharedMultiHead", 11_520, "parameters", ((FINAL, "11,520 params"), (TABLE, "11,520"))),
    Claim("v2.share.backbone", FINAL, "V2, backbone's share of the total", 83.2, "%", "83.2%"),
    Claim("v2.share.cbam", FINAL, "V2, CBAM_Plus's share of the total", 0.5, "%", "0.5%"),
    Claim("v2.share.bifpn", FINAL, "V2, BiFPN_Light's share of the total", 7.2, "%", "7.2%"),
    Claim("v2.share.context", FINAL, "V2, SSH_Grouped's share of the total", 4.8, "%", "4.8%"),
    Claim("v2.share.shuffle", FINAL, "V2, ChannelShuffle_Light's share of the total", 0.0, "%", "0.0%"),
    Claim("v2.share.heads", FINAL, "V2, SharedMultiHead's share of the total", 4.5, "%", "4.5%"),
)

_REDUCTIONS = (
    *_repeat(
        "reduction.cbam",
        "reduction of the CBAM parameters against V1",
        91,
        "%",
        (
            (ATTENTION, "91% reduction vs V1"),
            (f"{ATTENTION}, Shared Channel Attention", "91% réduction paramètres"),
            (STRATEGY, "91% réduction paramètres"),
        ),
    ),
    Claim("reduction.cbam", TABLE, "reduction of the CBAM parameters against V1", 94.4, "%", "94.4% reduction"),
    Claim("kept.cbam", ATTENTION, "CBAM parameters kept of V1's", 9, "%", "9% des paramètres originaux"),
    Claim("reduction.bifpn_channels", NECK, "reduction of the BiFPN's channels", 56.8, "%", "56.8% réduction"),
    Claim(
        "reduction.bifpn_conv",
        NECK,
        "reduction of the parameters of one BiFPN convolution with 32 instead of 74 channels",
        56.8,
        "%",
        "56.8% moins de paramètres par convolution",
    ),
    Claim(
        "ratio.depthwise",
        f"{NECK}, Depthwise Separable Convs",
        "parameters of a convolution over those of its depthwise-separable form",
        8,
        "×",
        "~8x moins de paramètres",
    ),
    Claim(
        "ratio.depthwise",
        STRATEGY,
        "parameters of a convolution over those of its depthwise-separable form",
        8,
        "×",
        "8x moins paramètres",
    ),
    Claim("reduction.bifpn", NECK, "reduction of the BiFPN parameters against V1", 75, "%", "75% réduction paramètres"),
    Claim("reduction.bifpn", TABLE, "reduction of the BiFPN parameters against V1", 83.8, "%", "83.8% reduction"),
    *_repeat(
        "reduction.context",
        "reduction of the context parameters against V1",
        93,
        "%",
        (
            (HEADS, "93% fewer parameters"),
            (f"{HEADS}, SSH_Grouped", "93% réduction paramètres context enhancement"),
            (FORWARD, "93% fewer parameters than V1 SSH"),
        ),
    ),
    Claim("reduction.context", TABLE, "reduction of the context parameters against V1", 91.7, "%", "91.7% reduction"),
)

_SIZES = (
    Claim("v1.size", TABLE, "V1, model size", 1.9, "MB", "1.9 MB"),
    *_repeat("v2.size", "V2, model size", 1.0, "MB", ((PERFORMANCE, "1.0 MB"), (TABLE, "1.0 MB"))),
    *_repeat(
        "reduction.size",
        "reduction of the model size against V1",
        47,
        "%",
        ((PERFORMANCE, "47% reduction vs V1"), (TABLE, "47% smaller")),
    ),
)

_ACCURACY = (
    Claim("v1.ap.easy", TABLE, "V1, AP on WIDER FACE easy", 87, "%", "~87%"),
    Claim("v1.ap.medium", TABLE, "V1, AP on WIDER FACE medium", 85, "%", "~85%"),
    Claim("v1.ap.hard", TABLE, "V1, AP on WIDER FACE hard", 78, "%", "~78%"),
    *_repeat(
        "v2.ap.easy",
        "V2, AP on WIDER FACE easy",
        92,
        "%",
        ((PERFORMANCE, "92%+ mAP (target via distillation)"), (TABLE, "92%+")),
    ),
    *_repeat("v2.ap.medium", "V2, AP on WIDER FACE medium", 90, "%", ((PERFORMANCE, "90%+ mAP"), (TABLE, "90%+"))),
    *_repeat("v2.ap.hard", "V2, AP on WIDER FACE hard", 82, "%", ((PERFORMANCE, "82%+ mAP"), (TABLE, "82%+"))),
    *_repeat(
        "v2.ap",
        "V2, AP without a named list",
        92,
        "%",
        ((ARCHITECTURE, "92%+ mAP target"), (STRATEGY, "92%+ mAP via learned efficiency")),
    ),
    Claim("gain.ap.easy", TABLE, "V2's gain on WIDER FACE easy", 5, "points", "+5% improvement"),
    Claim("gain.ap.medium", TABLE, "V2's gain on WIDER FACE medium", 5, "points", "+5% improvement"),
    Claim("gain.ap.hard", TABLE, "V2's gain on WIDER FACE hard", 4, "points", "+4% improvement"),
    Claim("kept.cbam_quality", ATTENTION, "CBAM performance kept", 95, "%", "~95% performance CBAM"),
    Claim("kept.bifpn_quality", NECK, "BiFPN performance kept", 97, "%", "97% performance preserved"),
)

_SPEED = (
    Claim("v1.fps", TABLE, "V1, inference speed", 30, "FPS", "~30 FPS"),
    *_repeat(
        "v2.fps",
        "V2, inference speed on a standard GPU",
        45,
        "FPS",
        ((PERFORMANCE, "~45 FPS sur GPU standard"), (TABLE, "~45 FPS")),
    ),
    *_repeat(
        "gain.fps",
        "V2's gain of inference speed against V1",
        50,
        "%",
        ((PERFORMANCE, "+50% vs V1"), (TABLE, "+50% faster")),
    ),
)

_SETTINGS = (
    Claim("input.side", ARCHITECTURE, "input height and width", 640, "pixels", "640×640×3"),
    Claim("backbone.width", OVERVIEW, "MobileNet's width multiplier", 0.25, "×", "MobileNet-0.25"),
    Claim("backbone.channels.p3", ARCHITECTURE, "backbone channels at P3", 64, "channels", "P3:64ch"),
    Claim("backbone.channels.p4", ARCHITECTURE, "backbone channels at P4", 128, "channels", "P4:128ch"),
    Claim("backbone.channels.p5", ARCHITECTURE, "backbone channels at P5", 256, "channels", "P5:256ch"),
    Claim("v2.channels", ARCHITECTURE, "V2, channels after the neck", 32, "channels", "F3:32ch, F4:32ch, F5:32ch"),
    Claim("v2.channels", FINAL, "V2, channels after the neck", 32, "channels", "out_channel_v2: 32"),
    Claim("v1.channels", NECK, "V1, channels after the neck", 74, "channels", "32 au lieu de 74"),
    Claim("v1.cbam_reduction", ATTENTION, "V1, CBAM's reduction ratio", 16, "×", "32:1 au lieu de 16:1"),
    Claim("v2.cbam_reduction", ATTENTION, "V2, CBAM_Plus's reduction ratio", 32, "×", "reduction_ratio=32"),
    Claim("v2.cbam_reduction", STRATEGY, "V2, CBAM_Plus's reduction ratio", 32, "×", "32:1 ratio optimal"),
    Claim("v2.cbam_managers", FINAL, "V2, CBAM_Plus managers", 2, "count", "2 managers"),
    Claim("v2.bifpn_repeats", NECK, "V2, BiFPN_Light cells", 2, "count", "2 répétitions maintenues"),
    Claim("v2.bifpn_repeats", FINAL, "V2, BiFPN_Light cells", 2, "count", "2 répétitions"),
    Claim("v2.bifpn_reduction", NECK, "V2, BiFPN_Light's reduction factor", 4, "", "reduction_factor=4"),
    Claim("v2.ssh_groups", HEADS, "V2, SSH_Grouped's groups", 4, "count", "groups=4"),
    Claim("v2.ssh_groups", STRATEGY, "V2, SSH_Grouped's groups", 4, "count", "4 groups optimal"),
    Claim("v2.ssh_reduction", HEADS, "V2, SSH_Grouped's reduction", 2, "", "reduction=2"),
    Claim("v2.ssh_modules", FINAL, "V2, SSH_Grouped modules", 3, "count", "3 modules"),
    Claim("v2.shuffle_groups", HEADS, "V2, ChannelShuffle_Light's groups", 4, "count", "groups=4"),
    Claim("v2.shuffle_modules", FINAL, "V2, ChannelShuffle_Light modules", 3, "count", "3 modules"),
    Claim("v2.head_instances", FINAL, "V2, SharedMultiHead instances", 3, "count", "3 instances"),
    Claim("v2.head_anchors", HEADS, "V2, anchors per position", 2, "count", "num_anchors=2"),
    Claim("distill.temperature", STRATEGY, "distillation temperature T", 4.0, "", "T=4.0"),
    Claim("distill.alpha", STRATEGY, "distillation weight α", 0.7, "", "α=0.7"),
)

CLAIMS: tuple[Claim, ...] = (*_TOTALS, *_PARTS, *_REDUCTIONS, *_SIZES, *_ACCURACY, *_SPEED, *_SETTINGS)
"""Every documented number, totals first. ``(key, where)`` is unique."""

PART_KEYS: dict[str, dict[str, str]] = {
    "v1": {
        "backbone": "shared.backbone",
        "attention": "v1.cbam",
        "neck": "v1.bifpn",
        "context": "v1.context",
        "head": "v1.heads",
    },
    "v2": {
        "backbone": "shared.backbone",
        "attention": "v2.cbam",
        "neck": "v2.bifpn",
        "context": "v2.context",
        "shuffle": "v2.shuffle",
        "head": "v2.heads",
    },
}
"""Arch → part → key of its documented count. ``attention`` holds both attention slots."""


def claims(key: str) -> tuple[Claim, ...]:
    """Return every place where the quantity ``key`` is documented.

    Raises:
        KeyError: it is documented nowhere.
    """
    found = tuple(claim for claim in CLAIMS if claim.key == key)
    if not found:
        raise KeyError(key)
    return found


def claim(key: str) -> Claim:
    """Return the claim for ``key`` in the documents' table, or the first claim if the table has none.

    Raises:
        KeyError: it is documented nowhere.
        ValueError: the documents give different values.
    """
    found = claims(key)
    if len({one.value for one in found}) > 1:
        raise ValueError(f"the documents contradict themselves about {key}: {[one.written for one in found]}")
    return next((one for one in found if one.where == TABLE), found[0])
