"""Prediction files, archives of them, and files of detections."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.data.truth import MOST_PIXELS, image_id
from harness.errors import DataError
from harness.evaluation.predictions import (
    MOST_BYTES,
    load_detections,
    load_predictions,
    parse_predictions,
    save_detections,
)
from tests.fuzz.damage import TOKENS, Damaged, damaged_bytes, damaged_text, edited_bytes, edited_text
from tests.fuzz.npz import Repacked, damaged_npz, edited_npz
from tests.fuzz.parser import Parser
from tests.fuzz.seeds import written

IDS = ["0--Parade/v", "1--Handshaking/w"]
ROWS = [np.array([[4, 6, 24, 30, 0.9], [40.5, 40, 48, 48.25, 0.125]]), np.zeros((0, 5))]
TEXTS = {"two": "v.jpg\n2\n4 6 20 24 0.9\n40.5 40 7.5 8.25 0.125\n", "none": "w\n0\n", "bare": "w\n0"}

_NAMES = (
    *(f"{name}.txt" for name in IDS),
    "v.txt",
    "../../x.txt",
    "/etc/0--Parade/v.txt",
    "./0--Parade/v.txt",
    "x",
    "",
)
_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
_MODES = ("w", "w:gz", "w:bz2", "w:xz")


def _text(damaged: Damaged, _: Path) -> None:
    text = edited_text(TEXTS, damaged).decode("utf-8", "replace")
    rows = parse_predictions(text, "event/name.txt")
    assert rows.shape == (int(text.split("\n")[1]), 5)
    assert (np.abs(rows) <= 2 * MOST_PIXELS).all()


@st.composite
def _archives(draw: st.DrawFn) -> Any:
    """Draw the members of an archive, how it is packed, and what happens to its bytes."""
    member = st.tuples(
        st.sampled_from(_NAMES) | st.sampled_from(TOKENS) | st.text(max_size=20),
        st.sampled_from(list(TEXTS.values())) | st.text(max_size=20),
        st.sampled_from(_TYPES),
        st.sampled_from([0, 0, 0, 1, -1, 512, MOST_BYTES, 2**40]),
    )
    good = [(f"r/{name}.txt", TEXTS["two"], tarfile.REGTYPE, 0) for name in IDS]
    members = draw(st.permutations([*draw(st.sampled_from([good, good[:1], []])), *draw(st.lists(member, max_size=3))]))
    return members, draw(st.sampled_from(_MODES)), draw(damaged_bytes(["archive"], most=2))


def _packed(members: Any, mode: str) -> bytes:
    """Return a tar archive; a member's stated size differs from its real one by what was drawn."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode, format=tarfile.GNU_FORMAT) as archive:  # type: ignore[call-overload]
        for name, text, kind, more in members:
            data = text.encode("utf-8", "replace")
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, "0--Parade/v.txt", max(0, len(data) + more)
            archive.addfile(info)
            archive.fileobj.write(data.ljust(-(-len(data) // 512) * 512, b"\0"))
    return content.getvalue()


def _archive(drawn: Any, folder: Path) -> None:
    members, mode, damaged = drawn
    path = folder / "results.tar"
    try:
        packed = _packed(members, mode)
    except (ValueError, UnicodeError):
        return  # No archive can hold this member.
    path.write_bytes(edited_bytes({"archive": packed}, damaged))
    found = load_predictions(path, IDS)
    assert [rows.shape[1] for rows in found] == [5, 5]


def _folder(drawn: tuple[list[str], Damaged], folder: Path) -> None:
    """Names of images come from a list; whatever they are, files are read and written below the folder only."""
    lines, damaged = drawn
    ids = [image_id(line) for line in lines]
    content = edited_text(TEXTS, damaged)
    for name in ids:
        path = folder / "results" / f"{name}.txt"
        if path.resolve().is_relative_to(folder / "results"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    load_predictions(folder / "results", ids)


DETECTIONS: dict[str, bytes] = {}


def _detection_inputs() -> SearchStrategy[Any]:
    rows = [np.arange(30, dtype=np.float32).reshape(2, 15), np.zeros((0, 15), dtype=np.float32)]
    DETECTIONS.update(written(lambda folder: save_detections(folder / "predictions.npz", IDS, rows)))
    return damaged_bytes(list(DETECTIONS)) | damaged_npz(DETECTIONS)


def _detections(drawn: Any, folder: Path) -> None:
    path = folder / "predictions.npz"
    path.write_bytes(edited_bytes(DETECTIONS, drawn) if isinstance(drawn, Damaged) else edited_npz(DETECTIONS, drawn))
    ids, found = load_detections(path)
    assert len(ids) == len(found)
    assert all(rows.shape[1] == 15 and rows.dtype == np.float32 for rows in found)


_FAILED = tuple(
    Repacked("predictions.npz", Damaged("detections.npy", (edit,))) for edit in (("flip", 0, 0), ("flip", 25, 2))
)
PARSERS = (
    Parser("prediction files", lambda: damaged_text(list(TEXTS)), _text, 12_000, refusals=(DataError,)),
    Parser("prediction archives (tar)", _archives, _archive, 6_000, refusals=(DataError,)),
    Parser("detections (.npz)", _detection_inputs, _detections, 6_000, refusals=(DataError,), examples=_FAILED),
)
