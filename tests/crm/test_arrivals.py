"""Mail arrives in a mailbox that feeds CRM: what is kept with whom, and why."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import activities, arrivals, known, letters, tokens
from crm.matching import Ref
from crm.models import Activity, Binding, Contact, Deal, Lead, Ruling, Source
from mailsync import importing
from mailsync.models import Message
from tests.crm.conftest import Clients
from tests.world import World


def letter(
    message_id: str,
    *,
    subject: str = "Hello",
    sender: str = "Zoe <zoe@elsewhere.example>",
    to: str = "ann@acme.example",
    extra: str = "",
) -> bytes:
    lines = [
        f"From: {sender}", f"To: {to}", f"Subject: {subject}", "Date: Sun, 1 Nov 2026 10:00:00 +0000",
        f"Message-ID: <{message_id}>", *filter(None, [extra]), "", f"Text of {message_id}.", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def arrive(world: World, message_id: str = "1@x.example", *, role: str = "inbox", **options: Any) -> Message:
    mailbox = options.pop("mailbox", world.ann_box)
    return world.message(world.folder(mailbox, role), raw=letter(message_id, **options)).message


def bound_to(world: World, message: Message) -> set[str]:
    """The names of the records that the message is with."""
    with world.acting():
        activity = activities.of_message(message.pk)
        if activity is None:
            return set()
        rows = Binding.objects.filter(activity=activity).select_related("contact", "company", "lead", "deal")
        return {str(row.contact or row.company or row.lead or row.deal) for row in rows}


def test_mail_of_a_contact_becomes_an_activity_with_its_own_copy(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example", company=clients.company("Elsewhere"))
    clients.feed(world.ann_box)
    message = arrive(world, sender="Zoe <ZOE@Elsewhere.example>")
    assert bound_to(world, message) == {"Zoe", "Elsewhere"}
    with world.acting():
        activity = Activity.objects.get()
        assert (activity.subject, activity.message_id, activity.outgoing) == ("Hello", "1@x.example", False)
        assert bytes(activity.header or b"") == bytes(message.header)
        assert activity.body_id == message.body_id
        assert activity.reason == {"rule": "address", "address": "zoe@elsewhere.example", "ask": []}


def test_what_ann_sends_is_kept_with_whom_it_went_to(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    sent = arrive(world, role="sent", sender="Ann <ann@acme.example>", to="zoe@elsewhere.example")
    assert bound_to(world, sent) == {"Zoe"}
    with world.acting():
        assert Activity.objects.get().outgoing


def test_the_activity_outlives_the_message(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    message = arrive(world)
    with world.acting():
        Message.objects.filter(pk=message.pk).delete()
        activity = Activity.objects.get()
        assert not activity.copies.exists()
        assert Binding.objects.filter(activity=activity).count() == 1
        assert activity.body is not None


def test_one_mail_in_three_mailboxes_is_one_activity(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    for box in (world.ann_box, world.team_box):
        clients.feed(box)
    one = arrive(world, extra="Received: by ann")
    other = arrive(world, mailbox=world.team_box, extra="Received: by team")
    assert bound_to(world, one) == bound_to(world, other) == {"Zoe"}
    with world.acting():
        assert Activity.objects.get().copies.count() == 2
        assert Binding.objects.count() == 1


def test_a_message_id_that_is_used_twice_is_two_activities(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    arrive(world, "same@x.example")
    world.message(world.folder(world.ann_box), raw=letter("same@x.example") + b"But another text.")
    with world.acting():
        assert Activity.objects.count() == 2


@pytest.mark.parametrize("role", ["archive", "junk", "trash", "drafts"])
def test_folders_that_do_not_feed_save_nothing(world: World, clients: Clients, role: str) -> None:
    """Junk is on the feed's list here, by mistake: it does not feed even so."""
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box, strangers="lead")
    assert bound_to(world, arrive(world, role=role)) == set()


def test_a_mailbox_without_crm_saves_nothing_and_asks_one_question(
    world: World, clients: Clients, django_assert_num_queries
) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    folder = world.folder(world.ann_box)
    with world.acting(), django_assert_num_queries(1):
        arrivals.receive(folder=folder, arrived={})


def test_a_stranger_becomes_one_lead_however_often_they_write(world: World, clients: Clients) -> None:
    clients.feed(world.ann_box, strangers="lead")
    first = arrive(world, "1@x.example", sender='"Nel, N." <nel@nowhere.example>', subject="Your prices?")
    second = arrive(world, "2@x.example", sender="nel@nowhere.example")
    with world.acting():
        lead = Lead.objects.get()
        assert (lead.name, lead.source, lead.responsible) == ("Nel, N.", Source.MAIL, world.ann)
        assert list(lead.addresses.values_list("address", flat=True)) == ["nel@nowhere.example"]
    assert bound_to(world, first) == bound_to(world, second) == {"Nel, N."}


def test_a_stranger_becomes_a_contact_with_a_deal(world: World, clients: Clients) -> None:
    clients.feed(world.ann_box, strangers="contact+deal")
    message = arrive(world, sender="Nel <nel@nowhere.example>", subject="Ten buoys")
    assert bound_to(world, message) == {"Nel", "Ten buoys"}
    with world.acting():
        deal = Deal.objects.select_related("stage", "contact").get()
        assert (deal.stage.name, deal.contact) == ("New", Contact.objects.get())
        assert Activity.objects.get().reason["rule"] == "new"


@pytest.mark.parametrize(
    "extra",
    [
        "List-Unsubscribe: <mailto:off@news.example>",
        "Auto-Submitted: auto-generated",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x",
        "Auto-Submitted: auto-replied",
        "Content-Type: text/calendar; method=REQUEST",
    ],
)
def test_no_machine_becomes_a_lead(world: World, clients: Clients, extra: str) -> None:
    clients.feed(world.ann_box, strangers="lead")
    arrive(world, extra=extra)
    with world.acting():
        assert not Lead.objects.exists()
        assert not Activity.objects.exists()


def test_new_leads_go_to_the_queue_in_turn_and_past_who_left(world: World, clients: Clients) -> None:
    clients.feed(world.ann_box, strangers="lead", queue=[world.bob, world.cyd, world.adm])
    with world.acting():
        world.cyd.is_active = False
        world.cyd.save()
    for number in range(4):
        arrive(world, f"{number}@x.example", sender=f"n{number}@nowhere.example")
    with world.acting():
        assert [lead.responsible.name for lead in Lead.objects.order_by("pk")] == [
            "Bob Brown", "Adm Adams", "Bob Brown", "Adm Adams",
        ]  # fmt: skip


def test_several_open_deals_are_asked_about_and_the_latest_is_never_guessed(
    world: World, clients: Clients
) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    deals = [clients.deal(name, contact=zoe) for name in ("Buoys", "Probes")]
    clients.deal("Old", stage="Lost", contact=zoe)
    clients.feed(world.ann_box)
    assert bound_to(world, arrive(world)) == {"Zoe"}
    with world.acting():
        asked = Activity.objects.get().reason["ask"]
    assert {pk for _kind, pk in asked} == {deal.pk for deal in deals}


def test_a_reply_follows_the_thread_when_the_deal_is_no_longer_the_only_one(
    world: World, clients: Clients
) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    clients.deal("Buoys", contact=zoe)
    clients.feed(world.ann_box)
    arrive(world, "1@x.example")
    clients.deal("Probes", contact=zoe)
    reply = arrive(
        world, "2@x.example", sender="New <colleague@elsewhere.example>", extra="In-Reply-To: <1@x.example>"
    )
    assert bound_to(world, reply) == {"Zoe", "Buoys"}


def test_replies_that_come_in_one_batch_follow_what_they_answer(world: World, clients: Clients) -> None:
    """A first synchronisation brings whole conversations at once, and the newest first."""
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    folder, now = world.folder(world.ann_box), timezone.now()
    answers = "IN-REPLY-TO : <1@x.example>"
    written = [
        letter("3@x.example", sender="new@else.example", extra="References: <1@x.example>\r\n <2@x.example>"),
        letter("2@x.example", sender="bob@acme.example", extra=answers),
        letter("1@x.example"),
        letter("0@x.example", sender="bob@acme.example", extra="In-Reply-To-All: <1@x.example>"),
    ]
    with world.acting():
        batch = [
            importing.prepare(world.acme.pk, 90 - n, frozenset(), now - timedelta(hours=n), raw)
            for n, raw in enumerate(written)
        ]
        importing.store(folder, batch)
        kept = dict(Activity.objects.values_list("message_id", "reason__rule"))
    assert kept == {"1@x.example": "address", "2@x.example": "thread", "3@x.example": "thread"}


def test_an_exception_keeps_new_threads_out_and_lets_saved_ones_go_on(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box, strangers="lead")
    arrive(world, "1@x.example")
    clients.exception("elsewhere.example")
    assert bound_to(world, arrive(world, "2@x.example")) == set()
    assert bound_to(world, arrive(world, "3@x.example", extra="References: <1@x.example>")) == {"Zoe"}


def test_a_reply_to_mail_written_from_a_deal_comes_back_to_it(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    deal = clients.deal("Buoys")
    clients.feed(world.ann_box)
    ours = tokens.message_id(Ref("deal", deal.pk), account_id=world.acme.pk, host="acme.example")
    forged = ours.replace(f"crm.deal.{deal.pk}.", f"crm.deal.{deal.pk + 1}.")
    assert bound_to(world, arrive(world, "2@x.example", extra=f"In-Reply-To: <{ours}>")) == {"Buoys"}
    assert bound_to(world, arrive(world, "3@x.example", extra=f"In-Reply-To: <{forged}>")) == {"Zoe"}
    theirs = tokens.message_id(Ref("deal", deal.pk), account_id=world.other.pk, host="acme.example")
    assert bound_to(world, arrive(world, "4@x.example", extra=f"In-Reply-To: <{theirs}>")) == {"Zoe"}


def test_a_decision_of_a_person_is_final_for_the_thread(world: World, clients: Clients) -> None:
    zoe, yan = clients.contact("Zoe", "zoe@elsewhere.example"), clients.contact("Yan")
    clients.feed(world.ann_box)
    first = arrive(world, "1@x.example")
    with world.acting():
        activity = activities.of_message(first.pk)
        assert activity
        activities.rebind(activity, Ref("contact", zoe.pk), Ref("contact", yan.pk), by=world.ann, alone=False)
    assert bound_to(world, first) == {"Yan"}
    second = arrive(world, "2@x.example", extra="References: <1@x.example>")
    assert bound_to(world, second) == {"Yan"}
    with world.acting():
        activities.unbind(activity, None, by=world.ann, alone=False)
    assert bound_to(world, second) == set()
    assert (
        bound_to(world, arrive(world, "3@x.example", extra="References: <1@x.example> <2@x.example>"))
        == set()
    )


def test_undo_brings_back_what_was_and_the_rules_with_it(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    message = arrive(world)
    with world.acting():
        activity = activities.of_message(message.pk)
        assert activity
        state = activities.unbind(activity, None, by=world.ann, alone=False)
        assert Ruling.objects.count() == 1
        activities.undo(state, by=world.ann)
        assert not Ruling.objects.exists()
        activity.refresh_from_db()
        assert (activity.reason["rule"], activity.unbound_at) == ("address", None)
    assert bound_to(world, message) == {"Zoe"}
    assert bound_to(world, arrive(world, "2@x.example", extra="References: <1@x.example>")) == {"Zoe"}


def test_one_mail_alone_is_taken_out_and_its_thread_goes_on(world: World, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    first, second = (
        arrive(world, "1@x.example"),
        arrive(world, "2@x.example", extra="References: <1@x.example>"),
    )
    with world.acting():
        activity = activities.of_message(first.pk)
        assert activity
        activities.unbind(activity, None, by=world.ann, alone=True)
    third = arrive(world, "3@x.example", extra="References: <1@x.example>")
    assert [bound_to(world, each) for each in (first, second, third)] == [set(), {"Zoe"}, {"Zoe"}]


def test_mail_that_came_before_it_was_kept_can_be_bound_by_hand(world: World, clients: Clients) -> None:
    zoe = clients.contact("Zoe")
    message = arrive(world)
    with world.acting():
        activity = activities.kept_for(world.acme.pk, message.pk)
        activities.bind(activity, Ref("contact", zoe.pk), by=world.ann, alone=False)
    assert bound_to(world, message) == {"Zoe"}
    with world.acting():
        Message.objects.filter(pk=message.pk).delete()
        with pytest.raises(activities.MessageLeft, match="just left"):
            activities.kept_for(world.acme.pk, message.pk)


def test_a_record_in_the_bin_is_no_candidate_and_its_thread_is_free(world: World, clients: Clients) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    arrive(world, "1@x.example")
    with world.acting():
        type(zoe).objects.update(binned_at=timezone.now() - timedelta(days=1))
    reply = arrive(world, "2@x.example", sender="yan@x.example", extra="References: <1@x.example>")
    assert bound_to(world, reply) == set()
    with world.acting():
        [read] = letters.stored([reply.pk], own=frozenset())
        assert known.about(world.acme.pk, [read]).bound == {}


@pytest.mark.parametrize(
    "strange", ["<" * 3000, "<a\x00b@x>", "\xff" * 50, f"<{'x' * 3000}@y>", "<a@b>" * 4000]
)
def test_hostile_references_stop_no_mail(world: World, clients: Clients, strange: str) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    raw = letter("1@x.example", extra="References: PLACE").replace(b"PLACE", strange.encode("latin-1"))
    message = world.message(world.folder(world.ann_box), raw=raw).message
    assert bound_to(world, message) == {"Zoe"}
