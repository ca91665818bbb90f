"""Records of published reports: the archive, and the arrays in it."""

import io
import lzma
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.data.truth import GroundTruth
from harness.errors import DataError
from harness.evaluation.ap import match
from harness.evaluation.attributes import size_groups
from harness.evaluation.matched import FACES, MATCHES, load_faces, load_matches, packed_faces, packed_matches
from harness.evaluation.stats import resample_matches
from harness.reporting.records.archive import RECORDS, packed, unpacked
from tests.fuzz.damage import TOKENS, Damaged, damaged_bytes, edited_bytes
from tests.fuzz.npz import damaged_npz, edited_npz
from tests.fuzz.parser import Parser

_KINDS = (tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
_NAMES = ("s/study.json", "s/trials/v1/record.json", "report.json", "s", "../x", "/etc/x", "s/../../x", "a\\b", "", ".")


@st.composite
def _tars(draw: st.DrawFn) -> Any:
    """Draw members, and what happens to the bytes before and after they are compressed."""
    member = st.tuples(
        st.sampled_from(_NAMES) | st.sampled_from(TOKENS) | st.text(max_size=20),
        st.sampled_from([b"", b"{}", bytes(500)]),
        st.sampled_from(_KINDS),
    )
    damage = damaged_bytes(["archive"], most=2)
    return draw(st.lists(member, max_size=4)), draw(damage), draw(damage)


def _archive(drawn: Any, folder: Path) -> None:
    members, inside, outside = drawn
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            try:
                archive.addfile(member, io.BytesIO(content))
            except (ValueError, UnicodeError):
                return  # No archive can hold this member.
    content = lzma.compress(edited_bytes({"archive": plain.getvalue()}, inside), preset=0)
    path = folder / RECORDS
    path.write_bytes(edited_bytes({"archive": content}, outside))
    files = unpacked(path)
    path.write_bytes(packed(files))
    assert unpacked(path) == files, "what is read can be packed, and is the same again"


_BOXES = [np.array([[0, 0, 9, 9], [20, 0, 60, 60]], dtype=np.float64), np.zeros((0, 4)), np.array([[5.0, 5, 30, 30]])]
_TRUTH = GroundTruth(
    _BOXES,
    {name: [np.ones(len(b), dtype=np.bool_) for b in _BOXES] for name in ("easy", "medium", "hard")},
    ["a", "b", "c"],
)
_FOUND = [np.array([[0, 0, 9, 9, 0.9], [1, 1, 9, 9, 0.5], [70, 0, 80, 9, 0.1]]), np.zeros((0, 5)), np.zeros((0, 5))]
ARRAYS = {
    MATCHES: packed_matches(match(_FOUND, _TRUTH), _TRUTH.listed),
    FACES: packed_faces(_TRUTH.listed, size_groups(_TRUTH)),
}


def _inputs() -> SearchStrategy[Any]:
    return damaged_bytes(list(ARRAYS)) | damaged_npz(ARRAYS)


def _arrays(drawn: Any, folder: Path) -> None:
    path = folder / drawn.of
    path.write_bytes(edited_bytes(ARRAYS, drawn) if isinstance(drawn, Damaged) else edited_npz(ARRAYS, drawn))
    if drawn.of == MATCHES:
        assert resample_matches(load_matches(path, _TRUTH.listed), _TRUTH.listed, 2).ids == ("a", "b", "c")
        return
    listed, groups = load_faces(path)
    assert len(listed.ids) == len(listed.counts)
    assert all(len(mask) == listed.faces for values in groups.values() for mask in values.values())


PARSERS = (
    Parser("records (tar.xz)", _tars, _archive, 6_000, refusals=(DataError,)),
    Parser("matches and faces (.npz)", _inputs, _arrays, 6_000, refusals=(DataError,)),
)
