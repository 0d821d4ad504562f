"""The page itself: what `streamlit run app/frontend.py` and `brainmets serve` show."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

import brainmets
from brainmets.api.sessions import COOKIE
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.domain.errors import BrainmetsError, ServiceUnreachable, Unauthorised, UnknownJob
from brainmets.ui.addresses import FOLLOWUP, PAST
from brainmets.ui.connection import browser_access, make_client
from brainmets.ui.followup_page import show_followups
from brainmets.ui.frame import headline
from brainmets.ui.results_list import results_list
from brainmets.ui.signin import offer_sign_out, sign_in
from brainmets.ui.start import show_start
from brainmets.ui.texts import explain
from brainmets.ui.work import show_job

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

    from brainmets.api.client import Client

__all__ = ["main"]

_STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding: 3.4rem 2rem 3.5rem; max-width: 112rem; }
@media (max-width: 40rem) { [data-testid="stMainBlockContainer"] { padding: 3.2rem 1rem 3.5rem; } }
.research {
  position: fixed; inset: auto 0 0 0; z-index: 999990; padding: 0.3rem 1rem; text-align: center;
  font-size: 0.8rem; letter-spacing: 0.01em; background: #7a4a00; color: #fff;
}
.headline { display: flex; align-items: baseline; gap: 0.9rem; flex-wrap: wrap; }
.headline b { font-size: 1.35rem; letter-spacing: -0.01em; font-weight: 650; }
.headline span { opacity: 0.72; font-size: 0.95rem; }
.product {
  position: fixed; top: 1.05rem; right: 9.5rem; z-index: 999991; font-weight: 650;
  font-size: 0.95rem;
  letter-spacing: -0.01em; opacity: 0.85;
}
.product span { font-weight: 400; font-size: 0.8rem; opacity: 0.8; }
@media (max-width: 40rem) { .product { display: none; } }
ul.warnings {
  list-style: none; margin: 0; padding: 0.25rem 0.8rem !important; border-left: 3px solid #d9940b;
  background: rgb(217 148 11 / 0.12); border-radius: 4px; font-size: 0.88rem;
}
.warnings li { margin: 0.1rem 0; font-size: inherit; }
ul.stages {
  list-style: none; margin: 0.4rem 0 0; padding: 0 !important; display: grid; gap: 0.35rem;
}
.stages li { display: flex; gap: 0.65rem; align-items: center; opacity: 0.55; margin: 0; }
.stages li::before {
  content: ""; width: 0.7rem; height: 0.7rem; border-radius: 50%;
  border: 2px solid currentColor; box-sizing: border-box; flex: none;
}
.stages li.now, .stages li.past { opacity: 1; }
.stages li.past::before { background: currentColor; }
.stages li.now::before { border-color: var(--primary-color, #0f7f95); background: #0f7f95; }
.stages li.now { font-weight: 600; }
</style>"""


def main() -> None:
    """Draw the page for this run of the script."""
    st.set_page_config(page_title="brainmets", page_icon="🧠", layout="wide")
    product = f'<div class="product">brainmets <span>{brainmets.__version__}</span></div>'
    st.html(_STYLE + f'{product}<div class="research" role="note">{RESEARCH_USE_ONLY}</div>')
    examine = st.Page(_examine, title="Segment", default=True)
    past = st.Page(partial(_past, examine), title="Past results", url_path=PAST)
    follow = st.Page(_follow, title="Follow-up", url_path=FOLLOWUP)
    page = st.navigation([examine, follow, past], position="top")
    if COOKIE in st.context.cookies:
        offer_sign_out()
    page.run()


def _examine() -> None:
    with make_client() as client:
        try:
            job_id = st.query_params.get("job")
            if job_id:
                show_job(client, job_id)
            else:
                show_start(client)
        except UnknownJob as error:
            explain(error)
            if st.button("Segment a scan"):
                st.query_params.clear()
                st.rerun()
        except BrainmetsError as error:
            _refused(error)


def _follow() -> None:
    with make_client() as client:
        try:
            show_followups(client)
        except BrainmetsError as error:
            _refused(error)


def _past(examine: StreamlitPage) -> None:
    with make_client() as client:
        try:
            show_history(client, examine)
        except BrainmetsError as error:
            _refused(error)


def _refused(error: BrainmetsError) -> None:
    if isinstance(error, Unauthorised):
        sign_in()
        return
    explain(error)
    if isinstance(error, ServiceUnreachable):
        st.markdown("Start the service in another terminal, in the folder of brainmets:")
        st.code("uvicorn app.main:app", language="bash")
        st.markdown("or start page and service together:")
        st.code("brainmets serve", language="bash")
        if st.button("Try again", type="primary"):
            st.rerun()


def show_history(client: Client, examine: StreamlitPage) -> None:
    """List the caller's jobs, newest first; opening one leads to the page `examine`."""
    client.jobs(limit=1)  # no service, or no key for it: said before the list is drawn
    st.html(headline("Past results", "Kept on this machine only."))
    opened = results_list(browser_access(), key="results_list").opened
    if opened is not None:
        st.switch_page(examine, query_params={"job": opened} if opened else {})


if __name__ == "__main__":
    main()
