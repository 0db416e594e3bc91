"""The same trial without a person: signs in over HTTP and waits until the inbox shows what was synchronised."""

import html
import http.cookiejar
import re
import time
import urllib.parse
import urllib.request

import psycopg2

from demo.company import PEOPLE
from demo.trial import Running

# Newest letters of Ben's inbox: there only when a worker has fetched them.
EXPECTED = ("Firmware 4.8.3: what went wrong", "Readings missing")
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class SmokeError(RuntimeError):
    """What a person would have seen instead of mail."""


def check(trial: Running, *, within: float) -> int:
    """Sign in as Ben and wait for mail in his inbox; returns how many messages have arrived by then."""
    deadline = time.monotonic() + within
    browser = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
    )
    _sign_in(browser, trial)
    while True:
        page = _get(browser, f"{trial.address}/")
        if EXPECTED[0] in page:
            return _messages(trial)
        if time.monotonic() > deadline:
            raise SmokeError("The inbox shows no synchronised mail: " + _text(page)[:600])
        time.sleep(0.25)


def _sign_in(browser: urllib.request.OpenerDirector, trial: Running) -> None:
    url = f"{trial.address}/account/login/"
    token = _TOKEN.search(_get(browser, url))
    if token is None:
        raise SmokeError("The sign-in page has no form.")
    form = {"login": PEOPLE["ben"].address, "password": trial.password, "csrfmiddlewaretoken": token[1]}
    request = urllib.request.Request(  # noqa: S310 (our own address)
        url, urllib.parse.urlencode(form).encode(), headers={"Referer": url}
    )
    with browser.open(request, timeout=30) as answer:
        if "/account/login" in answer.geturl():
            raise SmokeError("Signing in was refused: " + _text(answer.read().decode())[:600])


def _get(browser: urllib.request.OpenerDirector, url: str) -> str:
    with browser.open(url, timeout=30) as answer:
        page: str = answer.read().decode()
    return html.unescape(page)


def _text(page: str) -> str:
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL).split())


def _messages(trial: Running) -> int:
    with psycopg2.connect(trial.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(total), 0) FROM mailsync_folder")
        row = cursor.fetchone()
    connection.close()
    return int(row[0]) if row else 0
