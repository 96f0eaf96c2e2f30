"""Logging a browser in and out."""

from fastapi import APIRouter, Request, Response

from orchestrator.accounts import LOGIN_LINK_LIFETIME_S, SESSION_LIFETIME_S, csrf_token_of
from orchestrator.api.context import SESSION_COOKIE, Admin, ContextDep, Identity
from orchestrator.api.schemas import LoginLinkView, SessionCreate, SessionView

router = APIRouter(tags=["session"])


@router.post("/session")
async def log_in(body: SessionCreate, request: Request, response: Response, context: ContextDep) -> SessionView:
    """Exchange a one-time token or a key for a session cookie."""
    token, credential = await context.accounts.log_in(token=body.token, key=body.key)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=SESSION_LIFETIME_S,
        httponly=True,
        samesite="strict",
        secure=request.headers.get("x-forwarded-proto") == "https",
        path="/",
    )
    return SessionView(name=credential.name, role=credential.role.value, csrf_token=csrf_token_of(token))


@router.get("/session")
async def read_session(identity: Identity, request: Request) -> SessionView:
    token = request.cookies.get(SESSION_COOKIE, "")
    return SessionView(name=identity.name, role=identity.role.value, csrf_token=csrf_token_of(token))


@router.delete("/session", status_code=204)
async def log_out(identity: Identity, request: Request, response: Response, context: ContextDep) -> None:
    token = request.cookies.get(SESSION_COOKIE)
    if token is not None:
        await context.accounts.log_out(token)
    response.delete_cookie(SESSION_COOKIE, path="/")


@router.post("/login-links", dependencies=[Admin])
async def create_login_link(context: ContextDep, identity: Identity) -> LoginLinkView:
    token = await context.accounts.create_login_token(identity)
    return LoginLinkView(token=token, expires_in_s=LOGIN_LINK_LIFETIME_S)
