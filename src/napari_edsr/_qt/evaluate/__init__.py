"""The dock "Evaluate"."""
