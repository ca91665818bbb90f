"""The parts of the synthetic scenes: solids, heads with painted faces, bodies, backdrops, clutter and a camera.

Nothing is read from disk. Colours are BGR floats in [0, 1], gamma-encoded as on a screen. Lengths are pixels of the
finished image, or head units (a face is about two units tall) if a docstring says so.
"""
