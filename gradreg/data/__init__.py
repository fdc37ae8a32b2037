"""Verified image data sets. ``registry`` says what they are, ``prepare`` fetches them, ``arrays`` reads them."""
