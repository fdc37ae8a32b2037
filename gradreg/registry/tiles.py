"""The tiles with which AutoAttack's Square attack begins in L1 and L2."""

ROWS = 5


def fit(height: int, width: int) -> bool:
    """Whether all tiles lie inside an image: squares, ROWS to its height, laid from half the pixels that are left over.

    The library (pyautoattack 0.2) fails where they do not, as on images of 12 x 12 or 24 x 24 pixels.
    """
    side = height // ROWS
    if side < 2:  # of single pixels, those outside are left out
        return side == 1
    start = (height - ROWS * side) // 2
    return all(start + length // side * side <= length for length in (height, width))
