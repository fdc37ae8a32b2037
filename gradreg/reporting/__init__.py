"""Reporting: summaries, tables and figures from tidy metrics. Nothing here imports a network."""
