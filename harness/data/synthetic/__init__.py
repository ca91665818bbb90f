"""What the synthetic scenes are made of: solids, faces painted on heads, bodies, backdrops, clutter and a camera.

Nothing here is read from disk. Colours are BGR floats in [0, 1] as a screen shows them; lengths are pixels of the
finished image, or head units (a face is about two units tall) where a docstring says so.
"""
