"""The dock "Compare": the same place of several layers, side by side."""
