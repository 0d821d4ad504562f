"""The use cases that command line, API and notebooks all call."""
