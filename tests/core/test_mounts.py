from pathlib import Path

import pytest

from harness.core import mounts

LIST = rb"""/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
//server/share /mnt/m\303\274ller\040and\040son cifs rw 0 0
/dev/vdb /home/scratch ext4 rw 0 0
proc /proc proc rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/runs", None),
        ("/home/me/runs/study.db", "nfs4"),
        ("/home/scratch/runs", None),
        ("/homes/me", None),
        ("/mnt/müller and son/runs", "cifs"),
    ],
)
def test_the_deepest_mount_decides(
    path: str, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_bytes(LIST)
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mounts")
    assert mounts.network_file_system(Path(path)) == kind


def test_without_a_list_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "none")
    assert mounts.network_file_system(Path("/home")) is None
