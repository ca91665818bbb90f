"""Detectors: interchangeable parts, how an architecture becomes a network, what it costs, its weights."""
