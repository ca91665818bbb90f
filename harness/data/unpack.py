"""Zip archives unpacked so that nothing lands outside their folder, and the folder is whole or not there."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from harness.data.decode import Progress
from harness.errors import HarnessError

MOST_GROWTH = 20
"""How many times its own size an archive may unpack to: photographs and labels stay far below, a bomb far above."""


def unpack(path: Path, folder: str, into: Path, progress: Progress | None = None) -> int:
    """Unpack ``folder`` of the archive ``path`` as ``into/folder`` and return how many files it has.

    Everything is written beside the archive first and renamed at the end. What else the archive holds (the
    ``__MACOSX`` of one packed on a Mac) is left out.

    Raises:
        HarnessError: the archive is damaged, names a place outside itself, holds a link, grows beyond reason or has no
            such folder. Nothing is left of it but the archive.
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
                if PurePosixPath(member.filename).parts[0] == folder and not member.is_dir()
            ]
            if not members:
                raise HarnessError(f"{path.name} holds no {folder}/")
            for done, member in enumerate(members, start=1):
                place = scratch / member.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, place.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
                if progress is not None:
                    progress(f"unpacking {path.name}", done, len(members))
        (scratch / folder).rename(into / folder)
    except zipfile.BadZipFile as error:
        raise HarnessError(f"{path.name} is damaged: {error}") from error
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
    # zipfile reads no more of a member than it says here, so the sum holds for what is written.
    grown = sum(member.file_size for member in archive.infolist())
    most = MOST_GROWTH * path.stat().st_size
    if grown > most:
        raise HarnessError(f"{path.name} is refused: it unpacks to {grown:,} bytes, more than {most:,}")
