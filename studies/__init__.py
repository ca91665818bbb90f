"""Studies: one module each, holding one ``STUDY``."""
