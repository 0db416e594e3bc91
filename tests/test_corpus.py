"""Real mail of other projects: put into Dovecot, synchronised, listed and opened through the page."""

import mailbox
import os
import re
import time
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from tests.engine.conftest import Box, connect
from tests.rigs.mailserver import MailServer
from tests.world import World


def messages(corpus: Path) -> list[bytes]:
    """Every message of the corpus: files as they are, mbox files taken apart."""
    found = []
    for path in sorted(corpus.rglob("*")):
        if not path.is_file() or "_oracle" in path.parts or path.suffix in {".jsonl", ".md"}:
            continue
        if path.suffix == ".mbox":
            box = mailbox.mbox(path, create=False)
            found += [box.get_bytes(key) for key in box.keys()]  # noqa: SIM118 (a mailbox is no dict)
            box.close()
        else:
            found.append(path.read_bytes())
    return found


def put(dovecot: MailServer, login: str, mails: list[bytes]) -> None:
    """Into the Maildir, received one minute after the other, the last a day ago."""
    with dovecot.imap(login) as client:
        client.select()
    folder = dovecot.maildir(login) / "cur"
    start = time.time() - 86_400 - 60 * len(mails)
    for number, raw in enumerate(mails):
        file = folder / f"{int(start)}.M{number:06}P1.corpus:2,"
        file.write_bytes(raw)
        os.utime(file, (start + 60 * number, start + 60 * number))
    quiet = time.time() - 60
    os.utime(folder, (quiet, quiet))


SHARES = 4  # one of them in every run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, SHARES))])
def test_every_mail_of_the_corpus_is_synced_listed_and_opened(
    world: World, dovecot: MailServer, corpus: Path, share: int
) -> None:
    everything = messages(corpus)
    assert len(everything) > 3_300
    mails = everything[share::SHARES]
    box = connect(world, dovecot)
    put(dovecot, box.login, mails)
    box.sync()
    assert len(box.placements()) == len(mails)
    assert _differences(box) == []
    with box.acting():
        assert not box.folder().skipped.exists()
    client = world.client(world.ann)
    assert _listed(client, box) == len(mails)
    _open_all(client, box)


def _differences(box: Box) -> list[tuple[int | None, object, object]]:
    ours = box.our_view()["INBOX"]
    theirs: dict[int | None, object] = dict(box.server_view()["INBOX"].items())
    return [
        (uid, ours.get(uid), theirs.get(uid)) for uid in ours | theirs if ours.get(uid) != theirs.get(uid)
    ]


def _listed(client: Client, box: Box) -> int:
    """Walk the list from its first page to its last, by the links a person without JavaScript follows."""
    url: str | None = reverse("mail:folder", args=[box.folder().pk])
    rows = set()
    while url:
        page = client.get(url)
        assert page.status_code == 200
        text = page.content.decode()
        rows |= set(re.findall(rf"/mail/{box.folder().pk}/(\d+)/", text))
        older = re.search(r'id="more".*?<a href="([^"]+)"', text)
        url = older.group(1).replace("&amp;", "&") if older else None
    return len(rows)


def _open_all(client: Client, box: Box) -> None:
    for pk, folder in [(p.pk, p.folder_id) for p in box.placements()]:
        pane = client.get(reverse("mail:message", args=[folder, pk]), headers={"HX-Request": "true"})
        assert pane.status_code == 200, pk
        body = client.get(reverse("mail:body", args=[pk]))
        assert body.status_code == 200, pk
        assert "sandbox" in body.headers["Content-Security-Policy"]
