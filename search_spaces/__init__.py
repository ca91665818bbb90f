"""Search spaces: one module each, holding one ``SPACE``. A space that has been studied is frozen."""
