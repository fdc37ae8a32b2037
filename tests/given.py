"""Networks that were trained elsewhere, for tests."""

import torch


def export(network, shape, file, **options):
    """Save a network as a program for images (N, *shape), of any number."""
    batch = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1)},)} | options
    torch.export.save(torch.export.export(network, (torch.rand(2, *shape),), **batch), file)
