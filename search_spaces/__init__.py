"""Search spaces: one module each, with one ``SPACE``. A space is not changed once it has been studied."""
