"""How far cheap scores order candidates as full trainings do. ``python -m benchmarks.scores`` measures it."""
