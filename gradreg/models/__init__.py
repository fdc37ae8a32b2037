"""Networks: images in [0, 1] in, logits out; any scaling of the input is part of the network (``preprocessing``)."""

from gradreg.models.checkpoint import build, digest, load, save
from gradreg.models.layers import Conv, Dropout, Linear, Maxout, cap_norms

__all__ = ["Conv", "Dropout", "Linear", "Maxout", "build", "cap_norms", "digest", "load", "save"]
