"""Downloads the official WIDER FACE archives from the Hugging Face hub.

WIDER FACE (Yang, Luo, Loy, Tang: "WIDER FACE: A Face Detection Benchmark", CVPR 2016, arXiv 1511.06523) may be used for
research only: its authors' hub page states CC BY-NC-ND 4.0. This project contains no part of it.
"""

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.data.decode import Progress
from harness.data.unpack import unpack
from harness.errors import HarnessError, InputError, first_line

REPOSITORY = "CUHK-CSE/wider_face"
"""The authors' dataset repository on the hub; ``wider_face`` redirects to it."""

QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_VERBOSITY": "error"}
"""Environment variables that huggingface_hub reads when it is imported: no progress bar of its own, and no warnings
about retries."""

ANSWER_SECONDS = 10
"""Timeout for the hub's first response, seconds."""

RESUMES = "the same command resumes the download"


@dataclass(frozen=True)
class Archive:
    """The file ``data/FOLDER.zip`` of the repository, which unpacks to ``folder``; ``size`` is in bytes."""

    folder: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The archive's file name."""
        return f"{self.folder}.zip"


ARCHIVES = (
    Archive("wider_face_split", 3_591_642, "c7561e4f5e7a118c249e0a5c5c902b0de90bbf120d7da9fa28d99041f68a8a5c"),
    Archive("WIDER_train", 1_465_602_149, "e23b76129c825cafae8be944f65310b2e1ba1c76885afe732f179c41e5ed6d59"),
    Archive("WIDER_val", 362_752_168, "f9efbd09f28c5d2d884be8c0eaef3967158c866a593fc36ab0413e4b2a58a17a"),
)
"""The archives, with the sizes and digests that the repository states. The test images are left out, because their
labels are not public."""


def fetch_widerface(root: Path, progress: Progress | None = None) -> dict[str, int]:
    """Download the folders of WIDER FACE that are missing in ``root``; return folder → number of files for these.

    Existing folders are left unchanged. Archives are kept in ``root/.download`` until they are unpacked, so an
    interrupted download resumes. The environment variable ``HF_ENDPOINT`` names another hub, such as a mirror.

    Args:
        root: target folder of ``WIDER_train/``, ``WIDER_val/`` and ``wider_face_split/``.
        progress: called with (what, done, total), counted in bytes or files.

    Raises:
        InputError: ``root`` cannot be written, or a file exists where a folder is needed.
        HarnessError: there is no network or too little disk space, another download into ``root`` is running, or an
            archive is not the official one.
    """
    wanted = [archive for archive in ARCHIVES if not (root / archive.folder).is_dir()]
    if not wanted:
        return {}
    partials = root / ".download"
    try:
        partials.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{partials} cannot be created ({error.strerror}); give a writable folder") from error
    for archive in wanted:
        if (root / archive.folder).exists():
            raise InputError(f"{root / archive.folder} is a file, but must become a folder: move it away")
    fetched = {}
    with _locked(partials):
        _require_space(partials, wanted)
        for archive in wanted:
            path = partials / archive.name
            _fetch(archive, path, progress)
            try:
                fetched[archive.folder] = unpack(path, archive.folder, root, progress)
            except HarnessError:
                path.unlink()
                raise
            path.unlink()
        shutil.rmtree(partials)
    return fetched


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        held = FileLock(folder / "lock").acquire(blocking=False)
    except Timeout as error:
        raise HarnessError(f"another download into {folder.parent} is running: wait for it to end") from error
    with held:
        yield


def _require_space(partials: Path, wanted: list[Archive]) -> None:
    """Raise an error without disk space for the archives and for the unpacked folders, which are about as large."""
    paths = [partials / archive.name for archive in wanted]
    there = sum(path.stat().st_size for path in paths if path.exists())
    need = 2 * sum(archive.size for archive in wanted) - there
    free = shutil.disk_usage(partials).free
    if free < need:
        raise HarnessError(
            f"{partials.parent} has {free / 1e9:.1f} GB free, but {need / 1e9:.1f} GB are needed: free some space; "
            f"{RESUMES}"
        )


def _fetch(archive: Archive, path: Path, progress: Progress | None) -> None:
    """Download the archive to ``path``, resuming a partial file, and verify its digest."""
    if path.exists() and path.stat().st_size > archive.size:
        path.unlink()
    if not path.exists() or path.stat().st_size < archive.size:
        _transfer(archive, path, progress)
    found = _sha256(path, progress)
    if found != archive.sha256:
        path.unlink()
        raise HarnessError(
            f"{archive.name} is refused and removed: its sha256 is {found}, expected {archive.sha256}; "
            "the same command downloads it again"
        )


def _transfer(archive: Archive, path: Path, progress: Progress | None) -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import hf_raise_for_status, httpx

    url = hf_hub_url(REPOSITORY, f"data/{archive.name}", repo_type="dataset")
    try:
        # This request fails at once without a network, while http_get would retry several times.
        hf_raise_for_status(get_session().head(url, follow_redirects=False, timeout=ANSWER_SECONDS))
        # hf_hub_download does not resume the partial file of an earlier process.
        # No compression, because a server may ignore the range of a compressed response.
        with _Watched(path, archive, progress) as file:
            http_get(url, file, resume_size=file.tell(), headers={"Accept-Encoding": "identity"})
    except (httpx.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        done = path.stat().st_size if path.exists() else 0
        reason = first_line(error)
        raise HarnessError(f"{url}: {reason}; {done:,} of {archive.size:,} bytes are downloaded; {RESUMES}") from error


class _Watched(io.BufferedWriter):
    """An archive opened for appending, which reports its size to ``progress``."""

    def __init__(self, path: Path, archive: Archive, progress: Progress | None) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._archive = archive
        self._progress = progress
        self._report()

    def write(self, data: Any, /) -> int:
        """Append ``data``."""
        written = super().write(data)
        self._report()
        return written

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(f"downloading {self._archive.name}", self.tell(), self._archive.size)


def _sha256(path: Path, progress: Progress | None) -> str:
    found = hashlib.sha256()
    total = path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            found.update(block)
            if progress is not None:
                progress(f"verifying {path.name}", file.tell(), total)
    return found.hexdigest()
