"""Videos that are written appear whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from harness.deployment.videos import Video, writing
from harness.errors import HarnessError

FRAME = np.full((32, 48, 3), 90, np.uint8)


def test_a_video_appears_once_it_is_whole(tmp_path: Path) -> None:
    with writing(tmp_path / "a.mp4", 4) as writer:
        assert writer is not None
        for _ in range(3):
            writer.add(FRAME)
        assert not (tmp_path / "a.mp4").exists()
    assert len(list(Video(tmp_path / "a.mp4"))) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def interrupted(path: Path) -> None:
    """Begin a video, and be interrupted."""
    with writing(path, 4) as writer:
        assert writer is not None
        writer.add(FRAME)
        raise KeyboardInterrupt


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("earlier")
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "earlier"


def test_without_a_frame_or_a_path_nothing_is_written(tmp_path: Path) -> None:
    with writing(tmp_path / "a.mp4", 4), writing(None, 4) as none:
        assert none is None
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"a\.partial\.mp4 cannot be written"):
        interrupted(tmp_path / "absent" / "a.mp4")
