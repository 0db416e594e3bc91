"""Acme with something of everything that a URL may show, and the eight kinds of people who may ask for it.

What only the people of a mailbox or a task may see carries PRIVATE; what all of Acme may see carries COMPANY.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core import signing
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import departments, inviting, tenancy
from accounts.models import BrowserSession, Employee, PersonalNotice, Role
from accounts.two_factor import TwoFactorAdapter
from crm import activities, deals
from crm.matching import Ref
from crm.models import (
    Contact,
    ContactImport,
    Deal,
    EmailAddress,
    Exclusion,
    Lead,
    LetterTemplate,
    Rematch,
    Stage,
)
from mailsync import folders, outbox
from mailsync.models import (
    Act,
    ConnectionTest,
    EmergencyAccess,
    Enrolment,
    GrantLevel,
    Note,
    Notice,
    SpecialUse,
)
from overview.models import Deed
from plans.models import PlanLimits
from retention import exporting
from retention.models import Export, Leaver, PlanNotice, RetentionRun
from tasks.deletion import ask_deletion
from tasks.models import Task
from tests.tasks.people import busy_task
from tests.world import World, account, employee, made_world, mailbox

PRIVATE = "canary7f3a"
COMPANY = "finch9b2e"
# Written in every address and name of the company: nobody outside may read even that.
NAME = "acme"
GOOGLE = "imap.gmail.com"

TENANT = {
    model._meta.db_table
    for model in apps.get_models()
    if any(field.column == "account_id" for field in model._meta.concrete_fields)
}
# Outside of Acme: nobody, the admin of another company, the operator of a third one.
OUTSIDE = ("anonymous", "stranger", "operator")
# Inside: Cyd without access to anything, the supervisor, Bob with a grant, Ann whose mail it is, and the admin.
INSIDE = ("colleague", "supervisor", "granted", "owner", "admin")
PEOPLE = (*OUTSIDE, *INSIDE)


@dataclass(frozen=True)
class Guarded:
    """`ids` by the name of a URL's part and `form`, which every request carries; `own_*` by the name of one URL."""

    world: World
    people: dict[str, Employee | None]
    ids: dict[str, Any]
    own_ids: dict[str, dict[str, Any]]
    form: dict[str, object]
    own_form: dict[str, dict[str, object]]
    cookies: dict[str, str]
    rows: dict[str, str]
    # One for everybody: each new one would load the middleware anew.
    _browser: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def browser(self, who: str) -> Client:
        """A browser in which this kind of person is signed in; it is one browser, so ask with it at once."""
        self._browser.cookies = SimpleCookie(self.cookies[who])
        return self._browser

    def ids_of(self, name: str, kwargs: Iterable[str]) -> dict[str, Any]:
        ids = self.ids | self.own_ids.get(name, {})
        return {each: ids[each] for each in kwargs}

    def form_of(self, name: str) -> dict[str, object]:
        """Files are made for each request, because reading uses them up."""
        given = self.form | self.own_form.get(name, {})
        return {key: value() if callable(value) else value for key, value in given.items()}


@contextmanager
def undone() -> Iterator[None]:
    """What the block writes is taken back at its end."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def furnish() -> Guarded:
    world = made_world()
    people = _people(world)
    inbox = world.folder(world.ann_box)
    placement = world.message(
        inbox,
        subject=f"Subject {PRIVATE}",
        text=f"Text {PRIVATE}",
        html=f"<p>Text {PRIVATE}</p>",
        sender=(f"Sender {PRIVATE}", f"{PRIVATE}@elsewhere.example"),
        attachments=[(f"{PRIVATE}.txt", "text/plain", PRIVATE.encode())],
    )
    with world.acting():
        archive = world.folder(world.ann_box, SpecialUse.ARCHIVE)
        undo = {"moves": {str(archive.pk): [placement.pk]}}
        of_ann = {"account": world.acme, "by": world.ann}
        act = Act.objects.create(verb="archive", count=1, undo=undo, **of_ann)
        test = ConnectionTest.objects.create(
            address=f"{PRIVATE}@acme.example", imap_host="127.0.0.1", login=PRIVATE, secret=world.ann_box.secret,
            state="passed", mailbox=world.ann_box, **of_ann,
        )  # fmt: skip
        by_consent = mailbox(world.ann, "ann2@acme.example", imap_host=GOOGLE)
        asked = ConnectionTest.objects.create(
            address=by_consent.address,
            imap_host=GOOGLE,
            login=PRIVATE,
            provider="google",
            state="asked",
            **of_ann,
        )
        deals.pipelines(world.acme)
        client = {"account": world.acme, "responsible": world.ann}
        deal = Deal.objects.create(name=f"Deal {COMPANY}", stage=Stage.objects.all()[0], **client)
        contact = Contact.objects.create(name=f"Contact {COMPANY}", **client)
        address = EmailAddress.objects.create(
            account=world.acme, address=f"{COMPANY}@elsewhere.example", contact=contact
        )
        lead = Lead.objects.create(name=f"Lead {COMPANY}", **client)
        binned = Contact.objects.create(name=f"Gone {COMPANY}", binned_at=timezone.now(), **client)
        Exclusion.objects.create(account=world.acme, pattern=f"{COMPANY}.example")
        activity = activities.kept_for(world.acme.pk, placement.message_id)
        state = activities.bind(activity, Ref("contact", contact.pk), by=world.ann, alone=True)
        department = departments.make(world.acme, COMPANY, by=world.adm)
        invitation = inviting.invite(
            email=f"{COMPANY}@acme.example",
            name=COMPANY,
            role="employee",
            department=department,
            by=world.adm,
        )
        draft = ContactImport.objects.create(file_name=f"{PRIVATE}.csv", **of_ann)
        template = LetterTemplate.objects.create(
            name=f"Template {PRIVATE}", html=f"<p>{PRIVATE}</p>", **of_ann
        )
        rematch = Rematch.objects.create(finished_at=activity.at, **of_ann)
        notice = PlanNotice.objects.create(
            account=world.acme, employee=world.ann, key="x", on=timezone.now().date(), stage="ahead"
        )
        own_notice = PersonalNotice.objects.create(
            account=world.acme, employee=world.ann, kind="two_factor_reset", details={"by": PRIVATE}
        )
        place = BrowserSession.objects.create(
            account=world.acme, employee=world.ann, key=PRIVATE, address=PRIVATE, agent=PRIVATE
        )
        export = Export.objects.create(account=world.acme, by=world.ann, what="mine", state="done")
        exporting.path_of(export).parent.mkdir(parents=True, exist_ok=True)
        exporting.path_of(export).write_text(PRIVATE)
        codes = {"seed": TwoFactorAdapter().encrypt(PRIVATE), "used_mask": 0}
        passkey = Authenticator.objects.create(user=world.ann, type="recovery_codes", data=codes)
        note = Note.objects.create(
            mailbox=world.ann_box,
            identity=bytes(placement.message.identity),
            text=f"Note {PRIVATE}",
            **of_ann,
        )
        told = Notice.objects.create(
            account=world.acme, employee=world.ann, kind="mentioned", mailbox=world.ann_box, words=PRIVATE
        )
        task = busy_task(world.ann, placement.message, world.bob, title=f"Task {PRIVATE}")
        leaving = busy_task(world.ann, placement.message, world.bob, title=f"Task {PRIVATE}")
        ask_deletion(leaving, keep_mail=True, by=world.ann)
        Task.objects.filter(pk=leaving.pk).update(delete_at=timezone.now() + timedelta(days=1))
        made = folders.create_folder(world.ann_box, f"Folder {PRIVATE}", by=world.ann)
        letter = outbox.start(
            world.ann_box,
            by=world.ann,
            subject=f"Letter {PRIVATE}",
            html=f"<p>{PRIVATE}</p>",
            quoted=f"<p>{PRIVATE}</p>",
        )
        file = outbox.attach(
            letter, name=f"{PRIVATE}.txt", content_type="text/plain", content=PRIVATE.encode()
        )
        purge = RetentionRun.objects.create(
            account=world.acme,
            cutoff=activity.at,
            plan="x",
            storage_days=0,
            crm_bound_stays=False,
            state="waiting",
        )
        Leaver.objects.create(
            account=world.acme,
            employee=world.ann,
            by=world.adm,
            ends_at=timezone.now(),
            heir=world.bob,
            state="returned",
        )
        later = PlanLimits.objects.get(plan="basic")
        later.pk, later.effective_from = None, timezone.now().date() + timedelta(days=90)
        later.save()
        point, task_file, reminder = task.checklist.get(), task.files.get(), task.reminders.get()
    with world.acting():
        deed = Deed.objects.create(
            account=world.acme, by=world.adm, verb="pause", before=[[world.ann_box.pk, None]]
        )
        handed_in = Enrolment.objects.create(account=world.acme, by=world.adm)
        to_mend = handed_in.rows.create(account=world.acme, number=1, typed={"address": "a@b.example"})
        over = EmergencyAccess.objects.create(
            account=world.acme, mailbox=world.ann_box, employee=world.adm, reason="x", ends_at=timezone.now()
        )
    ids: dict[str, Any] = {
        "kind": "contacts",
        "plan": "basic",
        "app_label": "plans",
        "department_id": department.pk,
        "invitation_id": invitation.pk,
        "notice_id": notice.pk,
        "own_notice_id": own_notice.pk,
        "export_id": export.pk,
        "session_id": place.pk,
        "pk": passkey.pk,
        "object_id": PlanLimits.objects.order_by("pk")[0].pk,
        "record_id": contact.pk,
        "deal_id": deal.pk,
        "stage_id": deal.stage_id,
        "pipeline_id": deal.stage.pipeline_id,
        "activity_id": activity.pk,
        "import_id": draft.pk,
        "template_id": template.pk,
        "told_id": told.pk,
        "note_id": note.pk,
        "rematch_id": rematch.pk,
        "task_id": task.pk,
        "run_id": purge.pk,
        "deed_id": deed.pk,
        "emergency_id": over.pk,
        "enrolment_id": handed_in.pk,
        "row_id": to_mend.pk,
        "status": "done",
        "point_id": point.pk,
        "file_id": task_file.pk,
        "reminder_id": reminder.pk,
        "folder_id": inbox.pk,
        "placement_id": placement.pk,
        "message_id": placement.message_id,
        "mailbox_id": world.ann_box.pk,
        "employee_id": world.ann.pk,
        "test_id": test.pk,
        "part": 2,
        "outgoing_id": letter.pk,
        "attachment_id": file.pk,
        "token": "forged",  # the address of a remote image is itself the permission, if we signed it
    }
    own_ids: dict[str, dict[str, Any]] = {
        "admin:plans_planlimits_change": {"object_id": later.pk},
        "admin:plans_planlimits_delete": {"object_id": later.pk},
        "crm:convert": {"kind": "leads", "record_id": lead.pk},
        "crm:restore": {"record_id": binned.pk},
        "mail:connect-consent": {"test_id": asked.pk},
        "mail:mailbox-consent": {"mailbox_id": by_consent.pk},
        "tasks:undo-deletion": {"task_id": leaving.pk},
    }
    form = {"ids": placement.pk, "act": act.pk, "list": inbox.pk, "folder": archive.pk, "confirmed": "1",
            "task": task.pk, "q": "ca", "status": "all"}  # fmt: skip
    to_contact: dict[str, object] = {"record": f"contact:{contact.pk}"}
    decided: dict[str, object] = {
        "state": signing.dumps([world.acme.pk, state], salt="crm.undo", compress=True)
    }
    own_form: dict[str, dict[str, object]] = {
        "crm:activity-link": to_contact,
        "crm:activity-undo": decided,
        "crm:exception-remove": {"pattern": f"{COMPANY}.example"},
        "crm:move": {"stage": deal.stage_id},
        "crm:panel-link": to_contact,
        "crm:panel-undo": decided,
        "crm:write": {"address": address.address},
        "retention:export-start": {"what": "company"},
        "mail:act": {"verb": "archive"},
        "overview:act": {"verb": "check", "ids": world.ann_box.pk},
        "mail:answer": {"how": "reply"},
        "mail:folder-held": {"answer": "keep"},
        "mail:folder-undo": {"act": made.pk},
        "mail:note": {"text": "Call her."},
        "mail:letter-attach": {"file": lambda: ContentFile(b"42 buoys", "offer.txt")},
        "mail:settle": {"verb": "arrived"},
        "tasks:change-point": {"do": "tick"},
        "tasks:people": {"add": world.cyd.pk},
    }
    cookies = {who: _cookie(world, person) for who, person in people.items()}
    return Guarded(world, people, ids, own_ids, form, own_form, cookies, rows_of(world, TENANT))


def _people(world: World) -> dict[str, Employee | None]:
    with world.acting():
        world.ann_box.grants.create(account=world.acme, employee=world.bob, level=GrantLevel.DELETE)
        sue = employee(world.acme, "Sue Sharp", "sue@acme.example", role=Role.SUPERVISOR)
    keepers = account("Keepers")
    with tenancy.acting_for(keepers.pk):
        opal = employee(keepers, "Opal Olsen", "opal@keepers.example")
        opal.is_operator = True
        opal.save()
    return {
        "anonymous": None,
        "stranger": world.eve,
        "operator": opal,
        "colleague": world.cyd,
        "supervisor": sue,
        "granted": world.bob,
        "owner": world.ann,
        "admin": world.adm,
    }


def _cookie(world: World, person: Employee | None) -> str:
    return world.client(person).cookies.output(header="", sep=";") if person else ""


def rows_of(world: World, tables: Iterable[str]) -> dict[str, str]:
    """A fingerprint of each of Acme's rows, by table and primary key."""
    keys = {model._meta.db_table: model._meta.pk.column for model in apps.get_models()}
    rows: dict[str, str] = {}
    with world.acting(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(
                f"SELECT {keys[table]}, md5(t::text) FROM {table} t WHERE account_id = %s", [world.acme.pk]
            )
            rows |= {f"{table} {key}": row for key, row in cursor.fetchall()}
    return rows
