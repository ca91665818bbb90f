"""What distillation does to a trained student: gradients by loss term, and errors prior by prior."""
