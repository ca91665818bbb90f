"""``records.tar.xz``: files of studies, packed so that equal files give equal bytes, and read without trust."""

import io
import lzma
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from harness.core.files import read_regular
from harness.errors import DataError, InputError, first_line

RECORDS = "records.tar.xz"

MOST_BYTES = 2**28
"""Most bytes of an archive, and of what it unpacks to: xz packs zeros to a thousandth of a percent."""

_NAME = re.compile(r"(?=.{1,200}$)(?:\w[\w.-]*/)*\w[\w.-]*", re.ASCII)
"""Names that lead to no folder above, and that every file system takes."""


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of ``files``, name → content; files of one kind follow each other, which packs best.

    Raises:
        InputError: a name has other characters than ASCII letters, digits, '_', '-' and '.'.
    """
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name in sorted(files, key=lambda name: (Path(name).name, name)):
            if not _NAME.fullmatch(name):
                raise InputError(f"{name} cannot be packed: a name has letters, digits, '_', '-' and '.' only")
            member = tarfile.TarInfo(name)  # Without time, user and rights of this machine.
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def unpacked(path: Path) -> dict[str, bytes]:
    """Return the files of an archive, name → content.

    Nothing is written, so that no name can lead out of a folder; what is no plain file with a plain name is refused.

    Raises:
        DataError: it is missing, damaged, too large, or holds something else than files.
    """
    files: dict[str, bytes] = {}
    try:
        plain = _decompressed(read_regular(path, MOST_BYTES))
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or not _NAME.fullmatch(member.name) or member.name in files:
                    raise ValueError(f"it holds {member.name!r}, which is no file of its own")
                files[member.name] = stream.read()
        folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
        if both := sorted(folders & files.keys()):
            raise ValueError(f"it holds {both[0]!r} as a file and as a folder")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (OSError, ValueError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
        raise DataError(f"{path} is damaged ({first_line(error)}): put the committed file back") from error
    return files


def _decompressed(content: bytes) -> bytes:
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    plain = unpacker.decompress(content, MOST_BYTES)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("it is cut off, too large, or followed by something else")
    return plain


@contextmanager
def laid_out(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Yield a temporary folder that holds the files of an archive, as ``runs/`` holds studies."""
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name)
        for file, content in files.items():
            (runs / file).parent.mkdir(parents=True, exist_ok=True)
            (runs / file).write_bytes(content)
        yield runs
