"""Detectors outside this project: export, ONNX Runtime, and reading and drawing on pictures of any kind."""
