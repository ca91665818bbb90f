"""Files: written so that a reader sees either the old or the new content, and read only where that ends."""

import errno
import os
import stat
from pathlib import Path

RUNS = Path("runs")
"""The folder of studies, teachers and caches, in the current folder, unless another is named."""

REPORTS = Path("reports")
"""The folder of published reports, in the current folder."""

BEST = "best.safetensors"
"""File of the best student's weights in the folder of a published report."""


def write_atomically(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write ``content`` to a temporary file beside ``path``, then rename it to ``path``; both survive a power cut.

    Args:
        path: the file.
        content: its whole content.
        private: only this user may read the file.

    Raises:
        OSError: the disk is full or not writable; an earlier file at ``path`` is unchanged.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    mode = 0o600 if private else 0o666  # The system removes what its umask forbids.
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut: syncing a file keeps its content, and not its name.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Some network file systems cannot sync a folder.
            raise
    finally:
        os.close(descriptor)


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file.

    Reading a pipe may never return, and a device such as ``/dev/zero`` has no end.

    Args:
        path: the file, or a link to it.
        most: largest number of bytes.

    Raises:
        OSError: the file is missing, unreadable, too large, or not a regular file; ``strerror`` says which.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, "its name holds a NUL character") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"has {found.st_size:,} bytes, more than {most:,}", str(path))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(most)
    finally:
        os.close(descriptor)
