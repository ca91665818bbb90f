"""``Shelf``: sequences of tensors on disk that several trainings need, computed once and read back bit by bit.

All trainings of a study see the same batches, and the same teacher's outputs for them. The first training writes them
as it computes them; the others read.
"""

import os
import shutil
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

Tensors = dict[str, Tensor]

LIMIT = 4 * 2**30
"""Largest number of bytes of all sequences in a cache folder."""

_CHECKSUM = "crc32"
"""Key of a file's header. Checking takes 0.3 ms per MB, of steps that take hundreds."""

_UNUSED = 3_600.0
"""Seconds without use after which a sequence may be removed to make room."""


class Shelf:
    """The sequences of one kind: for every epoch one item per step.

    Args:
        folder: folder of all shelves.
        name: what decides the tensors, as a file name.
        limit: largest number of bytes below ``folder``. Where a sequence would pass it and no unused one can be
            removed, the sequence is computed and not kept.
    """

    def __init__(self, folder: Path, name: str, limit: int = LIMIT) -> None:
        self._folder, self._limit = folder / name, limit

    def epoch(self, number: int, steps: int) -> "Sequence":
        """Return the sequence of an epoch, from 1, with ``steps`` items."""
        return Sequence(self._folder / f"{number:04d}", steps, self._room)

    def _room(self, needed: int) -> bool:
        """Return whether ``needed`` bytes may be written, after removing unused sequences if that is necessary."""
        shelves = self._folder.parent
        shelves.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(shelves).free < 2 * needed or needed > self._limit:
            return False
        others = [path for path in shelves.iterdir() if path != self._folder]
        unused = sorted((last, path) for path in others if (last := _last_use(path)) is not None)
        used = _bytes(shelves)
        for last, path in unused:
            if used + needed <= self._limit or time.time() - last < _UNUSED:
                break
            used -= _bytes(path)
            shutil.rmtree(path, ignore_errors=True)
        return used + needed <= self._limit


class Sequence:
    """One epoch's items. They must be asked for in order, each once, and are kept where that begins with the first.

    Attributes:
        complete: whether all items are on disk; then nothing is computed.
    """

    def __init__(self, folder: Path, steps: int, room: Callable[[int], bool]) -> None:
        self._folder, self._steps, self._room = folder, steps, room
        self._partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        self._keeps = False
        self.complete = folder.is_dir()
        if self.complete:
            with suppress(OSError):
                os.utime(folder.parent)  # It is in use, and must not be removed.

    def item(self, index: int, make: Callable[[], Tensors]) -> Tensors:
        """Return the item of a step, from 0, read or made by ``make``; what cannot be written is not kept."""
        name = f"{index:05d}.safetensors"
        if self.complete:
            with suppress(OSError, SafetensorError):  # Another process may have removed it.
                return _load(self._folder / name)
        made = {key: value.contiguous() for key, value in make().items()}
        if not self.complete:
            self._keep(index, name, made)
        return made

    def _keep(self, index: int, name: str, made: Tensors) -> None:
        if index == 0:
            size = sum(value.numel() * value.element_size() for value in made.values())
            self._keeps = self._room(size * self._steps)
            for leftover in self._folder.parent.glob(f"{self._folder.name}.*.partial"):
                if not psutil.pid_exists(int(leftover.name.split(".")[-2])):  # It was killed.
                    shutil.rmtree(leftover, ignore_errors=True)
        if not self._keeps:
            return
        try:
            if index == 0:
                shutil.rmtree(self._partial, ignore_errors=True)
                self._partial.mkdir(parents=True)
            safetensors.torch.save_file(made, self._partial / name, {_CHECKSUM: _checksum(made)})
            if index == self._steps - 1:
                self._partial.replace(self._folder)
        except (OSError, SafetensorError):  # The disk is full, the folder was removed, or another process was faster.
            self._keeps = False
        if not self._keeps or index == self._steps - 1:
            shutil.rmtree(self._partial, ignore_errors=True)


def _load(path: Path) -> Tensors:
    """Return the tensors in a file; a damaged one is no such file."""
    with safe_open(path, framework="pt") as file:
        wanted = (file.metadata() or {}).get(_CHECKSUM)
    tensors = safetensors.torch.load_file(path)
    if wanted is not None and wanted != _checksum(tensors):
        raise SafetensorError(f"{path} is damaged")
    return tensors


def _checksum(tensors: Tensors) -> str:
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def _last_use(folder: Path) -> float | None:
    """Return when a shelf was last used; None if another process has removed it."""
    with suppress(OSError):
        return folder.stat().st_mtime
    return None


def _bytes(folder: Path) -> int:
    """Return the size of a folder's files, without those that other processes move away meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):  # Unlike Path.rglob, it skips folders that are gone.
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size  # noqa: PTH116, PTH118
    return total
