"""Trained networks that ship with the package."""
