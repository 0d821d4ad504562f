"""The HTTP routes, a module for each thing that one may ask of the service."""

__all__: list[str] = []
