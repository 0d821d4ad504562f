"""The page's front door: `streamlit run app/frontend.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))  # a checkout runs uninstalled

from brainmets.ui.page import main

main()
