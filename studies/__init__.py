"""Studies: one module per study, which defines ``STUDY``."""
