"""Attacks: perturbed images in [0, 1], at most eps away in the p-norm."""
