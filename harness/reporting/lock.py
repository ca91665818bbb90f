"""The protocol lock: a column holds only APs of one protocol."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from harness.core.digest import digest
from harness.errors import InputError, printable

Protocol = Mapping[str, Any]

_WORDS: dict[tuple[str, ...], Callable[..., str]] = {
    ("images", "faces"): "{:,} images with {:,} faces".format,
    ("eval_side",): lambda side: f"longest side {side} pixels" if side else "at their original size",
    ("score_threshold",): "score above {}".format,
    ("nms_iou",): "NMS at IoU {}".format,
    ("max_candidates", "max_detections"): "at most {:,} candidates and {:,} boxes per image".format,
    ("version",): "protocol version {}".format,
    ("pad_multiple",): lambda multiple: f"padded to a multiple of {multiple}" if multiple > 1 else "no padding",
}
"""Keys of a protocol → their values in words."""


def differences(one: Protocol, other: Protocol) -> str:
    """Return in words how ``one`` differs from ``other``; empty where they are equal."""
    keys = [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
    if len(keys) > 1 and "digest" in keys:
        keys.remove("digest")  # The digest follows from the other keys.
    return printable(", ".join(f"{k} {one.get(k, 'missing')} instead of {other.get(k, 'missing')}" for k in keys))


def one_protocol(rows: Mapping[str, Protocol]) -> Protocol:
    """Return the protocol that all rows share; without rows, an empty one.

    Args:
        rows: row label → protocol of the row's AP.

    Raises:
        InputError: the rows have more than one; the message names the rows that differ from the most common one.
    """
    if not rows:
        return {}
    counts = Counter(digest(dict(protocol)) for protocol in rows.values())
    common = counts.most_common(1)[0][0]
    usual = next(protocol for protocol in rows.values() if digest(dict(protocol)) == common)
    strange = {label: differences(protocol, usual) for label, protocol in rows.items()}
    named = [f"{label} ({difference})" for label, difference in strange.items() if difference]
    if named:
        others = len(rows) - len(named)
        raise InputError(
            f"two protocols in one AP column: {'; '.join(named)}, against {others} other rows; studies of the same "
            "images, size and evaluation share one, and `python -m harness.evaluate` measures a network by another"
        )
    return usual


def protocol_digest(protocol: Protocol) -> str:
    """Return the digest that the protocol holds, or that of its content."""
    return str(protocol.get("digest") or digest(dict(protocol)))


def caption(protocol: Protocol, data_name: str, what: str = "AP") -> str:
    """Return a sentence with the full protocol of an AP.

    Args:
        protocol: protocol of the AP; a key without an entry in ``_WORDS`` is printed as it is.
        data_name: the data in words.
        what: the AP in words.
    """
    flat = _flatten(protocol)
    flat = {key: value for key, value in flat.items() if key != "digest" and str(value) not in data_name.split("`")}
    said = [f"{what}: WIDER FACE's rule (IoU 0.5, 1,000 score thresholds) on {data_name}"]
    for keys, text in _WORDS.items():
        if all(key in flat for key in keys):
            said.append(text(*(flat.pop(key) for key in keys)))
    said += [f"{key.replace('_', ' ')} {value}" for key, value in sorted(flat.items())]
    return ", ".join(said) + f"; protocol `{protocol_digest(protocol)}`."


def _flatten(protocol: Protocol) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in protocol.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value)
        else:
            flat[key] = value
    return flat
