"""Label files and image lists of WIDER FACE, and its ground truth."""

import os
import signal
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy.io import savemat

from harness.data import mat_process
from harness.data.truth import LISTS, MATS, GroundTruth, load_ground_truth, load_ids
from harness.data.widerface import Annotations, Layout, read_annotations
from harness.errors import DataError
from tests.data.tiny_widerface import VAL, points, write_mats
from tests.fuzz.damage import Damaged, damaged_bytes, damaged_text, edited_bytes, edited_text
from tests.fuzz.parser import Parser
from tests.fuzz.seeds import written

RETINAFACE = {
    "label.txt": "\n".join(
        [
            "# 0--Parade/a.jpg",
            f"10 12 20 30 {points((10, 12, 20, 30))} 0.5",
            f"50 40 16 16 {' '.join(['-1.0 -1.0 -1.0'] * 5)} 0.5",
            "# 0--Parade/b.jpg",
            "# 1--Handshaking/c.png",
            "5 5 40 50",
            "",
        ]
    )
}
OFFICIAL = {
    "bbx_gt.txt": "\n".join(
        [
            *("0--Parade/a.jpg", "2", "10 12 20 30 0 0 0 0 0 0 ", "50 40 16 16 1 0 0 0 2 0 "),
            *("0--Parade/b.jpg", "0", "0 0 0 0 0 0 0 0 0 0 "),
            *("1--Handshaking/c.jpg", "1", "5 5 40 50", ""),
        ]
    )
}
LIST = {"wider_val.txt": "/0--Parade/v.jpg\n/1--Handshaking/w.jpg\n", "bare": "0--Parade/v\n# 1--Handshaking/w.jpg\n"}


def _labels(content: bytes, layout: str, split: str, folder: Path) -> Annotations:
    labels = folder / "labels.txt"
    labels.write_bytes(content)
    read = read_annotations(Layout(layout, labels, folder / "images"), split)
    for entry in read.entries:
        assert entry.path.is_relative_to(folder / "images")
        assert ".." not in entry.identity.split("/")
        assert np.isfinite(entry.boxes).all()
        assert (entry.boxes[:, 2:] > entry.boxes[:, :2]).all()
        assert entry.landmarks.shape == (len(entry.boxes), 10)
    read.require_sound()
    assert len({entry.identity for entry in read.entries}) == len(read.entries) > 0
    return read


def _retinaface(damaged: Damaged, folder: Path) -> None:
    _labels(edited_text(RETINAFACE, damaged), "retinaface", "train", folder)


def _official(damaged: Damaged, folder: Path) -> None:
    _labels(edited_text(OFFICIAL, damaged), "official", "train", folder)


def _list(damaged: Damaged, folder: Path) -> None:
    content = edited_text(LIST, damaged)
    path = folder / "list.txt"
    path.write_bytes(content)
    ids = load_ids(path)
    assert len(set(ids)) == len(ids) > 0
    _labels(content, "retinaface", "val", folder)


def _mats(compressed: bool) -> dict[str, bytes]:
    def made(folder: Path) -> None:
        write_mats(folder, VAL)
        if compressed:
            from scipy.io import loadmat

            for name in MATS:
                tables = {key: value for key, value in loadmat(folder / name).items() if not key.startswith("__")}
                savemat(folder / name, tables, do_compression=True)

    return written(made)


def _all_mats() -> dict[str, bytes]:
    plain, packed = _mats(False), _mats(True)
    return plain | {f"packed/{name}": content for name, content in packed.items()}


_seeds: dict[str, bytes] = {}


def _mat_inputs() -> Any:
    _seeds.update(_all_mats())
    return damaged_bytes(list(_seeds))


def forked(command: list[str], timeout: float, **_: object) -> CompletedProcess[bytes]:
    """Do what the process of ``harness.data.mat`` does in a fork of this one, which takes a hundredth of the time."""
    output, errors = Path("out").resolve(), Path("err").resolve()
    child = os.fork()
    if child == 0:
        signal.alarm(round(timeout))
        for path, stream in ((output, 1), (errors, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        sys.stdout, sys.stderr, sys.argv = os.fdopen(1, "w"), os.fdopen(2, "w"), command[2:]
        code = 1
        try:
            code = mat_process.main()
            sys.stdout.flush()
        finally:
            os._exit(code)
    try:
        status = os.waitpid(child, 0)[1]
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return CompletedProcess(command, os.waitstatus_to_exitcode(status), output.read_bytes(), errors.read_bytes())


def _truth(damaged: Damaged, folder: Path) -> GroundTruth:
    prefix = "packed/" if damaged.of.startswith("packed/") else ""
    for name in MATS:
        of = f"{prefix}{name}"
        (folder / name).write_bytes(edited_bytes(_seeds, damaged) if of == damaged.of else _seeds[of])
    truth = load_ground_truth(folder)
    assert set(truth.keep) == set(LISTS)
    assert all(np.isfinite(boxes).all() for boxes in truth.boxes)
    return truth


def _forked_truth(damaged: Damaged, folder: Path) -> None:
    before = Path.cwd()
    os.chdir(folder)
    try:
        with patch("harness.data.mat.subprocess.run", forked):
            _truth(damaged, folder)
    finally:
        os.chdir(before)


_TWICE = "\U0002fa1e"  # Not assigned by Unicode 15, and so not printable.
_FAILED = (Damaged("bare", (("token", 0, _TWICE), ("token", 254, _TWICE))),)

PARSERS = (
    Parser("labels, RetinaFace", lambda: damaged_text(list(RETINAFACE)), _retinaface, 12_000),
    Parser("labels, official", lambda: damaged_text(list(OFFICIAL)), _official, 12_000),
    Parser("image lists", lambda: damaged_text(list(LIST)), _list, 8_000, examples=_FAILED),
    Parser("ground truth (.mat)", _mat_inputs, _forked_truth, 3_000, few=20, refusals=(DataError,)),
)
