"""The protocol lock: an AP only stands beside APs that were measured the same way."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.core.protocol import digest
from harness.errors import InputError

Protocol = Mapping[str, Any]


def differences(one: Protocol, other: Protocol) -> str:
    """Return in words where ``one`` departs from ``other``; empty when they are equal."""
    keys = [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
    if len(keys) > 1 and "digest" in keys:
        keys.remove("digest")  # it follows from the others
    return ", ".join(f"{key} {one.get(key, 'missing')} instead of {other.get(key, 'missing')}" for key in keys)


def one_protocol(rows: Mapping[str, Protocol]) -> Protocol:
    """Return the protocol that all rows share; without rows, an empty one.

    Args:
        rows: row label → the protocol that the row's AP carries.

    Raises:
        InputError: the rows have more than one; the message names the rows that depart from the most common one.
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
            f"two protocols in one AP column: {'; '.join(named)}, against {others} other rows; "
            "evaluate them by one protocol or give each its own column"
        )
    return usual


def protocol_digest(protocol: Protocol) -> str:
    """Return the digest that the protocol carries, or that of its content."""
    return str(protocol.get("digest") or digest(dict(protocol)))


def caption(protocol: Protocol, data_name: str, what: str = "AP") -> str:
    """Return the sentence that says in full what an AP was measured by.

    Args:
        protocol: as an AP carries it; a key that has no words here is printed as it is.
        data_name: the data in words.
        what: the AP in words.
    """
    flat = _flatten(protocol)
    flat = {key: value for key, value in flat.items() if key != "digest" and str(value) not in data_name.split("`")}
    said: list[str] = [f"{what}: WIDER FACE's rule (IoU 0.5, 1,000 score thresholds) on {data_name}"]
    images, faces = flat.pop("images", None), flat.pop("faces", None)
    if images is not None:
        said[0] += f", {images:,} images" + (f" with {faces:,} faces" if faces is not None else "")
    if "eval_side" in flat:
        side = flat.pop("eval_side")
        said.append(f"longest side {side} pixels" if side else "at their original size")
    if "score_threshold" in flat:
        said.append(f"score above {flat.pop('score_threshold')}")
    if "nms_iou" in flat:
        said.append(f"NMS at IoU {flat.pop('nms_iou')}")
    if "max_candidates" in flat and "max_detections" in flat:
        candidates, boxes = flat.pop("max_candidates"), flat.pop("max_detections")
        said.append(f"at most {candidates:,} candidates and {boxes:,} boxes per image")
    if "pad_multiple" in flat:
        multiple = flat.pop("pad_multiple")
        said.append(f"padded to a multiple of {multiple}" if multiple > 1 else "no padding")
    if "version" in flat:
        said.append(f"protocol version {flat.pop('version')}")
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
