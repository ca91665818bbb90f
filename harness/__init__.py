"""Parameter-budget architecture search and ablation harness for light face detectors."""

__version__ = "0.1.0"
