"""Sign a browser in and out: a key once, then a cookie that scripts cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from brainmets.api.routes.answers import json_answer, refusals
from brainmets.api.routes.dependencies import Caller  # noqa: TC001 - FastAPI reads it
from brainmets.api.sessions import COOKIE, LIFETIME_S

if TYPE_CHECKING:
    from brainmets.api.sessions import Sessions

__all__ = ["SessionView", "router"]

router = APIRouter(prefix="/v1/session", tags=["service"])


class SessionView(BaseModel):
    """Who is signed in."""

    model_config = ConfigDict(frozen=True)

    owner: str = Field(description="The name of the key.", examples=["radiology"])
    token: str = Field(
        default="", description="Good as a bearer key until it ends; given only for the key."
    )
    lifetime_s: int = LIFETIME_S


SIGNED_IN = SessionView(owner="radiology")


@router.get("", operation_id="get_session", responses=json_answer(SIGNED_IN) | refusals())
def get_session(caller: Caller) -> SessionView:
    """Say whose key or session the request carries."""
    return SessionView(owner=caller)


@router.post("", operation_id="sign_in", responses=json_answer(SIGNED_IN) | refusals())
def sign_in(request: Request, response: Response, caller: Caller) -> SessionView:
    """Exchange the key in `Authorization` for a cookie; without keys there is nothing to do."""
    sessions = cast("Sessions | None", request.app.state.sessions)
    digest = cast("str | None", request.scope.get("brainmets.key"))
    if sessions is None or digest is None:  # open to this computer, or signed in by a token
        return SessionView(owner=caller)
    token = sessions.issue(digest)
    response.set_cookie(
        COOKIE,
        token,
        max_age=LIFETIME_S,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return SessionView(owner=caller, token=token)


@router.delete("", status_code=204, operation_id="sign_out", responses=refusals())
def sign_out(request: Request, response: Response, caller: Caller) -> None:
    """Take the cookie back and end its token, wherever it was copied to."""
    del caller  # only its owner comes this far
    sessions = cast("Sessions | None", request.app.state.sessions)
    token = cast("str | None", request.scope.get("brainmets.token"))
    if sessions is not None and token is not None:
        sessions.revoke(token)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
