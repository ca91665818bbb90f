"""Archives of records: equal bytes for equal files, and nothing but plain files is read from them."""

import io
import lzma
import tarfile
from pathlib import Path

import pytest

from harness.errors import DataError, InputError
from harness.reporting.records import archive
from harness.reporting.records.archive import RECORDS, laid_out, packed, unpacked

FILES = {"s/study.json": b"{}", "s/trials/v1/record.json": b"{1}", "report.json": b"", f"s/{'x' * 150}.json": b"2"}


def test_equal_files_give_equal_bytes_and_come_back(tmp_path: Path) -> None:
    content = packed(FILES)
    assert content == packed(dict(reversed(FILES.items())))
    path = tmp_path / RECORDS
    path.write_bytes(content)
    assert unpacked(path) == FILES
    with laid_out(unpacked(path)) as runs:
        assert {str(p.relative_to(runs)): p.read_bytes() for p in runs.rglob("*") if p.is_file()} == FILES
    assert not runs.exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "a b", "-x", ".x", "", "a//b", "a\\b", "x" * 201, "ä"])
def test_strange_names_are_neither_packed_nor_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be packed"):
        packed({name: b""})
    _refused(tmp_path, "which is no file of its own", tarfile.TarInfo(name))


def _refused(tmp_path: Path, said: str, *members: tarfile.TarInfo) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for member in members:
            tar.addfile(member)
    path = tmp_path / RECORDS
    path.write_bytes(lzma.compress(plain.getvalue()))
    with pytest.raises(DataError, match=f"is damaged .*{said}"):
        unpacked(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_files_are_read(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("a")
    member.type, member.linkname = kind, "/etc/passwd"
    _refused(tmp_path, "which is no file of its own", member)


def test_a_name_is_one_file(tmp_path: Path) -> None:
    _refused(tmp_path, "which is no file of its own", tarfile.TarInfo("a"), tarfile.TarInfo("a"))
    _refused(tmp_path, "'a' as a file and as a folder", tarfile.TarInfo("a"), tarfile.TarInfo("a/b"))


def test_damage_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / RECORDS
    with pytest.raises(DataError, match=f"{RECORDS} is missing"):
        unpacked(path)
    content = packed(FILES)
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for damaged in (b"", b"x", content[:-1], content[:middle], content + b"x", flipped, lzma.compress(b"no archive")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged") as found:
            unpacked(path)
        assert "\n" not in str(found.value)
    path.write_bytes(content)
    monkeypatch.setattr(archive, "MOST_BYTES", 5_000)
    with pytest.raises(DataError, match="cut off, too large"):
        unpacked(path)
