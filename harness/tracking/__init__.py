"""Tracking: sends a study's progress to an experiment server while it runs. The only package that imports MLflow.

Training never waits for the server and never fails because of it: everything is written to the study's folder before it
is sent.
"""

from harness.tracking.address import default_uri
from harness.tracking.tracker import MLflowTracker, NullTracker, Tracker, open_tracker, resync

__all__ = ["MLflowTracker", "NullTracker", "Tracker", "default_uri", "open_tracker", "resync"]
