"""Training objectives: pure functions of parameters, a batch and numbers; one file per kind.

Each takes ``forward(params, x) -> logits``, the parameters, a batch ``x`` (N, ...) in [0, 1] with labels ``y`` (N,),
and returns ``(loss, logits)``: the mean loss to minimise, a scalar, and logits (N, classes), at the perturbed inputs
where there are such, else, and for ``curvature``, ``virtual`` and ``trades``, at x. In their formulas L is a sample's
cross-entropy, g = dL/dx, 1/p + 1/q = 1, and eps the strength: a number or a scalar tensor. Perturbed inputs are not
clipped to [0, 1]: the formulas hold exactly.

The functions hold no state and draw no random numbers: ``draw``, a tensor like x from ``gradreg.sampling.draw``, is
passed in, and dropout masks belong to ``forward``, the same in every pass. So ``torch.func.grad``, ``vmap`` and
``torch.compile`` apply. All raise ValueError unless 1 <= p <= inf.
"""
