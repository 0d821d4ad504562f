"""The use cases that command line, API and notebooks all call."""

__all__: list[str] = []
