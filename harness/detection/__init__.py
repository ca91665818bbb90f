"""Priors, box coding, IoU, non-maximum suppression and the multibox loss."""
