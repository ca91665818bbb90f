"""The search at scale: up to 10,000 trials and 1,000 workers, whose trainings are simulated and nothing else is."""
