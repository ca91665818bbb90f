"""Tracking: what a study tells an experiment server while it runs. The only package that imports MLflow.

Training never waits for it and never fails by it: everything that is sent stands in the study's folder first.
"""

from harness.tracking.address import default_uri
from harness.tracking.tracker import MLflowTracker, NullTracker, Tracker, open_tracker, resync

__all__ = ["MLflowTracker", "NullTracker", "Tracker", "default_uri", "open_tracker", "resync"]
