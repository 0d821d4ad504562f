"""The form that asks for an API key where the service wants one, and the button to sign out."""

from __future__ import annotations

from brainmets.ui.component import build
from brainmets.ui.connection import service_address

__all__ = ["SCRIPTS", "offer_sign_out", "sign_in"]

SCRIPTS = ("signin.js", "mount.js")
"""In this order they are one module, after the shared ones."""


def sign_in() -> None:
    """Ask for the key; the browser then has a cookie and loads the page again."""
    build("signin", "signin", SCRIPTS, "signin.css")(data={"base": service_address()}, key="signin")


def offer_sign_out() -> None:
    """Show the button that takes this browser's cookie back and goes to the start."""
    data = {"base": service_address(), "signed_in": True}
    build("signin", "signin", SCRIPTS, "signin.css")(data=data, key="signout")
