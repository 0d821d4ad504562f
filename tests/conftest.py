"""What every test may lean on: the real data where there is some, and small phantoms."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from brainmets.domain import Case, Geometry, HeadPhantom, Mask, Source, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parent.parent

# The same examples on every run and no deadline: two shared cores make any clock a liar.
settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("BRAINMETS_HYPOTHESIS", "project"))

# Nothing that a test does reaches the network or the user's own settings.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "false")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer `--bless`: accept what is printed today as golden (`make bless`)."""
    parser.addoption("--bless", action="store_true", help="write the golden files again")


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written rather than compared."""
    return bool(request.config.getoption("--bless"))


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit's AppTest puts its script in place of `__main__`, which new processes import."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real images in $BRAINMETS_DATA or ../shared/data; skips where there are none."""
    folder = Path(os.environ.get("BRAINMETS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data: set BRAINMETS_DATA to a folder that holds it")
    return folder


@pytest.fixture(scope="session")
def phantom() -> tuple[Volume, Mask]:
    """A head of 3 mm voxels with its lesions numbered: large enough to segment, cheap to make."""
    return HeadPhantom().render(Geometry.isotropic((56, 68, 64), spacing_mm=3.0))


@pytest.fixture(scope="session")
def phantom_case(phantom: tuple[Volume, Mask]) -> Case:
    """The phantom as a case with one T1c."""
    image, _ = phantom
    return Case(
        images={"t1c": image},
        geometry=image.geometry,
        source=Source(format="nifti", sha256="0" * 64),
        case_id="phantom",
    )


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same on every run."""
    return np.random.default_rng(20_261_123)
