"""Diagnosis of distillation: a student's gradients by loss term, and the errors of student and teacher by prior."""
