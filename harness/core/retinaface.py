"""What all networks here share with RetinaFace: strides, priors, and the mean of their inputs."""

STRIDES = (8, 16, 32)
ANCHORS = ((16, 32), (64, 128), (256, 512))
"""Side lengths of the priors at each stride, pixels, as in RetinaFace-MobileNet0.25."""

MEAN = (104.0, 117.0, 123.0)
"""BGR mean that is subtracted from the images, as in RetinaFace."""
