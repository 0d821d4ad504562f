"""Trials of the whole service by violence: kills, bursts, hostile files, long runs."""
