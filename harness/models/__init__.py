"""Detectors: interchangeable parts, assembly of a network from an architecture, its costs and its weights."""
