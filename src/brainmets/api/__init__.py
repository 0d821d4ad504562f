"""The service: durable segmentation jobs over HTTP, and a typed client for them."""

from brainmets.api.settings import Settings

__all__ = ["Settings"]
