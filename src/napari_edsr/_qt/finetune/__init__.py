"""The dock "Fine-tune"."""
