"""The dock that fine-tunes a model on layers of the viewer."""
