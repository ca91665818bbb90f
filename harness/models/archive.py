"""Reads the files of ``torch.save``: no code in them is run, and damage is found by the checksums that they hold."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from harness.errors import DataError


def load_archive(path: Path, kind: str, device: torch.device | str = "cpu") -> Any:
    """Return what ``torch.save`` wrote, with its tensors on ``device``.

    PyTorch writes a CRC-32 of every tensor and does not check it when it reads.

    Raises:
        DataError: the file is missing, damaged, of another kind, or holds more than plain data and tensors. The message
            calls it ``kind``.
    """
    try:
        _require_sound(path)
        with warnings.catch_warnings():
            # The error below is one line; these warnings would add more.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location=device, weights_only=True)
    except DataError:
        raise
    except Exception as error:  # What a damaged file makes PyTorch raise is not documented.
        # PyTorch's own message may recommend to run the code in the file.
        raise DataError(
            f"{path} is not a readable {kind}: it is damaged, cut off, or no PyTorch file of plain tensors"
        ) from error


def _require_sound(path: Path) -> None:
    """Refuse a zip archive whose content does not match its checksums; a file of before PyTorch 1.6 is no archive."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.filename.endswith("/constants.pkl") for member in members):
            raise DataError(f"{path} is a TorchScript archive, which holds code: save the state dict of its network")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise DataError(f"{path} is compressed, which PyTorch never does: save the state dict again")
        damaged = archive.testzip()
    if damaged is not None:
        raise DataError(f"{path} is damaged: the checksum of {damaged} does not match")
