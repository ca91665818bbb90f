"""Training one network, with or without a teacher. Knows neither Optuna nor MLflow."""
