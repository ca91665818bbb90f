"""Studies: one module each, with one ``STUDY``."""
