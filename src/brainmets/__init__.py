"""Find, measure and follow brain metastases in MR images. Research use only."""

__all__ = ["__version__"]

__version__ = "0.1.0"
