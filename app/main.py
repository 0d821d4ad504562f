"""Entry point of the API: `uvicorn app.main:app`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))  # a checkout runs uninstalled

from brainmets.api.app import create_app

app = create_app()
