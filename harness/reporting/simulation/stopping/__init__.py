"""What early stopping saves and loses in replayed searches with several objectives."""

from harness.reporting.simulation.stopping.page import contents

__all__ = ["contents"]
