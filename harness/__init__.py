"""Parameter-budget architecture search and ablation harness for light face detectors."""

__version__ = "0.1.0"

import os

MOST_PIXELS = 2**28
"""Largest image that OpenCV decodes; a file of a megabyte may claim a billion pixels."""

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # Read once, when OpenCV is loaded.
