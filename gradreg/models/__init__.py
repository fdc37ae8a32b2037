"""Networks: images in [0, 1] in, logits out; any scaling of the input is part of the network (``preprocessing``)."""
