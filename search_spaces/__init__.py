"""Search spaces: one module per space, which defines ``SPACE``. Do not change a space once it has been studied."""
