"""Archives of the download."""

import io
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from harness.data.unpack import MOST_GROWTH, unpack
from tests.fuzz.damage import TOKENS, Damaged, damaged_bytes, edited_bytes
from tests.fuzz.parser import Parser

FOLDER = "WIDER_val"

_NAMES = (
    *(f"{FOLDER}/images/0--Parade/a.jpg", f"{FOLDER}/b.jpg", f"{FOLDER}/", FOLDER, f"{FOLDER}/../../x.jpg", "/etc/x"),
    *(f"{FOLDER}/images", f"{FOLDER}/images/../x", f"../{FOLDER}/x", f"{FOLDER}\\x", f"./{FOLDER}/x", "__MACOSX/x", ""),
)


@st.composite
def _zips(draw: st.DrawFn) -> Any:
    """Draw members, whether they are compressed, and what happens to the archive's bytes."""
    kinds = (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, 0)
    member = st.tuples(
        st.sampled_from(_NAMES) | st.sampled_from([f"{FOLDER}/{token}" for token in TOKENS]) | st.text(max_size=20),
        st.sampled_from([b"", b"/etc/passwd", b"\xff\xd8image\xff\xd9", bytes(500)]),
        st.sampled_from(kinds),
        st.sampled_from([0, 0, 0, 1, 8]),
    )
    packing = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    return draw(st.lists(member, max_size=4)), draw(packing), draw(damaged_bytes(["archive"], most=2))


def _zipped(members: Any, packing: int) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(content, "w", packing) as archive:
        warnings.simplefilter("ignore", UserWarning)  # Two members may have the same name.
        for name, data, kind, flags in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.flag_bits, info.compress_type = (kind | 0o644) << 16, flags, packing
            archive.writestr(info, data)
    return content.getvalue()


def _unpack(drawn: Any, folder: Path) -> None:
    members, packing, damaged = drawn
    path = folder / ".download" / "archive.zip"
    path.parent.mkdir()
    try:
        zipped = _zipped(members, packing)
    except (ValueError, UnicodeError):
        return  # No archive can hold this member.
    content = edited_bytes({"archive": zipped}, damaged)
    path.write_bytes(content)
    try:
        count = unpack(path, FOLDER, folder)
        found = [file for file in (folder / FOLDER).rglob("*") if file.is_file()]
        assert 0 < len(found) <= count
        assert sum(file.stat().st_size for file in found) <= MOST_GROWTH * len(content)
        assert not any(file.is_symlink() for file in (folder / FOLDER).rglob("*"))
    except BaseException:
        assert sorted(item.name for item in folder.iterdir()) == [".download"], "something of it stays"
        raise
    finally:
        assert [item.name for item in path.parent.iterdir()] == ["archive.zip"], "something of it stays"


_FAILED = (
    ([(FOLDER, b"", stat.S_IFREG, 0)], zipfile.ZIP_STORED, Damaged("archive", ())),
    (
        [(f"{FOLDER}/images/0--Parade/a.jpg", b"", stat.S_IFREG, 0), ("0", b"/etc/passwd", stat.S_IFREG, 0)],
        zipfile.ZIP_BZIP2,
        Damaged("archive", (("flip", 298, 1),)),
    ),
)
PARSERS = (Parser("archives (zip)", _zips, _unpack, 6_000, examples=_FAILED),)
