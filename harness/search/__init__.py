"""The search itself, and the only place that knows Optuna: candidates, samplers, pruning, storage, workers, the run."""
