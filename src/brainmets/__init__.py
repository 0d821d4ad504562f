"""Find, measure and follow brain metastases in MR images. Research use only.

    import brainmets

    result = brainmets.segment("t1c.nii.gz")
    result.lesions.to_dataframe()

Every name is loaded when it is first used: `import brainmets` is quick, and PyTorch is needed for
the networks and `SyntheticHeads` alone. docs/reference/python.md describes them with examples.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brainmets.domain import Lesion
    from brainmets.domain.errors import BrainmetsError
    from brainmets.inference import list_bundles as list_models
    from brainmets.python.evaluation import Evaluation, evaluate
    from brainmets.python.networks import AttentionUNet, UNetPlusPlus
    from brainmets.python.result import Segmentation
    from brainmets.python.segmentation import prepare, segment
    from brainmets.python.synthetic import SyntheticScan, synthesize
    from brainmets.synthesis.config import SynthesisConfig
    from brainmets.synthesis.heads import SyntheticHeads

__all__ = [
    "AttentionUNet",
    "BrainmetsError",
    "Evaluation",
    "Lesion",
    "Segmentation",
    "SynthesisConfig",
    "SyntheticHeads",
    "SyntheticScan",
    "UNetPlusPlus",
    "__version__",
    "evaluate",
    "list_models",
    "prepare",
    "segment",
    "synthesize",
]

__version__ = "0.2.0"

_LAZY = {
    "AttentionUNet": "brainmets.python.networks",
    "BrainmetsError": "brainmets.domain.errors",
    "Evaluation": "brainmets.python.evaluation",
    "Lesion": "brainmets.domain",
    "Segmentation": "brainmets.python.result",
    "SynthesisConfig": "brainmets.synthesis.config",
    "SyntheticHeads": "brainmets.synthesis.heads",
    "SyntheticScan": "brainmets.python.synthetic",
    "UNetPlusPlus": "brainmets.python.networks",
    "evaluate": "brainmets.python.evaluation",
    "list_models": "brainmets.inference",
    "prepare": "brainmets.python.segmentation",
    "segment": "brainmets.python.segmentation",
    "synthesize": "brainmets.python.synthetic",
}
"""Where each public name is defined."""

_OTHERWISE = {"list_models": "list_bundles"}
"""Names that are called otherwise where they are defined."""

# Importing openvino starts openvino_telemetry where that is installed: it forks and sends usage to
# an analytics host. Without it openvino takes its own empty stand-in. Every process of brainmets
# passes here before it imports openvino; tests/contract/test_no_network.py traces them.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] - as a package not installed


def __getattr__(name: str) -> object:
    """Load a public name.

    Raises:
        AttributeError: there is no such name.
        EngineMissing: the extra that it needs is not installed.
    """
    if name not in _LAZY:
        message = f"module 'brainmets' has no attribute {name!r}"
        raise AttributeError(message)
    try:
        found = getattr(import_module(_LAZY[name]), _OTHERWISE.get(name, name))
    except ModuleNotFoundError as error:
        from brainmets.domain.extras import missing_package

        raise missing_package(error) or error from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
