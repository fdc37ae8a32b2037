"""Measurements of speed: ``python -m bench``; docs/performance.md has what came out."""
