"""What the screens of mail answer."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from mailsync.models import Operation, Placement, SpecialUse
from mailsync.views.documents import disposition
from mailsync.views.pane import plain
from tests.reading.factory import NEWEST, fill
from tests.world import World

HTMX: dict[str, Any] = {"HTTP_HX_REQUEST": "true"}


def url_of(placement: Placement) -> str:
    return f"/mail/{placement.folder_id}/{placement.pk}/"


def test_the_unified_inbox_shows_own_and_granted_mailboxes_but_no_others(world: World) -> None:
    world.message(world.folder(world.ann_box), subject="For Ann")
    world.message(world.folder(world.team_box), subject="For the team")
    page = world.client(world.bob).get("/").content.decode()
    assert "For the team" in page
    assert "For Ann" not in page
    assert "For Ann" in world.client(world.ann).get("/").content.decode()
    assert "For the team" not in world.client(world.adm).get("/").content.decode()


def test_somebody_without_mailboxes_is_told_how_to_begin(world: World) -> None:
    page = world.client(world.cyd).get("/").content.decode()
    assert "Connect your first mailbox" in page


def test_strangers_and_colleagues_get_the_same_404(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    for path in (
        f"/mail/{placement.folder_id}/",
        url_of(placement),
        f"/mail/message/{placement.pk}/body/",
        f"/mail/message/{placement.pk}/original/",
        f"/mail/message/{placement.pk}/headers/",
        f"/mail/message/{placement.pk}/file/0/",
        f"/mail/rows/?list={placement.folder_id}",
    ):
        for who in (world.cyd, world.adm, world.eve):
            assert world.client(who).get(path).status_code == 404, path
        assert world.client(world.ann).get(path).status_code in {200, 404}


def test_who_is_not_signed_in_is_sent_to_the_login(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    answer = world.client(world.ann).__class__().get(url_of(placement))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/account/login/")


def test_htmx_gets_the_pane_alone_and_a_browser_the_whole_screen(world: World) -> None:
    placement = world.message(
        world.folder(world.ann_box), subject="Plans", text="See https://acme.example/x."
    )
    client = world.client(world.ann)
    part = client.get(url_of(placement), **HTMX)
    whole = client.get(url_of(placement))
    assert 'id="message"' in part.content.decode()
    assert "<html" not in part.content.decode()
    assert "<html" in whole.content.decode()
    assert 'href="https://acme.example/x"' in part.content.decode()
    assert "HX-Request" in whole.headers["Vary"]


def test_opening_changes_nothing_by_itself(world: World) -> None:
    """A prefetching browser must not mark mail as read: that is a POST of its own."""
    placement = world.message(world.folder(world.ann_box))
    world.client(world.ann).get(url_of(placement))
    with world.acting():
        placement.refresh_from_db()
        assert not placement.seen
        assert not Operation.objects.exists()


def test_an_old_link_to_a_moved_message_leads_to_where_it_is_now(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    archive = world.folder(world.ann_box, SpecialUse.ARCHIVE)
    with world.acting():
        Placement.objects.filter(pk=placement.pk).update(folder=archive)
    answer = world.client(world.ann).get(url_of(placement))
    assert answer.headers["Location"] == f"/mail/{archive.pk}/{placement.pk}/"


def test_awkward_mail_is_listed_and_opened(world: World) -> None:
    inbox = world.folder(world.ann_box)
    awkward = [
        b"Subject: no sender\r\n\r\nbody\r\n",
        b"From: a@b.example\r\n\r\nno subject, no date\r\n",
        b"From: <script>alert(1)</script>\r\nSubject: <img src=x onerror=alert(1)>\r\n\r\n<b>x</b>\r\n",
        b"From: x@y.example\r\nSubject: " + b"long " * 60 + b"\r\n\r\n\r\n",
        b"",
    ]
    placed = [world.message(inbox, raw=raw) for raw in awkward]
    client = world.client(world.ann)
    page = client.get("/").content.decode()
    assert page.count('class="row unread') == len(awkward)
    assert "(no sender)" in page
    assert "(no subject)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    for placement in placed:
        part = client.get(url_of(placement), **HTMX).content.decode()
        assert 'id="message"' in part
        assert "<script>alert" not in part


def test_sent_mail_shows_to_whom_it_went(world: World) -> None:
    sent = world.folder(world.ann_box, SpecialUse.SENT)
    world.message(sent, to=[("Lena Brandt", "lena@x.example")], sender=("Ann", "ann@acme.example"))
    assert "To Lena Brandt" in world.client(world.ann).get(f"/mail/{sent.pk}/").content.decode()


def test_the_list_goes_on_by_keyset_with_and_without_scripts(world: World) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        fill(inbox, 120)
    client = world.client(world.ann)
    first = client.get(f"/mail/{inbox.pk}/").content.decode()
    part = re.search(r'hx-get="([^"]+)"', first.partition('id="more"')[2])
    plain_link = re.search(r'<a href="([^"]+)">Older', first)
    assert part
    assert plain_link
    seen = set(re.findall(r'id="(r\d+)"', first))
    for path in (part[1], plain_link[1]):
        more = set(re.findall(r'id="(r\d+)"', client.get(path.replace("&amp;", "&")).content.decode()))
        assert len(more) == 50
        assert not more & seen


def test_opening_an_old_message_by_its_link_shows_the_list_around_it(world: World) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        fill(inbox, 120)
        old = Placement.objects.filter(folder=inbox).order_by("-received_at")[100]
    page = world.client(world.ann).get(url_of(old)).content.decode()
    assert f'id="r{old.pk}"' in page
    assert "Newest messages" in page


def test_pages_need_few_statements_however_long_the_folder(world: World) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        fill(inbox, 300)
        placement = Placement.objects.filter(folder=inbox).order_by("-received_at")[20]
    client = world.client(world.ann)
    for path, extra, most in (
        (f"/mail/{inbox.pk}/", {}, 11),
        ("/", {}, 11),
        (f"/mail/rows/?list={inbox.pk}", {}, 10),
        (url_of(placement), HTMX, 10),
        (f"/mail/message/{placement.pk}/body/", {}, 8),
    ):
        client.get(path, **extra)
        with override_settings(DATABASE_PREPARES=False), CaptureQueriesContext(connection) as statements:
            assert client.get(path, **extra).status_code == 200
        assert len(statements) <= most, [each["sql"][:90] for each in statements]
        asked = " ".join(each["sql"] for each in statements if "received_at" in each["sql"])
        assert "COUNT(" not in asked
        assert '"header"' not in asked


def test_news_are_silent_until_something_changes(world: World) -> None:
    inbox = world.folder(world.ann_box)
    first = world.message(inbox, subject="First")
    client = world.client(world.ann)
    page = client.get("/").content.decode()
    token = re.search(r'data-token="([^"]+)"', page)
    assert token
    ask = f"/mail/news/?list=all&rows=1&token={token[1]}"
    assert client.get(ask).status_code == 204
    world.message(inbox, subject="Second")
    answer = client.get(ask)
    assert "Second" in answer.content.decode()
    assert client.get(f"/mail/news/?list=all&token={answer.headers['X-News']}").status_code == 204
    with world.acting():
        Placement.objects.filter(pk=first.pk).update(flags=["\\Flagged"])
    assert client.get(f"/mail/news/?list=all&token={answer.headers['X-News']}").status_code == 200


def test_a_mailbox_in_trouble_says_so_with_the_way_out(world: World) -> None:
    with world.acting():
        world.ann_box.state, world.ann_box.last_error = "refused", "The server refused the password."
        world.ann_box.troubled_since = timezone.now() - timedelta(hours=3)
        world.ann_box.save()
    page = world.client(world.ann).get("/").content.decode()
    assert "The server refused the password." in page
    assert f"/mailboxes/{world.ann_box.pk}/server/" in page


def test_what_the_server_refused_is_told_until_it_is_dismissed(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        Operation.objects.create(
            account=world.acme, mailbox=world.ann_box, folder_id=placement.folder_id, kind="flag", state="failed",
            by=world.ann, error="The folder is read-only.", placement=placement,
        )  # fmt: skip
    client = world.client(world.ann)
    assert "The folder is read-only." in client.get("/").content.decode()
    assert "The folder is read-only." not in world.client(world.bob).get("/").content.decode()
    client.post("/mail/failed/dismiss/")
    assert "The folder is read-only." not in client.get("/").content.decode()


def test_files_leave_as_downloads_that_no_browser_runs(world: World) -> None:
    placement = world.message(
        world.folder(world.ann_box),
        attachments=[
            ("page.html", "text/html", b"<script>alert(1)</script>"),
            ("Übersicht \u202e2026.pdf", "application/pdf", b"%PDF"),
            ("a.png", "image/png", b"\x89PNG"),
            ("b.svg", "image/svg+xml", b"<svg onload=alert(1)>"),
        ],
    )
    client = world.client(world.ann)
    part = client.get(url_of(placement), **HTMX).content.decode()
    links = re.findall(r'href="(/mail/message/\d+/file/\d+/)"', part)
    answers = [client.get(link) for link in links]
    kinds = [answer.headers["Content-Type"] for answer in answers]
    assert kinds == [
        "application/octet-stream",
        "application/pdf",
        "image/png",
        "application/octet-stream",
    ]
    for answer in answers:
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "filename*=UTF-8''%C3%9Cbersicht" in answers[1].headers["Content-Disposition"]
    assert client.get(f"{links[2]}?inline=1").headers["Content-Disposition"].startswith("inline;")
    assert client.get(f"{links[3]}?inline=1").headers["Content-Disposition"].startswith("attachment;")
    assert client.get(f"/mail/message/{placement.pk}/file/99/").status_code == 404


@pytest.mark.parametrize(
    "name",
    ['a"; filename="b.exe', "a\r\nSet-Cookie: x=1", "../../etc/passwd", "x" * 500 + ".pdf", "", "日本.txt"],
)
def test_no_file_name_breaks_out_of_its_header(name: str) -> None:
    header = disposition("attachment", name)
    assert "\r" not in header
    assert "\n" not in header
    assert header.isascii()
    assert header.count('"') == 2
    assert "/" not in header.replace("UTF-8", "")


def test_the_original_comes_back_byte_for_byte(world: World) -> None:
    raw = b"From: a@b.example\r\nSubject: =?x?\xff\xfe\r\n\r\nbytes \x00\xff\r\n"
    placement = world.message(world.folder(world.ann_box), raw=raw)
    client = world.client(world.ann)
    shown = client.get(f"/mail/message/{placement.pk}/original/")
    assert shown.content == raw
    assert shown.headers["Content-Type"].startswith("text/plain")
    saved = client.get(f"/mail/message/{placement.pk}/original/?download=1")
    assert saved.content == raw
    assert saved.headers["Content-Disposition"].startswith("attachment;")
    assert b"From" in client.get(f"/mail/message/{placement.pk}/headers/").content


def test_plain_text_becomes_harmless_html() -> None:
    shown = plain('<b>&</b>\n> quoted <i>\nhttps://a.example/?a=1&b=2"onmouseover="x')
    assert "<b>" not in shown
    assert '<span class="quoted">&gt; quoted &lt;i&gt;</span>' in shown
    assert 'href="https://a.example/?a=1&amp;b=2' in shown
    assert 'onmouseover="x' not in shown


def test_dates_are_those_of_the_employee(world: World) -> None:
    world.ann.time_zone = "Asia/Tokyo"
    world.message(world.folder(world.ann_box), received_at=NEWEST)
    page = world.client(world.ann).get("/").content.decode()
    assert "2026-11-01 21:00+09:00" in page
