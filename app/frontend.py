"""The page's entry point: `streamlit run app/frontend.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))  # a checkout runs uninstalled

import streamlit as st

from brainmets.ui.server import PAGE, stay_offline

stay_offline()
app = st.App(PAGE)
