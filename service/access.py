"""Who may ask: the token, and pages of other sites that a browser is showing."""

from __future__ import annotations

import hmac
import ipaddress
import re
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.refusals import Refusal

#: What needs the token. The rest is the page, which has no secrets, and whether the service is alive.
_CLOSED = re.compile(r"/api(/.*)?|/metrics|/docs|/openapi\.json", re.DOTALL)
_OPEN = "/api/health"

#: What browsers are told of every answer. The page loads nothing from elsewhere, and is shown within no other page.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """Lets through who may ask.

    A page of another site can make a browser send requests here. It is told from this service's own page by the
    header Origin; and where no token is set, by Host, which names that site when its name was made to point here (DNS
    rebinding): only addresses and the names given are taken.

    Args:
        app: what answers those who may.
        token: what must be known, or nothing.
        hosts: the names, besides localhost and any address, that the service may be called by.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: tuple[str, ...]) -> None:
        self.app, self.token = app, token.encode()
        self.hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._foreign(headers) or self._unknown(scope, headers)
        if refusal is not None:
            await refusal.response()(scope, receive, send)
        elif scope["method"] == "GET" and self._brings_token(scope):
            await self._welcome(scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _foreign(self, headers: Headers) -> Refusal | None:
        """Returns the refusal of what a page of another site asks for."""
        host = headers.get("host", "")
        origin = headers.get("origin")
        if origin is not None and _host_of(origin) != host.lower():
            return Refusal(403, "Pages of other sites may not use this service; open its own page.")
        if not self.token and not self._known(host):
            return Refusal(
                403, "This service does not go by that name; call it by its address, or start it with --hosts NAME."
            )
        return None

    def _known(self, host: str) -> bool:
        """Tells whether a Host header names this machine by an address or by a name that was given."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _unknown(self, scope: Scope, headers: Headers) -> Refusal | None:
        """Returns the refusal of who does not know the token."""
        if not self.token or scope["path"] == _OPEN or not _CLOSED.fullmatch(scope["path"]):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            given = cookie_parser(headers.get("cookie", "")).get(_cookie(scope), "")
        if self._is_token(given):
            return None
        return Refusal(
            401,
            "This needs the service's token: send it as 'Authorization: Bearer TOKEN', or open the page once with "
            "?token=TOKEN.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _is_token(self, given: str) -> bool:
        # In constant time, so that answers do not tell how much of a guess was right.
        return hmac.compare_digest(given.strip().encode(), self.token)

    def _brings_token(self, scope: Scope) -> bool:
        """Tells whether a page is opened by an address with the right token in it."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return bool(self.token and given and not _CLOSED.fullmatch(scope["path"]) and self._is_token(given[0]))

    def _welcome(self, scope: Scope) -> RedirectResponse:
        """Has the browser keep the token, and go on to the same address without it."""
        query = dict(parse_qs(scope["query_string"].decode("latin-1")))
        del query["token"]
        rest = urlencode(query, doseq=True)
        # A path of two slashes would be another machine's address.
        path = "/" + scope["path"].lstrip("/\\")
        response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        response.set_cookie(_cookie(scope), self.token.decode(), httponly=True, samesite="strict")
        return response


class Marks:
    """Marks every answer for browsers.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, marked)


def _host_of(origin: str) -> str | None:
    """Returns the host and port of an Origin, or None where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _cookie(scope: Scope) -> str:
    """Returns what the cookie is called that a browser keeps the token in: cookies are of a host, whatever its port."""
    _, port = scope.get("server") or ("", 0)
    return f"tilewright-token-{port}"
