"""Service and page choose one volume of an upload, whatever numbers and UIDs it shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from brainmets.api.child import _series  # pyright: ignore[reportPrivateUsage]
from brainmets.api.inspecting import _view  # pyright: ignore[reportPrivateUsage]
from brainmets.api.routes.jobs import chosen_series
from brainmets.api.routes.uploads import _chosen  # pyright: ignore[reportPrivateUsage]
from brainmets.api.uploads import InspectionView, StartRequest, UploadView
from brainmets.domain.errors import BadRequest, SeveralSeries
from brainmets.io import list_series, read_case
from brainmets.workflows.inspection import FoundImage
from tests.unit.io_files import head, write_dicom

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.schemas import SeriesView


class Held(SeveralSeries):
    """The refusal that a worker turns into a question."""

    def __init__(self, series: Any) -> None:
        self.series = series


def folder_of(kind: str, folder: Path) -> list[int]:
    """Write three volumes; return how many columns each line of the list has."""
    for line in range(3):
        fields: dict[str, Any] = {
            "echoes": {"uid": "1.2.3", "number": 4, "EchoTime": str(10 * line + 5)},
            "numbers that are other lines": {"uid": f"1.2.{line}", "number": (2, 3, 7)[line]},
            "one UID, three numbers": {"uid": "1.2.3", "number": (2, 3, 7)[line]},
        }[kind]
        write_dicom(folder / f"v{line}", head((20 + line, 20, 8)), **fields)
    return [one.shape[0] for one in list_series(folder)]


def offered_of(folder: Path) -> tuple[SeriesView, ...]:
    return tuple(_series(folder, Held(list_series(folder))))


KINDS = ("echoes", "numbers that are other lines", "one UID, three numbers")


@pytest.mark.parametrize("kind", KINDS)
def test_every_volume_of_a_question_can_be_answered(kind: str, tmp_path: Path) -> None:
    columns = folder_of(kind, tmp_path)
    offered = offered_of(tmp_path)
    chosen = [chosen_series(offered, one.choice) for one in offered]

    assert len(set(chosen)) == 3
    assert [read_case(tmp_path, series=one).geometry.shape[0] for one in chosen] == columns
    for wanted in ("9", "1.9", "line:4"):
        with pytest.raises(BadRequest):
            chosen_series(offered, wanted)


def test_a_number_or_uid_of_several_is_no_answer(tmp_path: Path) -> None:
    folder_of("echoes", tmp_path)
    offered = offered_of(tmp_path)
    for wanted in ("4", "1.2.3"):
        with pytest.raises(BadRequest, match="3 volumes"):
            chosen_series(offered, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_chosen_on_the_page_is_the_one_segmented(kind: str, tmp_path: Path) -> None:
    """Its line was taken for a series number: another series was segmented, without a word."""
    columns = folder_of(kind, tmp_path)
    images = tuple(
        _view(FoundImage(info=info, kind="volume"), tmp_path) for info in list_series(tmp_path)
    )
    upload = UploadView.model_construct(
        inspection=InspectionView(images=images, default_model="attention-unet-3d")
    )
    for line, count in enumerate(columns, start=1):
        _, options = _chosen(upload, StartRequest(image=line))
        assert read_case(tmp_path, series=options.series).geometry.shape[0] == count
