"""The first view: give images, or take the sample."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, get_args

import streamlit as st

from brainmets.domain import Sequence
from brainmets.domain.errors import BrainmetsError
from brainmets.io.sequences import guess_from_name
from brainmets.ui.texts import explain, plain

if TYPE_CHECKING:
    from brainmets.api.client import Client
    from brainmets.api.schemas import ModelView

__all__ = ["DEMO_VARIABLE", "show_start"]

SEQUENCE_NAMES: dict[str, str] = {
    "t1c": "T1 with contrast",
    "t1n": "T1 without contrast",
    "t2w": "T2",
    "t2f": "T2 FLAIR",
}
MOST_NIFTI = 4
DEFAULT_MODEL = "Best for the image"
DEMO_VARIABLE = "BRAINMETS_DEMO"
"""Set by `brainmets serve --demo`: a new visitor lands on the sample's result."""


def show_start(client: Client) -> None:
    """Offer the upload, the sample and the settings; go to the job once it is queued."""
    if os.environ.get(DEMO_VARIABLE) and "demo" not in st.session_state:
        st.session_state["demo"] = "shown"
        _go(client.submit_sample().id)
    models = client.models()
    st.html(
        '<div class="headline"><b>Find brain metastases</b>'
        "<span>Give one examination; see, measure and take away its lesions. "
        "Images stay on this computer.</span></div>"
    )
    left, right = st.columns([5, 3], gap="large")
    with left:
        files = _ask_for_files()
        sequences = _confirm_sequences(files)
        model, threshold = _settings(models)
        if st.button("Segment", type="primary", disabled=not files, width="stretch", key="segment"):
            with st.spinner("Handing the images over…"):
                _submit(client, files, sequences, model, threshold)
    with right:
        st.markdown("##### No image at hand?")
        st.markdown("A synthetic head with lesions of known size shows how everything works.")
        if st.button("Open the sample", width="stretch", key="sample"):
            _go(client.submit_sample().id)
        st.markdown("##### What can be given")
        st.markdown(
            "- **NIfTI** `.nii`, `.nii.gz`: T1 with contrast\n"
            "- **DICOM**: a zip, or the files of a series, in any order\n"
            "- **Slices**: PNG, JPEG or TIFF; several make a stack"
        )


def _ask_for_files() -> list[Any]:
    whole_folder = st.toggle("Choose a whole folder", key="folder", value=False)
    files: Any = st.file_uploader(
        "Drop the images here",
        accept_multiple_files="directory" if whole_folder else True,
        key="files-folder" if whole_folder else "files",
        help="NIfTI, DICOM, a zip of DICOM, PNG, JPEG or TIFF.",
    )
    return list(files or [])


def _confirm_sequences(files: list[Any]) -> list[str]:
    """Ask which image is which where several NIfTI files are given."""
    names = [str(file.name) for file in files]
    nifti = [name for name in names if name.lower().endswith((".nii", ".nii.gz"))]
    if not 1 < len(nifti) <= MOST_NIFTI or len(nifti) != len(names):
        return []
    st.markdown("**Which image is which?** Guessed from the names; please confirm.")
    known = list(get_args(Sequence))
    chosen: list[str] = []
    for row, name in enumerate(names):
        guess = guess_from_name(name) or next((s for s in known if s not in chosen), known[0])
        choice = st.selectbox(
            plain(name),
            known,
            index=known.index(guess),
            format_func=lambda code: SEQUENCE_NAMES[code],
            key=f"sequence-{row}-{name}",
        )
        chosen.append(str(choice))
    if len(set(chosen)) < len(chosen):
        st.warning("Two images have the same sequence: only one of each can be used.")
    return chosen


def _settings(models: tuple[ModelView, ...]) -> tuple[str | None, float | None]:
    with st.expander("Settings"):
        names = [DEFAULT_MODEL, *(model.name for model in models)]
        by_name = {model.name: model for model in models}
        name = st.selectbox(
            "Model", names, key="model", format_func=lambda n: _model_label(n, by_name)
        )
        own = st.checkbox("Own threshold", key="own-threshold")
        threshold = st.slider("Threshold", 0.05, 0.95, 0.5, 0.05, key="threshold", disabled=not own)
        st.caption("The result page can move the sensitivity afterwards, without computing again.")
    return (None if name == DEFAULT_MODEL else name), (threshold if own else None)


def _model_label(name: str, models: dict[str, ModelView]) -> str:
    model = models.get(name)
    return f"{name} ({model.dims}-D)" if model else name


def _submit(
    client: Client,
    files: list[Any],
    sequences: list[str],
    model: str | None,
    threshold: float | None,
) -> None:
    try:
        job = client.submit(
            [(file.name, file) for file in files],
            model=model,
            threshold=threshold,
            sequences=sequences,
        )
    except BrainmetsError as error:
        explain(error)
        return
    _go(job.id)


def _go(job_id: str) -> None:
    st.query_params["job"] = job_id
    st.rerun()
