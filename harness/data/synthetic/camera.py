"""The effects of a camera: defocus, shake, exposure, colour cast, sensor noise, low resolution, JPEG."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.tiles import Array, chance, log_uniform, vector


@dataclass(frozen=True)
class Camera:
    """One exposure.

    Attributes:
        defocus: standard deviation of the blur of the whole picture, pixels.
        shake: length of the motion blur, pixels.
        shake_angle: direction of the motion blur, radians.
        gain, gamma, contrast: exposure.
        cast: factor for each of B, G, R.
        vignette: share of light lost in the corners.
        sensor: standard deviation of the noise, on a scale of [0, 1].
        coarse: whether the noise is wider than a pixel.
        shrink: factor by which the picture is reduced and enlarged again; 1 for none.
        jpeg: JPEG quality; 0 for lossless.
    """

    defocus: float
    shake: float
    shake_angle: float
    gain: float
    gamma: float
    contrast: float
    cast: tuple[float, float, float]
    vignette: float
    sensor: float
    coarse: bool
    shrink: float
    jpeg: int

    @property
    def blur(self) -> float:
        """Standard deviation of all blur of the whole picture together, pixels."""
        enlarged = 0.4 * self.shrink if self.shrink > 1 else 0.0
        return float(np.sqrt(self.defocus**2 + self.shake**2 / 12 + enlarged**2))


def sample_camera(rng: np.random.Generator) -> Camera:
    """Return a random camera, mostly with small defects."""
    dark = chance(rng, 0.11)
    cast = np.clip(rng.normal(1, 0.07, 3), 0.75, 1.25)
    return Camera(
        defocus=float(rng.uniform(0.6, 1.6)) if chance(rng, 0.09) else float(rng.uniform(0.25, 0.5)),
        shake=float(rng.uniform(2, 6)) if chance(rng, 0.07) else 0.0,
        shake_angle=float(rng.uniform(0, np.pi)),
        gain=float(rng.uniform(0.4, 0.7)) if dark else float(np.exp(rng.normal(0, 0.18))),
        gamma=float(np.exp(rng.normal(0, 0.15))),
        contrast=float(rng.uniform(0.35, 0.7)) if not dark and chance(rng, 0.11) else float(rng.uniform(0.85, 1.2)),
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        vignette=float(rng.uniform(0, 0.4)),
        sensor=log_uniform(rng, 0.015, 0.06) if dark else log_uniform(rng, 0.003, 0.04),
        coarse=chance(rng, 0.4),
        shrink=float(rng.uniform(1.2, 2.0)) if chance(rng, 0.06) else 1.0,
        jpeg=int(log_uniform(rng, 18, 96)) if chance(rng, 0.8) else 0,
    )


def expose(picture: Array, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the (S, S, 3) uint8 image that ``camera`` takes of ``picture`` (float, [0, 1])."""
    side = picture.shape[0]
    image: Array = picture
    if camera.defocus > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), camera.defocus)
    if camera.shake > 0:
        image = cv2.filter2D(image, -1, _streak(camera.shake, camera.shake_angle))
    if camera.shrink > 1:
        small = cv2.resize(image, None, fx=1 / camera.shrink, fy=1 / camera.shrink, interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
    line = np.linspace(-1, 1, side, dtype=np.float32) ** 2
    fall = 1 - np.float32(camera.vignette / 2) * (line[None, :] + line[:, None])
    # Automatic exposure pulls the picture part of the way to a middle grey; the gain is its error.
    metered = np.float32(camera.gain * (0.42 / max(float(image.mean()), 0.05)) ** 0.6)
    image = image * (fall[:, :, None] * (metered * vector(camera.cast)))
    image = np.asarray(cv2.pow(np.clip(image, 0, 1), camera.gamma), dtype=np.float32)
    middle = np.float32(0.45 * min(1.0, camera.gain))
    image = (image - middle) * np.float32(camera.contrast) + middle
    grain = rng.standard_normal((side, side, 3), dtype=np.float32)
    if camera.coarse:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.8) * np.float32(2.2)
    image = image + grain * np.float32(camera.sensor)
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if camera.jpeg:
        coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg])[1]
        pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return pixels


def _streak(length: float, angle: float) -> Array:
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), dtype=np.uint8)
    middle = size / 2 - 0.5
    dx, dy = np.cos(angle) * (length - 1) / 2, np.sin(angle) * (length - 1) / 2
    ends = np.round(np.array([[middle - dx, middle - dy], [middle + dx, middle + dy]]) * 16).astype(np.int32)
    cv2.polylines(kernel, [ends], False, 255, 1, cv2.LINE_AA, 4)
    streak = kernel.astype(np.float32)
    return np.asarray(streak / streak.sum())
