"""Training of one network, with or without a teacher. Independent of Optuna and MLflow."""
