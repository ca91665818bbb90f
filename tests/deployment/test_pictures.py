"""Pictures of every kind, written by Pillow or by hand, against Pillow's own decoding."""

import os
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from harness.deployment.pictures import UnreadableError, read_picture

WIDTH, HEIGHT = 48, 32


def sample() -> Image.Image:
    """Return a smooth RGB picture, different in every corner: lossy formats keep it."""
    x, y = np.meshgrid(np.linspace(0, 255, WIDTH), np.linspace(0, 255, HEIGHT))
    return Image.fromarray(np.stack((x, y, 255 - x), -1).astype(np.uint8))


def bgr(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))[:, :, ::-1].astype(int)


def write(path: Path, image: Image.Image, kind: str, **options: Any) -> Path:
    image.save(path, kind, **options)
    return path


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image


def close(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    return found.shape == wanted.shape and found.dtype == np.uint8 and np.abs(found - wanted).max() <= tolerance


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 12),
        ("JPEG", {"quality": 95, "progressive": True}, 12),
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("PPM", {}, 0),
    ],
)
def test_colours_are_those_of_another_decoder(
    tmp_path: Path, kind: str, options: dict[str, Any], tolerance: int
) -> None:
    path = write(tmp_path / "picture", sample(), kind, **options)
    assert close(read_picture(path), bgr(opened(path)), tolerance)


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_and_palettes_become_colours(tmp_path: Path, mode: str) -> None:
    path = write(tmp_path / "picture.png", sample().convert(mode), "PNG")
    assert close(read_picture(path), bgr(opened(path)), 0)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "picture", sample().convert("CMYK"), kind)
    assert close(read_picture(path), bgr(sample()), 16)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write(tmp_path / "picture", sample(), kind, exif=exif, quality=95)
    upright = ImageOps.exif_transpose(opened(path))
    assert upright is not None
    assert close(read_picture(path), bgr(upright), 12)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    image = sample().convert("RGBA")
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:10], alpha[10:20] = 0, 128
    image.putalpha(Image.fromarray(alpha))
    path = write(tmp_path / "picture.png", image, "PNG")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    assert close(read_picture(path), bgr(Image.alpha_composite(white, image)), 1)
    grey = write(tmp_path / "grey.png", image.convert("LA"), "PNG")
    assert (read_picture(grey)[:10] == 255).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_become_eight(tmp_path: Path, suffix: str) -> None:
    wanted = np.ascontiguousarray(bgr(sample()).astype(np.uint8))
    assert cv2.imwrite(str(tmp_path / f"deep{suffix}"), wanted.astype(np.uint16) * 257)
    assert close(read_picture(tmp_path / f"deep{suffix}"), wanted.astype(int), 1)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_picture_of_several_is_read(tmp_path: Path, kind: str) -> None:
    frames = [sample(), ImageOps.mirror(sample())]
    options = {"lossless": True} if kind == "WEBP" else {}
    path = write(tmp_path / "picture", frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert close(read_picture(path), bgr(opened(path)), 2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_refused_by_kind(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / "picture", Image.fromarray(noise), kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    name = {"WEBP": "WebP"}.get(kind, kind)
    with pytest.raises(UnreadableError, match=f"truncated {name} file"):
        read_picture(path)


def bmp(width: int, height: int) -> bytes:
    """Return a BMP file of grey pixels, written by hand."""
    row = b"\x80" * (-(-3 * width // 4) * 4)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(row) * height, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(row) * height, 0, 0, 54) + header + row * height


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (1, 300)])
def test_tiny_and_thin_pictures_are_read(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "tiny.bmp").write_bytes(bmp(width, height))
    found = read_picture(tmp_path / "tiny.bmp")
    assert found.shape == (height, width, 3)
    assert (found == 0x80).all()


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").touch()
    for name, told in (("text.jpg", "no image"), ("empty.png", "is empty"), ("absent.png", "does not exist")):
        with pytest.raises(UnreadableError, match=told):
            read_picture(tmp_path / name)
    with pytest.raises(UnreadableError, match="cannot be read"):
        read_picture(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableError, match="is not a regular file"):
        read_picture(tmp_path / "pipe.png")


def test_a_size_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "huge.bmp").write_bytes(bmp(1, 1).replace(struct.pack("<ii", 1, 1), struct.pack("<ii", 10**6, 10**6)))
    with pytest.raises(UnreadableError, match="BMP"):
        read_picture(tmp_path / "huge.bmp")


def test_messages_of_the_decoder_are_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "picture.tif", sample(), "TIFF")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UnreadableError):
        read_picture(path)
    assert capfd.readouterr().err == ""


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "picture.jpg")
    with pytest.raises(UnreadableError, match="is not a regular file"):
        read_picture(tmp_path / "picture.jpg")


def test_transparency_is_blended_in_all_rows(tmp_path: Path) -> None:
    image = np.zeros((600, 2, 4), dtype=np.uint8)
    image[300:, :, 3] = 255
    assert cv2.imwrite(str(tmp_path / "a.png"), image)
    shown = read_picture(tmp_path / "a.png")
    assert (shown[:300] == 255).all()
    assert (shown[300:] == 0).all()
