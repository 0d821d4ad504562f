"""From a case as the scanner left it to what a network reads, and back."""

from brainmets.preprocessing.plan import ClaheSettings, Plan, Prepared

__all__ = ["ClaheSettings", "Plan", "Prepared"]
