"""Search: candidates, samplers, pruning, storage, workers and the run. The only package that imports Optuna."""
