"""Gradient regularisation against adversarial examples, for every p-norm."""

__version__ = "0.1.0"
