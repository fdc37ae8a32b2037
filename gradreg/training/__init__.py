"""Training: replicas of one network, trained together, from a recipe."""
