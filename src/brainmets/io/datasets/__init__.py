"""Adapters for published data sets, one a file."""
