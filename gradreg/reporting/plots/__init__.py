"""Figures from tidy metrics: each function draws one figure of one study."""
