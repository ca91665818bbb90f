"""Unpacks zip archives safely: nothing is written outside the folder, and the folder is either complete or absent."""

import errno
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from harness.data.decode import Progress
from harness.errors import HarnessError, first_line

MOST_GROWTH = 20
"""An archive that unpacks to more than this many times its size is refused as a zip bomb: images hardly compress."""

_NO_NAME = (None, errno.EINVAL, errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
"""Error numbers of a name that no file can have, and of damage: None of a stream, EINVAL of a place before it."""


def unpack(path: Path, folder: str, into: Path, progress: Progress | None = None) -> int:
    """Unpack ``folder`` of the archive ``path`` to ``into/folder`` and return its number of files.

    Files are written to a temporary folder beside the archive, which is renamed at the end. Other folders of the
    archive (such as the ``__MACOSX`` that macOS adds) are left out.

    Raises:
        HarnessError: the archive is damaged, has no such folder, holds a link or a path outside itself, or unpacks to
            too many bytes. No unpacked file remains.
        OSError: a file cannot be written.
    """
    scratch = path.with_suffix(".unpacking")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            _require_safe(archive, path)
            members = [
                member
                for member in archive.infolist()
                if member.filename.startswith(f"{folder}/") and not member.is_dir()
            ]
            if not members:
                raise HarnessError(f"{path.name} has no folder {folder}/")
            for done, member in enumerate(members, start=1):
                place = scratch / member.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, place.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
                if progress is not None:
                    progress(f"unpacking {path.name}", done, len(members))
        (scratch / folder).rename(into / folder)
    except HarnessError:
        raise
    except Exception as error:  # What a damaged archive makes zipfile raise is not documented.
        if isinstance(error, OSError) and error.errno not in _NO_NAME:
            raise
        raise HarnessError(f"{path.name} is damaged: {first_line(error)}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return len(members)


def _require_safe(archive: zipfile.ZipFile, path: Path) -> None:
    for member in archive.infolist():
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts or not name.parts or "\\" in member.filename:
            raise HarnessError(f"{path.name} is refused: it names {member.filename!r}, outside its own folder")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise HarnessError(f"{path.name} is refused: {member.filename!r} is a link")
    # zipfile never reads more of a member than this size, so the sum bounds the bytes that are written.
    grown = sum(member.file_size for member in archive.infolist())
    most = MOST_GROWTH * path.stat().st_size
    if grown > most:
        raise HarnessError(f"{path.name} is refused: it unpacks to {grown:,} bytes, more than {most:,}")
