"""Why a teacher helps or does not: gradients by loss term, and errors prior by prior."""
