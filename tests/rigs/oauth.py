"""An OAuth provider of our own, as a process: consent page, tokens, introspection, revocation; and its levers.

`python -m tests.rigs.oauth PORT` serves it with nothing but the standard library; `Provider` is the tests' handle.
"""

import base64
import hashlib
import html
import json
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from demo import services
from demo.supervisor import Supervisor

CLIENT_ID, CLIENT_SECRET = "mailbound", "the secret of this installation"
SCOPES = "mail offline_access openid email"
ROOT = Path(__file__).resolve().parent.parent.parent
# What a test may set; `mode` is ok, 500, 429, garbage or slow. `person` consents whoever the page was for.
DEFAULTS: dict[str, Any] = {
    "mode": "ok", "lifetime": 3600, "rotates": False, "person": "", "scope": "", "lasting": True, "says_who": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Provider:
    """The tests' handle on the process."""

    url: str

    @classmethod
    def start(cls, supervisor: Supervisor, first_port: int) -> "Provider":
        provider = cls(f"http://127.0.0.1:{services.free_port(first_port)}")
        port = str(urlsplit(provider.url).port)
        supervisor.spawn(
            "oauth-provider",
            [sys.executable, "-m", "tests.rigs.oauth", port],
            ready=partial(_answers, provider),
            cwd=ROOT,
        )
        return provider

    @property
    def endpoints(self) -> dict[str, str]:
        return {name: f"{self.url}/{name}" for name in ("authorize", "token", "revoke")}

    def set(self, **levers: object) -> None:
        """The levers as they are named, the others back as they were; counters from 0."""
        self._control({"levers": {**DEFAULTS, **levers}})

    def asked(self) -> dict[str, int]:
        """How often it was asked what since `set`: code, refresh, revoke, introspect."""
        counted: dict[str, int] = self._control({})["asked"]
        return counted

    def withdraw(self, address: str) -> None:
        """The person takes every consent back: refresh tokens and access tokens end."""
        self._control({"withdraw": address})

    def end_access(self, address: str) -> None:
        """Access tokens end before their time, as after a changed password; the consent stays."""
        self._control({"end_access": address})

    def grant(self, address: str) -> dict[str, Any]:
        """Tokens as after a consent, without the way there."""
        return dict(self._control({"grant": address})["granted"])

    def consent(self, url: str, *, allow: bool = True) -> str:
        """What the person does there; returns the address to which the provider sends them back."""
        with urllib.request.urlopen(url, timeout=10) as page:
            assert b"<form" in page.read()
        asked = urlsplit(url)
        form = urlencode({"answer": "allow" if allow else "deny"}).encode()
        try:
            _unfollowed.open(f"{self.url}{asked.path}?{asked.query}", form, timeout=10)
        except urllib.error.HTTPError as moved:
            with moved:
                return str(moved.headers["Location"])
        raise AssertionError("the provider sent nobody anywhere")

    def _control(self, said: dict[str, Any]) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/control", json.dumps(said).encode(), timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_unfollowed = urllib.request.build_opener(_Unfollowed)


def _answers(provider: Provider) -> bool:
    provider.asked()
    return True


# The process


class State:
    """Everything it knows, in memory."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.levers = dict(DEFAULTS)
        self.asked: dict[str, int] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.refresh: dict[str, str] = {}  # token -> person
        self.access: dict[str, tuple[str, float]] = {}  # token -> person, end

    def count(self, what: str) -> None:
        self.asked[what] = self.asked.get(what, 0) + 1

    def issue(self, person: str, *, keep: str = "") -> dict[str, Any]:
        """Tokens of a person; `keep` is the refresh token that goes on."""
        access, lifetime = secrets.token_urlsafe(24), self.levers["lifetime"]
        self.access[access] = person, time.time() + lifetime
        given: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": lifetime}
        if self.levers["lasting"] and not keep:
            given["refresh_token"] = secrets.token_urlsafe(24)
            self.refresh[given["refresh_token"]] = person
        return given

    def forget(self, person: str, *, refresh: bool) -> None:
        self.access = {token: known for token, known in self.access.items() if known[0] != person}
        if refresh:
            self.refresh = {token: who for token, who in self.refresh.items() if who != person}


class Handler(BaseHTTPRequestHandler):
    state: State
    timeout = 20

    def do_GET(self) -> None:
        asked = _only(urlsplit(self.path).query)
        who = html.escape(asked.get("login_hint", ""))
        page = (
            "<!doctype html><title>The provider</title><h1>The provider</h1>"
            f"<p>Mailbound wants to read and send the mail of <b>{who}</b>.</p><form method=post>"
            "<button name=answer value=allow>Allow</button><button name=answer value=deny>Deny</button></form>"
        )
        self._send(200, page, "text/html; charset=utf-8")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with self.state.lock:
            answer = {
                "/control": self._control, "/authorize": self._authorize, "/token": self._token,
                "/introspect": self._introspect, "/revoke": self._revoke,
            }[urlsplit(self.path).path](body)  # fmt: skip
        if answer is not None:
            self._send(*answer)

    def _control(self, body: str) -> tuple[int, str]:
        said, state = json.loads(body), self.state
        if "levers" in said:
            state.levers, state.asked = said["levers"], {}
        if "withdraw" in said:
            state.forget(said["withdraw"], refresh=True)
        if "end_access" in said:
            state.forget(said["end_access"], refresh=False)
        granted = state.issue(said["grant"]) if "grant" in said else None
        return 200, json.dumps({"asked": state.asked, "granted": granted})

    def _authorize(self, body: str) -> None:
        asked = _only(urlsplit(self.path).query)
        if _only(body)["answer"] != "allow":
            back = {"error": "access_denied"}
        else:
            code = secrets.token_urlsafe(16)
            self.state.codes[code] = {**asked, "person": self.state.levers["person"] or asked["login_hint"]}
            back = {"code": code}
        self.send_response(302)
        self.send_header(
            "Location", asked["redirect_uri"] + "?" + urlencode({**back, "state": asked["state"]})
        )
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _token(self, body: str) -> tuple[int, str]:
        asked = _only(body)
        refresh = asked["grant_type"] == "refresh_token"
        self.state.count("refresh" if refresh else "code")
        trouble = self._trouble()
        if trouble:
            return trouble
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, '{"error": "invalid_client"}'
        given = self._refreshed(asked) if refresh else self._for_code(asked)
        return (200, json.dumps(given)) if given else (400, '{"error": "invalid_grant"}')

    def _trouble(self) -> tuple[int, str] | None:
        mode = self.state.levers["mode"]
        if mode == "slow":
            time.sleep(0.6)
        known = {"500": (500, "<h1>Oops</h1>"), "429": (429, "slow down"), "garbage": (200, "<html>")}
        return known.get(mode)

    def _for_code(self, asked: dict[str, str]) -> dict[str, Any] | None:
        known = self.state.codes.pop(asked.get("code", ""), None)
        verified = base64.urlsafe_b64encode(hashlib.sha256(asked.get("code_verifier", "").encode()).digest())
        if (
            known is None
            or known["code_challenge_method"] != "S256"
            or known["code_challenge"] != verified.rstrip(b"=").decode()
            or known["redirect_uri"] != asked.get("redirect_uri")
        ):
            return None
        given = self.state.issue(known["person"])
        given["scope"] = self.state.levers["scope"] or known["scope"]
        if self.state.levers["says_who"]:
            given["id_token"] = _id_token(known["person"])
        return given

    def _refreshed(self, asked: dict[str, str]) -> dict[str, Any] | None:
        old = asked.get("refresh_token", "")
        person = self.state.refresh.get(old)
        if person is None:
            return None
        if self.state.levers["rotates"]:
            del self.state.refresh[old]
        return self.state.issue(person, keep="" if self.state.levers["rotates"] else old)

    def _introspect(self, body: str) -> tuple[int, str]:
        self.state.count("introspect")
        person, end = self.state.access.get(_only(body).get("token", ""), ("", 0.0))
        if end < time.time():
            return 200, '{"active": false}'
        return 200, json.dumps({"active": True, "username": person})

    def _revoke(self, body: str) -> tuple[int, str]:
        self.state.count("revoke")
        person = self.state.refresh.get(_only(body).get("token", ""))
        if person:
            self.state.forget(person, refresh=True)
        return 200, "{}"

    def _send(self, status: int, text: str, kind: str = "application/json") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: a test asks what it wants to know."""


def _only(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def _id_token(person: str) -> str:
    claims = json.dumps({"aud": CLIENT_ID, "email": person, "email_verified": True}).encode()
    return ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (b"{}", claims, b"unsigned")
    )


def serve(port: int) -> None:
    Handler.state = State()
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
