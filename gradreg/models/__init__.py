"""Networks from images in [0, 1] to logits. Scaling of the input is part of the network (``preprocessing``)."""
