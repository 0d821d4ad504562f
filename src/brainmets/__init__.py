"""Find, measure and follow brain metastases in MR images. Research use only."""

import sys

__all__ = ["__version__"]

__version__ = "0.1.0"

# Importing openvino starts openvino_telemetry where that is installed: it forks and sends usage to
# an analytics host. Without it openvino takes its own empty stand-in. Every process of brainmets
# passes here before it imports openvino; tests/contract/test_no_network.py traces them.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] - as a package not installed
