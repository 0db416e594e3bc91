"""Every URL of the product, asked for by those who have no right to what is behind it.

The walk finds new URLs by itself. A URL with a new kind of id fails the walk until `ids_of_acme` knows one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.apps import apps
from django.db import connection
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts import departments, inviting
from crm import activities, deals
from crm.models import Contact, ContactImport, Deal, LetterTemplate, Rematch, Stage
from mailsync import outbox
from mailsync.models import Act, ConnectionTest, Notice, Placement, SpecialUse
from plans.models import PlanLimits
from retention.models import PlanNotice, RetentionRun
from tests.tasks.people import busy_task
from tests.world import World

CANARY = "canary7f3a"
SIGN_IN = "/account/login/"
# Would sign the walker out in the middle of the walk.
NOT_POSTED = {"account_logout"}
# Parts of a URL that name no row of anybody's.
NO_ID = {"kind"}
# What belongs to the whole company: a colleague is no stranger there (crm.access).
OF_THE_COMPANY = {"record_id", "deal_id", "activity_id", "rematch_id"}


@dataclass(frozen=True)
class Endpoint:
    """One URL pattern and the names of its variable parts."""

    name: str
    kwargs: tuple[str, ...]


@dataclass(frozen=True)
class Guarded:
    """Acme with mail that nobody but Ann may see, and the ids of everything of hers."""

    world: World
    ids: dict[str, object]
    form: dict[str, object]

    def url(self, endpoint: Endpoint) -> str:
        return reverse(endpoint.name, kwargs={name: self.ids[name] for name in endpoint.kwargs})


@pytest.fixture(autouse=True)
def streams_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walker reads every answer to its end."""
    monkeypatch.setattr("mailsync.views.live.SECONDS", 0)


def endpoints() -> list[Endpoint]:
    return sorted(_walk(get_resolver().url_patterns, ""), key=lambda endpoint: endpoint.name)


def _walk(patterns: list, namespace: str) -> Iterator[Endpoint]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from _walk(pattern.url_patterns, namespace + inner)
        elif isinstance(pattern, URLPattern):
            assert pattern.name, f"{pattern.pattern} has no name: the walk cannot go there"
            yield Endpoint(namespace + pattern.name, tuple(pattern.pattern.converters))


@pytest.fixture
def guarded(world: World) -> Guarded:
    inbox = world.folder(world.ann_box)
    placement = world.message(
        inbox,
        subject=f"Subject {CANARY}",
        text=f"Text {CANARY}",
        html=f"<p>Text {CANARY}</p>",
        sender=(f"Sender {CANARY}", f"{CANARY}@elsewhere.example"),
        attachments=[(f"{CANARY}.txt", "text/plain", CANARY.encode())],
    )
    with world.acting():
        archive = world.folder(world.ann_box, SpecialUse.ARCHIVE)
        undo = {"moves": {str(archive.pk): [placement.pk]}}
        act = Act.objects.create(account=world.acme, by=world.ann, verb="archive", count=1, undo=undo)
        test = ConnectionTest.objects.create(
            account=world.acme, by=world.ann, address=f"{CANARY}@acme.example", imap_host="127.0.0.1",
            login=CANARY, secret=world.ann_box.secret, state="passed", mailbox=world.ann_box,
        )  # fmt: skip
        deals.pipelines(world.acme)
        deal = Deal.objects.create(
            account=world.acme, name="Deal", responsible=world.ann, stage=Stage.objects.all()[0]
        )
        contact = Contact.objects.create(account=world.acme, name="Acme's client", responsible=world.ann)
        activity = activities.kept_for(world.acme.pk, placement.message_id)
        of_ann = {"account": world.acme, "by": world.ann}
        draft = ContactImport.objects.create(file_name=f"{CANARY}.csv", **of_ann)
        template = LetterTemplate.objects.create(name=f"Template {CANARY}", html=f"<p>{CANARY}</p>", **of_ann)
        rematch = Rematch.objects.create(finished_at=activity.at, **of_ann)
        notice = PlanNotice.objects.create(
            account=world.acme, employee=world.ann, key="x", on=timezone.now().date(), stage="ahead"
        )
        told = Notice.objects.create(
            account=world.acme, employee=world.ann, kind="mentioned", mailbox=world.ann_box, words=CANARY
        )
        task = busy_task(world.ann, placement.message, world.bob, title=f"Task {CANARY}")
        department = departments.make(world.acme, CANARY, by=world.adm)
        invitation = inviting.invite(
            email=f"{CANARY}@acme.example", name=CANARY, role="employee", department=department, by=world.adm
        )
        letter = outbox.start(
            world.ann_box,
            by=world.ann,
            subject=f"Letter {CANARY}",
            html=f"<p>{CANARY}</p>",
            quoted=f"<p>{CANARY}</p>",
        )
        file = outbox.attach(letter, name=f"{CANARY}.txt", content_type="text/plain", content=CANARY.encode())
        purge = RetentionRun.objects.create(
            account=world.acme,
            cutoff=activity.at,
            plan="x",
            storage_days=0,
            crm_bound_stays=False,
            state="waiting",
        )
        hanging = {
            "point_id": task.checklist.get(),
            "file_id": task.files.get(),
            "reminder_id": task.reminders.get(),
        }
    ids: dict[str, object] = {
        "kind": "contacts",
        "app_label": "plans",
        "notice_id": notice.pk,
        "object_id": PlanLimits.objects.order_by("pk")[0].pk,
        "record_id": contact.pk,
        "deal_id": deal.pk,
        "stage_id": deal.stage_id,
        "pipeline_id": deal.stage.pipeline_id,
        "activity_id": activity.pk,
        "import_id": draft.pk,
        "template_id": template.pk,
        "rematch_id": rematch.pk,
        "task_id": task.pk,
        "run_id": purge.pk,
        "status": "done",
        **{name: row.pk for name, row in hanging.items()},
        "folder_id": inbox.pk,
        "placement_id": placement.pk,
        "message_id": placement.message_id,
        "mailbox_id": world.ann_box.pk,
        "employee_id": world.ann.pk,
        "department_id": department.pk,
        "invitation_id": invitation.pk,
        "test_id": test.pk,
        "told_id": told.pk,
        "part": 2,
        "outgoing_id": letter.pk,
        "attachment_id": file.pk,
        "token": "forged",  # the address of a remote image is itself the permission, if we signed it
    }
    form = {"ids": placement.pk, "act": act.pk, "list": inbox.pk, "folder": archive.pk, "confirmed": "1",
            "task": task.pk}  # fmt: skip
    return Guarded(world, ids, form)


def test_the_walk_knows_an_id_for_every_url(guarded: Guarded) -> None:
    unknown = {e.name: set(e.kwargs) - guarded.ids.keys() for e in endpoints()}
    assert {name: missing for name, missing in unknown.items() if missing} == {}


def test_ann_herself_sees_her_mail(guarded: Guarded) -> None:
    """Otherwise the walks would prove nothing: the canary sings for its owner."""
    client = guarded.world.client(guarded.world.ann)
    for name in ("mail:folder", "mail:message", "mail:body", "mail:original", "mail:attachment"):
        [endpoint] = [e for e in endpoints() if e.name == name]
        answer = client.get(guarded.url(endpoint))
        assert answer.status_code == 200, name
        assert CANARY in text_of(answer), name


@pytest.mark.parametrize("who", ["anonymous", "eve", "cyd"])
def test_who_has_no_right_gets_nothing_and_changes_nothing(guarded: Guarded, who: str) -> None:
    client = Client() if who == "anonymous" else guarded.world.client(getattr(guarded.world, who))
    secrets = [CANARY, "acme"] if who != "cyd" else [CANARY]
    before = rows_of(guarded.world)
    wrong = []
    for endpoint in endpoints():
        if who == "cyd" and OF_THE_COMPANY & {*endpoint.kwargs}:
            continue
        for method, answer in answers(client, guarded, endpoint):
            told = [secret for secret in secrets if secret in text_of(answer).lower()]
            if told or not refused(answer, endpoint):
                wrong.append((endpoint.name, method, answer.status_code, told))
    assert wrong == []
    assert rows_of(guarded.world) == before


def test_the_admin_manages_mailboxes_but_reads_no_mail(guarded: Guarded) -> None:
    client = guarded.world.client(guarded.world.adm)
    told = [
        endpoint.name
        for endpoint in endpoints()
        if endpoint.name.startswith("mail:")
        and f"Text {CANARY}" in text_of(client.get(guarded.url(endpoint)))
    ]
    assert told == []


@pytest.mark.parametrize("who", ["eve", "cyd", "adm"])
def test_no_verb_reaches_a_message_of_somebody_elses_mailbox(guarded: Guarded, who: str) -> None:
    client = guarded.world.client(getattr(guarded.world, who))
    before = rows_of(guarded.world)
    ids = guarded.form["ids"]
    for verb in ("read", "unread", "star", "unstar", "archive", "trash", "spam", "not-spam", "expunge",
                 f"move:{guarded.form['folder']}"):  # fmt: skip
        for form in ({"verb": verb}, {"one": f"{verb}:{ids}"}, {"verb": verb, "all": "1"}):
            client.post(reverse("mail:act"), guarded.form | form)
    client.post(reverse("mail:undo"), guarded.form)
    after = rows_of(guarded.world)
    # An act on nothing may be noted; mail and intentions are as they were.
    assert {t: after[t] for t in after if t != "mailsync_act"} == {
        t: before[t] for t in before if t != "mailsync_act"
    }


def test_a_reader_changes_nothing(guarded: Guarded) -> None:
    """Cyd is let into the mailbox to read: every page opens, no verb works."""
    world = guarded.world
    with world.acting():
        world.ann_box.grants.create(account=world.acme, employee=world.cyd, level="read")
    client = world.client(world.cyd)
    opened = client.get(reverse("mail:original", kwargs={"placement_id": guarded.ids["placement_id"]}))
    assert CANARY in text_of(opened)
    for verb in ("read", "star", "archive", "trash", "spam"):
        client.post(reverse("mail:act"), guarded.form | {"verb": verb})
    with world.acting():
        placement = Placement.objects.get()
        assert (placement.folder_id, placement.flags) == (guarded.ids["folder_id"], [])


def answers(client: Client, guarded: Guarded, endpoint: Endpoint) -> Iterator[tuple[str, HttpResponseBase]]:
    url = guarded.url(endpoint)
    yield "GET", client.get(url)
    yield "GET by htmx", client.get(url, headers={"HX-Request": "true"})
    if endpoint.name not in NOT_POSTED:
        yield "POST", client.post(url, guarded.form)


def refused(answer: HttpResponseBase, endpoint: Endpoint) -> bool:
    """A page with an id of Acme's is closed; a page without one may be the walker's own."""
    if answer.status_code in {403, 404, 405}:
        return True
    if answer.status_code == 302 and answer["Location"].startswith(SIGN_IN):
        return True
    return not {*endpoint.kwargs} - NO_ID and answer.status_code < 500


def text_of(answer: HttpResponseBase) -> str:
    assert isinstance(answer, HttpResponse | StreamingHttpResponse)
    content = answer.getvalue() if isinstance(answer, StreamingHttpResponse) else answer.content
    return content.decode("utf-8", "replace") + "".join(
        f"{name}: {value}\n" for name, value in answer.items()
    )


def rows_of(world: World) -> dict[str, str]:
    """A fingerprint of each table of Acme."""
    tables = [
        model._meta.db_table
        for model in apps.get_models()
        if any(field.column == "account_id" for field in model._meta.concrete_fields)
    ]
    with world.acting(), connection.cursor() as cursor:
        prints = {}
        for table in tables:
            cursor.execute(
                f"SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM {table} t WHERE account_id = %s",
                [world.acme.pk],
            )
            [prints[table]] = cursor.fetchone()
    return prints
