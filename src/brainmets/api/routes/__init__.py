"""The HTTP routes, a module for each thing that one may ask of the service."""
