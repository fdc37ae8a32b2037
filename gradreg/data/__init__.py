"""Verified image data sets. ``prepare`` fetches them, ``splits`` reads them; ``registry.datasets`` describes them."""
