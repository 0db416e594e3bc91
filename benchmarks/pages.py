"""Our pages beside Roundcube's, request by request in turn: `python benchmarks/pages.py [--n 20000] [--samples 30]`.

`--messages 100000` measures instead, without Roundcube, how long the server takes in a folder of that many.

What is compared is what a browser asks for to show the same: the rows of a list; the pane of an opened message and,
where its text is HTML, the document in its frame, one after the other; for 50 messages marked or moved at once the
answer that brings the page up to date: the counts, and after a move the rows. Roundcube moves on the mail server
within its request; ours is done for the employee when the row is written, and a worker tells the server afterwards.
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from common import (
    EMPLOYEE,
    PASSWORD,
    RESULTS,
    RIG,
    RIG_PYTHON,
    Product,
    load_rig,
    mail_server,
    product,
    spawn_web,
    table,
)

ADDRESS = "u1@bench.example"
PAGE = 50
DEEP = 200
# The bounds: our median as a share of Roundcube's.
BOUNDS = {
    "list_first": 0.4,
    "list_deep": 0.4,
    "open_text": 0.25,
    "open_attach": 0.25,
    "mark50": 0.2,
    "move50": 0.2,
}
_EPOCH_MICROS = "(extract(epoch FROM received_at) * 1000000)::bigint"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20_000, help="messages in the mailbox")
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--messages", type=int, help="only ours, with so many rows in one folder")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with product() as made:
        if options.messages:
            text = _alone(made, options.messages, options.samples)
        else:
            text = _beside_roundcube(made, options.n, options.samples)
    (RESULTS / f"pages-{options.messages or options.n}-ratios.md").write_text(text + "\n")
    print(text)


# Beside Roundcube


def _beside_roundcube(made: Product, messages: int, samples: int) -> str:
    manifest = _filled(made, messages)
    name = f"web-{messages}"
    specs = []
    for spec in _specs(made, manifest):
        file = made.home / f"{spec['name']}.json"
        file.write_text(json.dumps(spec))
        specs += ["--product", str(file)]
    command = [RIG_PYTHON, str(RIG / "roundcube_probe.py"), *specs, "--out", name]
    command += ["--n", str(messages), "--samples", str(samples)]
    if subprocess.run(command, env=made.environment, cwd=made.home).returncode:
        raise SystemExit("The rig did not finish.")
    return _verdict(json.loads((RESULTS / f"{name}.json").read_text()))


def _filled(made: Product, messages: int) -> dict[str, Any]:
    """Connect and synchronise the rig's mailbox once; returns the rig's manifest of it."""
    with mail_server(messages, "pages-dovecot") as (port, manifest):
        made.manage(*made.connecting(ADDRESS, "u1", port))
        print(made.sync(ADDRESS))
    made.rows("VACUUM ANALYZE")
    return manifest


def _specs(made: Product, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Ours for the rig: the pages, and the documents in the message's frame as a product of their own."""
    inbox, places = _inbox(made)
    port = load_rig()[1].free_port(24_100)
    pids = [spawn_web(made, "benchmarks.asking:application", port=port), *made.pids]
    first = _bottom(made, inbox, 1)
    deep = _bottom(made, inbox, min(DEEP - 1, len(places) // PAGE - 1))
    # What mail.js sends; it asks for the rows where some leave, for a mark it has painted them itself.
    act = {"list": str(inbox), "show": "", "bottom": first, "ids": "{ids}"}
    archive = _folder(made, "archive")
    message = f"/mail/{inbox}/{{id}}/"
    common = {
        "port": port,
        "pids": pids,
        "login": ["/account/login/", {"login": EMPLOYEE, "password": PASSWORD}],
        "csrf_cookie": "csrftoken",
        "ids": {
            "open_text": [places[uid] for uid in manifest["samples"]["plain"]],
            "open_attach": [places[uid] for uid in manifest["samples"]["attach"]],
            "pool": [places[uid] for uid in sorted(places, reverse=True)[: PAGE * 80]],
        },
    }
    pages = {
        "shell": ["GET", f"/mail/{inbox}/"],
        "list_first": ["GET", f"/mail/rows/?list={inbox}"],
        "list_deep": ["GET", f"/mail/rows/?list={inbox}&before={deep}"],
        "open_text": ["GET", message],
        "open_attach": ["GET", message],
        "mark50": ["POST", "/mail/act/", {**act, "verb": "read"}],
        "move50": ["POST", "/mail/act/", {**act, "verb": f"move:{archive}", "rows": "1"}],
    }
    frame = {"open_attach": ["GET", "/mail/message/{id}/body/"], "open_text": pages["open_text"]}
    frame["list_first"] = pages["list_first"]
    row = 'class="row'
    wanted = {"shell": row, "list_first": row, "list_deep": row, "open_text": 'class="text"'}
    wanted |= {"open_attach": 'class="files"', "mark50": 'id="count"', "move50": row}
    return [
        {**common, "name": "mailbound", "actions": pages, "want": wanted},
        {**common, "name": "its-frame", "actions": frame, "want": {"open_attach": "<"}},
    ]


def _inbox(made: Product) -> tuple[int, dict[int, int]]:
    inbox = _folder(made, "inbox")
    return inbox, dict(
        made.rows("SELECT uid, id FROM mailsync_placement WHERE folder_id = %s AND uid IS NOT NULL", inbox)
    )


def _folder(made: Product, role: str) -> int:
    """The folder of a role; made where the rig's mailbox has none, which only the page has to see."""
    found = made.rows("SELECT id FROM mailsync_folder WHERE special_use = %s", role)
    if found:
        return int(found[0][0])
    by_name = made.rows(
        "UPDATE mailsync_folder SET special_use = %s WHERE lower(path) = %s RETURNING id", role, role
    )
    if by_name:
        return int(by_name[0][0])
    return int(_new_folder(made, role))


def _new_folder(made: Product, role: str) -> int:
    """A folder as the sync would have made it: every other column is that of INBOX."""
    columns = [
        name
        for (name,) in made.rows(
            """SELECT column_name FROM information_schema.columns
               WHERE table_name = 'mailsync_folder' AND column_name NOT IN
                   ('id', 'name', 'path', 'special_use', 'total', 'unseen')"""
        )
    ]
    listed = ", ".join(columns)
    sql = f"""INSERT INTO mailsync_folder (name, path, special_use, total, unseen, {listed})
              SELECT %s, %s, %s, 0, 0, {listed} FROM mailsync_folder WHERE special_use = 'inbox' RETURNING id"""
    name = role.capitalize()
    return int(made.rows(sql, name.encode(), name, role)[0][0])


def _bottom(made: Product, folder: int, page: int) -> str:
    """The key of the last row of a page: where the next one begins."""
    found = made.rows(
        f"""SELECT {_EPOCH_MICROS}, id FROM mailsync_placement WHERE folder_id = %s
            ORDER BY received_at DESC, id DESC LIMIT 1 OFFSET %s""",
        folder,
        page * PAGE - 1,
    )
    return f"{found[0][0]}.{found[0][1]}"


def _verdict(result: dict[str, Any]) -> str:
    measured = result["results"]
    theirs, ours, frame = (measured[name] for name in ("roundcube", "mailbound", "its-frame"))
    lines = []
    for action, bound in BOUNDS.items():
        mine, rival = _median(ours[action]), _median(theirs[action])
        if action == "open_attach":
            mine += _median(frame[action])
        ratio = mine / rival
        lines.append(
            [
                action,
                f"{mine:.1f}",
                f"{rival:.1f}",
                f"{ratio:.3f}",
                bound,
                "holds" if ratio <= bound else "FAILS",
            ]
        )
    whole = _median(ours["shell"])
    rival = _median(theirs["list_first"])
    lines.append(["whole screen : list", f"{whole:.1f}", f"{rival:.1f}", f"{whole / rival:.3f}", "", ""])
    head = ["what", "ours ms", "Roundcube ms", "ratio", "bound", ""]
    rates = "; ".join(
        f"{what}: {rate:.0f} against {theirs['rps'][what]:.0f} requests/s"
        for what, rate in ours["rps"].items()
    )
    return f"{result['machine']}, {result['when']}\n\n{table(head, lines)}\n\n{rates}"


def _median(samples: list[float]) -> float:
    """Of all but the first, which fills caches on both sides."""
    return statistics.median(samples[1:] or samples)


# Alone, with many rows


def _alone(made: Product, messages: int, samples: int) -> str:
    """Time in the server (loopback included) with a folder of so many, and the rest of the mailbox beside it."""
    _filled(made, 2_000)
    inbox = _folder(made, "inbox")
    _multiply(made, inbox, messages)
    port = load_rig()[1].free_port(24_100)
    spawn_web(made, "benchmarks.asking:application", port=port)
    browser = Browser(port)
    ids = [
        row[0]
        for row in made.rows(
            "SELECT id FROM mailsync_placement WHERE folder_id = %s ORDER BY received_at DESC LIMIT %s",
            inbox,
            samples * PAGE,
        )
    ]
    deep = _bottom(made, inbox, messages // PAGE - 10)
    bottom = _bottom(made, inbox, 1)
    act = {"list": inbox, "show": "", "bottom": bottom}
    each: dict[str, Callable[[int], Any]] = {
        "whole screen": lambda _: browser.get(f"/mail/{inbox}/"),
        "list, first rows": lambda _: browser.get(f"/mail/rows/?list={inbox}"),
        "list, near the end": lambda _: browser.get(f"/mail/rows/?list={inbox}&before={deep}"),
        "list, unread only": lambda _: browser.get(f"/mail/rows/?list={inbox}&show=unread"),
        "list, starred only": lambda _: browser.get(f"/mail/rows/?list={inbox}&show=starred"),
        "news, nothing new": lambda _: browser.get(f"/mail/news/?list={inbox}&rows=1&bottom={bottom}"),
        "open, pane": lambda i: browser.get(f"/mail/{inbox}/{ids[i * PAGE]}/"),
        "open, frame": lambda i: browser.get(f"/mail/message/{ids[i * PAGE]}/body/"),
        "mark 50": lambda i: browser.post(
            "/mail/act/", {**act, "verb": "star", "ids": ids[i * PAGE : (i + 1) * PAGE]}
        ),
    }
    lines = []
    for name, ask in each.items():
        took = sorted(_timed(ask, i) for i in range(samples))
        lines.append([name, f"{statistics.median(took):.1f}", f"{took[int(len(took) * 0.95)]:.1f}"])
    return f"{messages} messages in one folder\n\n{table(['what', 'median ms', 'p95 ms'], lines)}"


def _multiply(made: Product, inbox: int, messages: int) -> None:
    """Fill the folder up with messages like those it has: rows of their own, bodies shared."""
    made.rows(
        """INSERT INTO mailsync_message (account_id, mailbox_id, identity, header_hash, header, body_id, size,
               message_id, subject, sender_name, sender_address, recipients, sent_at, received_at, snippet,
               has_attachments, parse_problem)
           SELECT account_id, mailbox_id, sha256(identity || n::text::bytea), header_hash, header, body_id, size,
               message_id, subject || ' ' || n, sender_name, sender_address, recipients, sent_at,
               received_at - n * interval '7 minutes', snippet, has_attachments, parse_problem
           FROM generate_series(1, %s) n
           JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS k, count(*) OVER () AS every FROM mailsync_message) m
               ON n %% every = k""",
        messages,
    )
    made.rows(
        """INSERT INTO mailsync_placement (account_id, folder_id, message_id, uid, flags, received_at)
           SELECT account_id, %s, id, 10000000 + id,
               CASE WHEN id %% 9 = 0 THEN '{}'::text[] WHEN id %% 50 = 0 THEN '{"\\\\Flagged","\\\\Seen"}'
                    ELSE '{"\\\\Seen"}' END, received_at
           FROM mailsync_message m WHERE NOT EXISTS (SELECT FROM mailsync_placement p WHERE p.message_id = m.id)
           LIMIT %s - (SELECT count(*) FROM mailsync_placement WHERE folder_id = %s)""",
        inbox,
        messages,
        inbox,
    )
    made.rows("VACUUM ANALYZE")


def _timed(ask: Callable[[int], Any], number: int) -> float:
    started = time.perf_counter()
    ask(number)
    return (time.perf_counter() - started) * 1000


class Browser:
    """One kept connection, signed in."""

    def __init__(self, port: int, login: str = EMPLOYEE) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookies: dict[str, str] = {}
        page = self.get("/account/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.decode())
        assert token, "the sign-in page has no form"
        form = {"login": login, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
        self.post("/account/login/", form)

    def get(self, path: str) -> bytes:
        return self._ask("GET", path, None)

    def post(self, path: str, form: dict[str, Any]) -> bytes:
        return self._ask("POST", path, urlencode(form, doseq=True))

    def _ask(self, method: str, path: str, body: str | None) -> bytes:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded"}
            headers |= {"X-CSRFToken": self.cookies.get("csrftoken", "")}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status < 400, (method, path, answer.status, content[:500])
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return content


if __name__ == "__main__":
    main()
