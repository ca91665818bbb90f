"""Benchmarks: one module each, with one ``cases``. ``python -m benchmarks`` runs them; ``registry`` lists them."""
