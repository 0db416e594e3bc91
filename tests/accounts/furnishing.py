"""Something of everything that a URL may show, app by app, and the ids and forms with which requests name it.

What only the people of a mailbox or a task may see carries PRIVATE; what all of Acme may see carries COMPANY.
Each function runs in a transaction that acts for Acme.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django.core import signing
from django.core.files.base import ContentFile
from django.utils import timezone

from accounts import departments, inviting
from accounts.models import BrowserSession, PersonalNotice
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
    Note,
    Notice,
    Placement,
    SpecialUse,
)
from overview.models import Deed
from plans.models import PlanLimits
from retention import exporting
from retention.models import Export, Leaver, PlanNotice, RetentionRun
from tasks.deletion import ask_deletion
from tasks.models import Task
from tests.tasks.people import busy_task
from tests.world import World, mailbox

PRIVATE = "canary7f3a"
COMPANY = "finch9b2e"
GOOGLE = "imap.gmail.com"


@dataclass(frozen=True)
class Things:
    """`ids` by the name of a URL's part and `form`, which every request carries; `own_*` by the name of one URL."""

    ids: dict[str, Any] = field(default_factory=dict)
    own_ids: dict[str, dict[str, Any]] = field(default_factory=dict)
    form: dict[str, object] = field(default_factory=dict)
    own_form: dict[str, dict[str, object]] = field(default_factory=dict)

    def ids_of(self, name: str, kwargs: Iterable[str]) -> dict[str, Any]:
        ids = self.ids | self.own_ids.get(name, {})
        return {each: ids[each] for each in kwargs}

    def form_of(self, name: str) -> dict[str, object]:
        """Files are made for each request, because reading uses them up."""
        given = self.form | self.own_form.get(name, {})
        return {key: value() if callable(value) else value for key, value in given.items()}


def furnished(world: World) -> Things:
    things = Things()
    placement = _message(world)
    with world.acting():
        _mail(world, things, placement)
        _connecting(world, things)
        _writing(world, things)
        _clients(world, things, placement)
        _tasks(world, things, placement)
        _people(world, things)
        _plan(world, things)
        _overview(world, things)
    return things


def _message(world: World) -> Placement:
    return world.message(
        world.folder(world.ann_box),
        subject=f"Subject {PRIVATE}",
        text=f"Text {PRIVATE}",
        html=f"<p>Text {PRIVATE}</p>",
        sender=(f"Sender {PRIVATE}", f"{PRIVATE}@elsewhere.example"),
        attachments=[(f"{PRIVATE}.txt", "text/plain", PRIVATE.encode())],
    )


def _mail(world: World, things: Things, placement: Placement) -> None:
    of_ann = {"account": world.acme, "by": world.ann}
    archive = world.folder(world.ann_box, SpecialUse.ARCHIVE)
    act = Act.objects.create(
        verb="archive", count=1, undo={"moves": {str(archive.pk): [placement.pk]}}, **of_ann
    )
    note = Note.objects.create(
        mailbox=world.ann_box, identity=bytes(placement.message.identity), text=f"Note {PRIVATE}", **of_ann
    )
    told = Notice.objects.create(
        account=world.acme, employee=world.ann, kind="mentioned", mailbox=world.ann_box, words=PRIVATE
    )
    made = folders.create_folder(world.ann_box, f"Folder {PRIVATE}", by=world.ann)
    things.ids.update(
        mailbox_id=world.ann_box.pk,
        folder_id=placement.folder_id,
        placement_id=placement.pk,
        message_id=placement.message_id,
        part=2,
        note_id=note.pk,
        told_id=told.pk,
        token="forged",  # the address of a remote image is itself the permission, if we signed it
    )
    things.form.update(
        {"ids": placement.pk, "act": act.pk, "list": placement.folder_id, "folder": archive.pk}, confirmed="1"
    )
    things.own_form.update(
        {
            "mail:act": {"verb": "archive"},
            "mail:answer": {"how": "reply"},
            "mail:folder-held": {"answer": "keep"},
            "mail:folder-undo": {"act": made.pk},
            "mail:note": {"text": "Call her."},
        }
    )


def _connecting(world: World, things: Things) -> None:
    of_ann = {"account": world.acme, "by": world.ann}
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
    things.ids.update(test_id=test.pk)
    things.own_ids.update(
        {
            "mail:connect-consent": {"test_id": asked.pk},
            "mail:mailbox-consent": {"mailbox_id": by_consent.pk},
        }
    )


def _writing(world: World, things: Things) -> None:
    text = f"<p>{PRIVATE}</p>"
    letter = outbox.start(world.ann_box, by=world.ann, subject=f"Letter {PRIVATE}", html=text, quoted=text)
    file = outbox.attach(letter, name=f"{PRIVATE}.txt", content_type="text/plain", content=PRIVATE.encode())
    things.ids.update(outgoing_id=letter.pk, attachment_id=file.pk)
    things.form.update(q="ca")
    things.own_form.update(
        {
            "mail:letter-attach": {"file": lambda: ContentFile(b"42 buoys", "offer.txt")},
            "mail:settle": {"verb": "arrived"},
        }
    )


def _clients(world: World, things: Things, placement: Placement) -> None:
    of_ann = {"account": world.acme, "by": world.ann}
    client = {"account": world.acme, "responsible": world.ann}
    deals.pipelines(world.acme)
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
    things.ids.update(
        kind="contacts",
        record_id=contact.pk,
        deal_id=deal.pk,
        stage_id=deal.stage_id,
        pipeline_id=deal.stage.pipeline_id,
        activity_id=activity.pk,
        import_id=ContactImport.objects.create(file_name=f"{PRIVATE}.csv", **of_ann).pk,
        template_id=LetterTemplate.objects.create(
            name=f"Template {PRIVATE}", html=f"<p>{PRIVATE}</p>", **of_ann
        ).pk,
        rematch_id=Rematch.objects.create(finished_at=activity.at, **of_ann).pk,
    )
    things.own_ids.update(
        {
            "crm:convert": {"kind": "leads", "record_id": lead.pk},
            "crm:restore": {"record_id": binned.pk},
        }
    )
    to_contact: dict[str, object] = {"record": f"contact:{contact.pk}"}
    decided: dict[str, object] = {
        "state": signing.dumps([world.acme.pk, state], salt="crm.undo", compress=True)
    }
    things.own_form.update(
        {
            "crm:activity-link": to_contact,
            "crm:activity-undo": decided,
            "crm:exception-remove": {"pattern": f"{COMPANY}.example"},
            "crm:move": {"stage": deal.stage_id},
            "crm:panel-link": to_contact,
            "crm:panel-undo": decided,
            "crm:write": {"address": address.address},
        }
    )


def _tasks(world: World, things: Things, placement: Placement) -> None:
    task = busy_task(
        world.ann, placement.message, world.bob, title=f"Task {PRIVATE}", file=f"File {PRIVATE}".encode()
    )
    leaving = busy_task(world.ann, placement.message, world.bob, title=f"Task {PRIVATE}")
    ask_deletion(leaving, keep_mail=True, by=world.ann)
    Task.objects.filter(pk=leaving.pk).update(delete_at=timezone.now() + timedelta(days=1))
    things.ids.update(
        task_id=task.pk,
        point_id=task.checklist.get().pk,
        file_id=task.files.get().pk,
        reminder_id=task.reminders.get().pk,
        status="done",
    )
    things.own_ids.update({"tasks:undo-deletion": {"task_id": leaving.pk}})
    things.form.update(task=task.pk, status="all")
    things.own_form.update({"tasks:change-point": {"do": "tick"}, "tasks:people": {"add": world.cyd.pk}})


def _people(world: World, things: Things) -> None:
    of_ann = {"account": world.acme, "employee": world.ann}
    department = departments.make(world.acme, COMPANY, by=world.adm)
    invitation = inviting.invite(
        email=f"{COMPANY}@acme.example", name=COMPANY, role="employee", department=department, by=world.adm
    )
    notice = PersonalNotice.objects.create(kind="two_factor_reset", details={"by": PRIVATE}, **of_ann)
    place = BrowserSession.objects.create(key=PRIVATE, address=PRIVATE, agent=PRIVATE, **of_ann)
    codes = {"seed": TwoFactorAdapter().encrypt(PRIVATE), "used_mask": 0}
    passkey = Authenticator.objects.create(user=world.ann, type="recovery_codes", data=codes)
    things.ids.update(
        department_id=department.pk,
        employee_id=world.ann.pk,
        invitation_id=invitation.pk,
        own_notice_id=notice.pk,
        session_id=place.pk,
        pk=passkey.pk,
    )


def _plan(world: World, things: Things) -> None:
    today = timezone.now().date()
    later = PlanLimits.objects.get(plan="basic")
    later.pk, later.effective_from = None, today + timedelta(days=90)
    later.save()
    notice = PlanNotice.objects.create(
        account=world.acme, employee=world.ann, key="x", on=today, stage="ahead"
    )
    purge = RetentionRun.objects.create(
        account=world.acme,
        cutoff=timezone.now(),
        plan="x",
        storage_days=0,
        crm_bound_stays=False,
        state="waiting",
    )
    export = Export.objects.create(account=world.acme, by=world.ann, what="mine", state="done", parts=1)
    exporting.path_of(export).parent.mkdir(parents=True, exist_ok=True)
    exporting.path_of(export).write_text(PRIVATE)
    Leaver.objects.create(
        account=world.acme,
        employee=world.ann,
        by=world.adm,
        ends_at=timezone.now(),
        heir=world.bob,
        state="returned",
    )
    things.ids.update(
        plan="basic",
        app_label="plans",
        object_id=PlanLimits.objects.order_by("pk")[0].pk,
        notice_id=notice.pk,
        export_id=export.pk,
        run_id=purge.pk,
    )
    things.own_ids.update(
        {
            "admin:plans_planlimits_change": {"object_id": later.pk},
            "admin:plans_planlimits_delete": {"object_id": later.pk},
        }
    )
    things.own_form.update({"retention:export-start": {"what": "company"}})


def _overview(world: World, things: Things) -> None:
    by_admin = {"account": world.acme, "by": world.adm}
    deed = Deed.objects.create(verb="pause", before=[[world.ann_box.pk, None]], **by_admin)
    handed_in = Enrolment.objects.create(**by_admin)
    to_mend = handed_in.rows.create(account=world.acme, number=1, typed={"address": "a@b.example"})
    over = EmergencyAccess.objects.create(
        account=world.acme, mailbox=world.ann_box, employee=world.adm, reason="x", ends_at=timezone.now()
    )
    things.ids.update(deed_id=deed.pk, enrolment_id=handed_in.pk, row_id=to_mend.pk, emergency_id=over.pk)
    things.own_form.update({"overview:act": {"verb": "check", "ids": world.ann_box.pk}})
