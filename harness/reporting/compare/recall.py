"""Recall by face size and other attributes, as tables and sentences."""

from collections.abc import Callable, Iterator, Mapping
from statistics import fmean

import numpy as np
import pandas as pd

from harness.data.truth import Mask
from harness.evaluation.attributes import FALSE_ALARMS, recall
from harness.reporting.compare.data import REFERENCE, TEACHER, Comparison, Group
from harness.reporting.format import percent, points

CLOSELY = ("size", "blur", "occlusion")
"""Attributes in sentences and pictures; the table has all of them."""

RECALL_NOTE = (
    "Recall: share of the faces on the hard list, which includes the other lists, that a network finds (IoU 0.5 or "
    f"more) at the lowest score threshold with at most {FALSE_ALARMS:g} false positive per image; mean over seeds. "
    "Sizes are face heights in the original image."
)


def group_recall(group: Group, faces: Mask) -> float:
    """Return the share of ``faces`` (F,) that a group finds, the mean over its seeds."""
    return fmean(recall(member.found, faces) for member in group.members)


def recalls(found: Comparison) -> pd.DataFrame:
    """Return one row per attribute value: attribute, value, number of faces, and every group's recall."""
    return _rows(found, lambda mask: {group.name: group_recall(group, mask) for group in found.groups})


def recall_table(found: Comparison) -> pd.DataFrame:
    """Return ``recalls`` as text, in %."""
    return _text(recalls(found))


def shared_table(student: Group, teacher: Group, found: Comparison) -> pd.DataFrame:
    """Return, per attribute value, the shares of faces that both, only one or neither of the two find, as text in %."""
    return _text(_rows(found, lambda mask: _shared(student, teacher, mask)))


def _rows(found: Comparison, shares: Callable[[Mask], Mapping[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"attribute": attribute, "value": value, "faces": int(mask.sum()), **shares(mask)}
            for attribute, values in found.faces.items()
            for value, mask in values.items()
        ]
    )


def _text(frame: pd.DataFrame) -> pd.DataFrame:
    text = pd.DataFrame({"faces": frame["attribute"] + ": " + frame["value"]})
    text["number"] = frame["faces"].map("{:,}".format)
    for column in frame.columns[3:]:
        text[column] = frame[column].map(percent)
    return text


def _shared(student: Group, teacher: Group, faces: Mask) -> dict[str, float]:
    """Return shares of ``faces`` (F,), means over all pairs of a student's and a teacher's training."""
    ours = np.array([member.found[faces] for member in student.members])[:, None]
    theirs = np.array([member.found[faces] for member in teacher.members])[None]
    return {
        "both": float((ours & theirs).mean()),
        "teacher only": float((~ours & theirs).mean()),
        "student only": float((ours & ~theirs).mean()),
        "neither": float((~ours & ~theirs).mean()),
    }


def recall_findings(found: Comparison) -> list[str]:
    """Return which faces the teachers miss, where students are behind the teacher, and where a teacher helps most."""
    said = [_missed(teacher, found) for teacher in found.of_kind(TEACHER)]
    said += [_lost(group, teacher, found) for group in found.groups for teacher in found.teachers_of(group)]
    return [*said, *_helped(found)]


def _listed(found: Comparison) -> Mask:
    """Return the mask of the faces on the hard list: the union of all sizes."""
    listed: Mask = np.logical_or.reduce(list(found.faces["size"].values()))
    return listed


def _missed(teacher: Group, found: Comparison) -> str:
    every = _listed(found)
    missed = {v: (1 - group_recall(teacher, mask)) * mask.sum() for v, mask in found.faces["size"].items()}
    total = sum(missed.values())
    text = f"The teacher {teacher.name} misses {total:,.0f} of {every.sum():,} faces"
    if not total:
        return f"{text}."
    most = max(missed, key=lambda value: missed[value])
    kinds = {f"{a}: {v}": group_recall(teacher, mask) for a, of in found.faces.items() for v, mask in of.items()}
    least = min(kinds, key=lambda kind: kinds[kind])
    return (
        f"{text} ({percent(total / every.sum())} %); {percent(missed[most] / total)} % of these have size {most}. Its "
        f"recall is lowest on {least} ({percent(kinds[least])} %)."
    )


def _lost(student: Group, teacher: Group, found: Comparison) -> str:
    every = _listed(found)
    shares = _shared(student, teacher, every)
    lost, won = (round(shares[side] * every.sum()) for side in ("teacher only", "student only"))
    drops = []
    for attribute in (name for name in CLOSELY if name in found.faces):
        gaps = _gaps(student, teacher, found.faces[attribute])
        worst = min(gaps, key=lambda value: gaps[value])
        drops.append(f"{attribute}: {worst} ({points(gaps[worst])} points)")
    return (
        f"{student.name} misses {lost:,} faces that {teacher.name} finds, and finds {won:,} that {teacher.name} "
        f"misses. Its recall is furthest behind on {', '.join(drops)}."
    )


def _helped(found: Comparison) -> Iterator[str]:
    for pair in found.pairs:
        one, other = pair.one, pair.other
        if one.kind == other.kind == REFERENCE and not other.taught_by:
            gains = _gaps(one, other, found.faces["size"])
            most, least = (pick(gains, key=lambda value: gains[value]) for pick in (max, min))
            yield (
                f"Against {other.name}, the recall of {one.name} changes by {points(gains[most])} points on size "
                f"{most}, where it does best, to {points(gains[least])} on {least}, where it does worst."
            )


def _gaps(one: Group, other: Group, values: Mapping[str, Mask]) -> dict[str, float]:
    """Return value → recall of ``one`` less that of ``other``."""
    return {value: group_recall(one, mask) - group_recall(other, mask) for value, mask in values.items()}
