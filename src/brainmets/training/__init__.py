"""Training: from a recipe to a bundle. Needs torch; import `brainmets.training.train`."""

__all__: list[str] = []
