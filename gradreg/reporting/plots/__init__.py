"""Figures from tidy metrics. Each function draws one figure of one study; none touches a network."""

from gradreg.reporting.plots.errors import (
    learning_curves,
    noise,
    norm_matrix,
    objectives,
    robust_error,
    sample_size,
    validation_error,
)
from gradreg.reporting.plots.theory import alignment, error_and_gradient, gradient_norms, linearisation
from gradreg.reporting.plots.transfer import transfer, transfer_matrix
from gradreg.reporting.plots.trust import attack_strength, estimates, probe

__all__ = [
    "alignment",
    "attack_strength",
    "error_and_gradient",
    "estimates",
    "gradient_norms",
    "learning_curves",
    "linearisation",
    "noise",
    "norm_matrix",
    "objectives",
    "probe",
    "robust_error",
    "sample_size",
    "transfer",
    "transfer_matrix",
    "validation_error",
]
