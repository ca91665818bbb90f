"""The audit of the documented numbers."""
