"""What happened is written down, and an admin finds it again."""

import ast
import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest
from django.apps import apps as django_apps
from django.db import connection
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import audit, audit_search
from accounts.audit_search import Asked
from accounts.audit_words import SENTENCES
from accounts.models import AuditEntry
from retention import runs
from retention.models import RetentionRun, RunState
from tests.accounts.matrix import text_of
from tests.world import PASSWORD, World

pytestmark = pytest.mark.django_db


def test_who_comes_and_goes_is_written_down_with_their_address(world: World) -> None:
    client = Client(REMOTE_ADDR="192.0.2.7")
    sign_in = {"login": "Ann@acme.example", "password": "guessed"}
    client.post(reverse("account_login"), sign_in)
    client.post(reverse("account_login"), sign_in | {"password": PASSWORD})
    client.post(reverse("account_logout"))
    page = text_of(shown(world))
    for sentence in (
        "Somebody failed to sign in as ann@acme.example from 192.0.2.7",
        "Ann Archer signed in from 192.0.2.7",
        "Ann Archer signed out from 192.0.2.7",
    ):
        assert sentence in page
    assert "guessed" not in page


def test_somebody_unknown_who_tries_to_sign_in_is_in_nobodys_log(world: World) -> None:
    Client().post(reverse("account_login"), {"login": "zoe@nowhere.example", "password": "guessed"})
    for account in (world.acme, world.other):
        with world.acting(account):
            assert not AuditEntry.objects.filter(verb="sign_in.failed").exists()


def test_a_purge_is_one_line_whatever_it_removed(world: World) -> None:
    with world.acting():
        run = RetentionRun.objects.create(
            account=world.acme, cutoff=timezone.now(), plan="x", storage_days=0, crm_bound_stays=False,
            state=RunState.RUNNING,
        )  # fmt: skip
        for kind, messages in (("removed", 7), ("hidden", 3)):
            run.lines.create(
                account=world.acme, mailbox=world.ann_box, kind=kind, messages=messages, bytes=1000
            )
    runs.end(run, RunState.FINISHED)
    runs.end(run, RunState.FINISHED)
    page = text_of(shown(world, group="leaving"))
    assert page.count(f"Purge {run.pk} is over: 7 messages removed, 3 hidden") == 1


def test_an_admin_finds_what_one_person_did_in_a_week(world: World) -> None:
    with world.acting():
        for by, verb, subject in (
            (world.ann, "mailbox.shared", "team@acme.example"),
            (world.bob, "mailbox.unshared", "team@acme.example"),
            (world.ann, "plan.changed", "basic"),
            (world.ann, "kettle.boiled", "the blue one"),
        ):
            audit.record(verb, subject, account_id=world.acme.pk, by=by, to="zoe")
        long_ago = AuditEntry(account=world.acme, by=world.ann, verb="folder.deleted", subject="Old")
        long_ago.at = datetime(2020, 5, 17, 12, tzinfo=UTC)
        long_ago.save()
    today = timezone.localdate().isoformat()
    assert subjects(world, by=world.ann.pk, since=today) == ["the blue one", "basic", "team@acme.example"]
    assert subjects(world, group="mailboxes") == ["team@acme.example", "team@acme.example", "Old"]
    assert subjects(world, since="2020-05-17", until="2020-05-17") == ["Old"]
    assert subjects(world, q="BLUE") == ["the blue one"]
    assert subjects(world, q="zoe", by=world.bob.pk) == ["team@acme.example"]
    # A verb without a sentence is shown as it is; what means nothing counts as not said.
    assert "Ann Archer: kettle.boiled the blue one" in text_of(
        shown(world, by="x", since="tomorrow", before="-1")
    )


def test_older_lines_come_page_by_page_each_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand things can happen at one moment."""
    moment = timezone.now()
    with world.acting():
        AuditEntry.objects.bulk_create(
            AuditEntry(
                account=world.acme,
                verb="mailbox.shared" if n % 2 else "plan.changed",
                subject=str(n),
                at=moment,
            )
            for n in range(120)
        )
    monkeypatch.setattr(audit_search, "WINDOW", 70)
    for asked in (Asked(), Asked(group="mailboxes"), Asked(q="1")):
        with world.acting():
            pages = list(audit_search.everything(world.acme, asked, size=50))
            expected = [str(n) for n in reversed(range(120)) if asked == Asked() or (asked.q in str(n) and
                        (n % 2 or not asked.group))]  # fmt: skip
        assert [each.subject for page in pages for each in page if each.at == moment] == expected


def test_the_file_is_no_program_and_its_taking_is_written_down(world: World) -> None:
    with world.acting():
        for subject in ("=HYPERLINK(1)", "+1", "-1", "@x", "plain"):
            audit.record("mailbox.shared", subject, account_id=world.acme.pk, by=world.ann, to="bob")
        audit.record("plan.changed", "basic", account_id=world.acme.pk, by=world.ann)
    with world.acting(world.other):
        audit.record("mailbox.shared", "eves", account_id=world.other.pk, by=world.eve)
    answer = world.client(world.adm).post(reverse("people:audit-export"), {"group": "mailboxes"})
    rows = list(csv.DictReader(io.StringIO(text_of(answer).split("Content-Type")[0])))
    assert [row["subject"] for row in rows] == ["plain", "'@x", "'-1", "'+1", "'=HYPERLINK(1)"]
    assert rows[0]["what"] == "Ann Archer let bob into plain to –"
    with world.acting():
        taken = AuditEntry.objects.get(verb="audit.exported")
    assert (taken.by_id, taken.details) == (world.adm.pk, {"lines": "group mailboxes"})


@pytest.mark.slow
def test_a_million_lines_are_no_reason_to_wait(world: World) -> None:
    """Every narrowing below 150 ms on a table that nobody has analysed; words a part at a time."""
    with world.acting(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_auditentry (account_id, at, by_id, verb, subject, details)"
            " SELECT %s, now() - n * interval '1 minute', CASE WHEN n %% 3 = 0 THEN %s WHEN n %% 7000 = 1 THEN %s END,"
            " CASE WHEN n %% 9000 = 0 THEN 'plan.changed' ELSE 'mailbox.shared' END, 'subject ' || n, '{}'"
            " FROM generate_series(1, 1000000) n",
            [world.acme.pk, world.ann.pk, world.bob.pk],
        )
        middle = AuditEntry.objects.order_by("-at")[500_000].pk
    slow = {}
    for asked in (
        Asked(), Asked(before=middle), Asked(by=world.ann.pk), Asked(by=world.bob.pk), Asked(group="plan"),
        Asked(group="people"), Asked(since=(timezone.now() - timedelta(days=300)).date()),
        Asked(until=(timezone.now() - timedelta(days=300)).date()), Asked(group="plan", before=middle),
        Asked(by=world.bob.pk, group="plan"), Asked(q="nothing like that"), Asked(q="subject 77"),
    ):  # fmt: skip
        with world.acting():
            began = perf_counter()
            audit_search.page(world.acme, asked)
            seconds = perf_counter() - began
        print(asked, f"{seconds * 1000:.0f} ms")
        if seconds > (0.5 if asked.q else 0.15):
            slow[asked] = seconds
    assert slow == {}


def shown(world: World, **asked: str | int) -> HttpResponseBase:
    answer: HttpResponseBase = world.client(world.adm).get(reverse("people:audit"), asked)
    assert answer.status_code == 200
    return answer


def subjects(world: World, **asked: str | int) -> list[str]:
    return [entry.subject for entry, _sentence, _details in shown(world, **asked).context["entries"]]  # type: ignore[attr-defined]


def _verbs_written() -> set[str]:
    """What the product hands to audit.record, or to a function that hands it on."""
    root = Path(__file__).resolve().parents[2]
    files = [file for app in django_apps.get_app_configs() for file in Path(app.path).rglob("*.py")]
    calls = [
        node
        for file in files
        if root in file.parents and ".venv" not in file.parts
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("record", "_done"))
    ]
    words = [part for call in calls for arg in call.args for part in ast.walk(arg)]
    texts = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return {text for text in texts if re.fullmatch(r"[a-z_]+\.[a-z_]+", text)}


def test_everything_that_is_written_down_has_its_sentence() -> None:
    written = _verbs_written()
    assert len(written) > 60
    assert written - {*SENTENCES} == set()
