"""Evaluation: what a trained network does with images, as tidy rows."""
