"""What a message's page says of CRM, and what is decided there; and the record's timeline."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import activities
from crm.models import Activity, Binding, Contact, Exclusion, Ruling
from mailsync.models import Message
from tests.crm.conftest import Clients
from tests.crm.test_arrivals import arrive, bound_to, letter
from tests.world import World


@pytest.fixture
def ann(world):
    return world.client(world.ann)


def panel(client: Any, placement: Any) -> str:
    answer = client.get(f"/crm/message/{placement.pk}/", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return html.unescape(re.sub(r"\s+", " ", answer.content.decode()))


def put(world: World, message_id: str = "1@x.example", role: str = "inbox", **options: Any) -> Any:
    return world.message(world.folder(world.ann_box, role), raw=letter(message_id, **options))


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("off", "This mailbox does not save mail to CRM by itself."),
        ("archive", "Mail in “Archive” is not saved."),
        ("junk", "Spam is never saved."),
        ("stranger", "zoe@elsewhere.example is not known, and this mailbox makes no records of strangers."),
        ("list", "zoe@elsewhere.example is not known, and this is a newsletter or a mailing list"),
        ("exception", "zoe@elsewhere.example is on the list of exceptions."),
        ("colleague", "Only colleagues took part."),
    ],
)
def test_it_says_why_a_message_is_not_with_crm(
    world: World, ann, clients: Clients, case: str, sentence: str
) -> None:
    if case != "off":
        clients.feed(world.ann_box)
    if case == "exception":
        clients.exception("elsewhere.example")
    options = {
        "list": {"extra": "List-Id: <news.example>"},
        "colleague": {"sender": "Bob <bob@acme.example>"},
        "archive": {"role": "archive"},
        "junk": {"role": "junk"},
    }.get(case, {})
    assert sentence in panel(ann, put(world, **options))


def test_it_says_why_a_message_is(world: World, ann, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    shown = panel(ann, put(world))
    assert ">Zoe</a>" in shown
    assert "zoe@elsewhere.example belongs to it." in shown
    reply = put(world, "2@x.example", sender="new@else.example", extra="In-Reply-To: <1@x.example>")
    assert "The conversation was here already." in panel(ann, reply)


def test_a_contact_that_is_known_by_now_is_offered(world: World, ann, clients: Clients) -> None:
    clients.feed(world.ann_box)
    placement = put(world)
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    assert f'value="contact:{zoe.pk}"' in panel(ann, placement)
    ann.post(f"/crm/message/{placement.pk}/link/", {"record": f"contact:{zoe.pk}"})
    assert bound_to(world, placement.message) == {"Zoe"}
    assert "Ann Archer decided this for the conversation." in panel(ann, placement)


def test_the_deal_is_asked_once_for_the_conversation(world: World, ann, clients: Clients) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    buoys = clients.deal("Buoys", contact=zoe)
    clients.deal("Probes", contact=zoe)
    clients.feed(world.ann_box)
    first, second = put(world), put(world, "2@x.example", extra="References: <1@x.example>")
    assert "Which deal is this about?" in panel(ann, first)
    ann.post(f"/crm/message/{first.pk}/link/", {"record": f"deal:{buoys.pk}"})
    for placement in (first, second):
        assert "Which deal" not in panel(ann, placement)
        assert bound_to(world, placement.message) == {"Zoe", "Buoys"}
    third = put(world, "3@x.example", extra="References: <1@x.example>")
    assert bound_to(world, third.message) == {"Zoe", "Buoys"}


def test_none_of_the_deals_is_an_answer_too(world: World, ann, clients: Clients) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    for name in ("Buoys", "Probes"):
        clients.deal(name, contact=zoe)
    clients.feed(world.ann_box)
    first = put(world)
    ann.post(f"/crm/message/{first.pk}/leave/")
    assert "Which deal" not in panel(ann, first)
    assert "Which deal" not in panel(ann, put(world, "2@x.example", extra="References: <1@x.example>"))


def test_unlink_and_undo_from_the_toast(world: World, ann, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    placement = put(world)
    answer = ann.post(f"/crm/message/{placement.pk}/unlink/", headers={"HX-Request": "true"})
    assert answer["HX-Trigger"] == "crm-changed"
    assert bound_to(world, placement.message) == set()
    assert "Somebody decided that this conversation does not go to CRM." in panel(ann, placement)
    state = re.search(r'name="state" value="([^"]+)"', answer.content.decode())
    assert state
    ann.post(f"/crm/message/{placement.pk}/undo/", {"state": state[1]})
    assert bound_to(world, placement.message) == {"Zoe"}
    with world.acting():
        assert not Ruling.objects.exists()
    forged = ann.post(f"/crm/message/{placement.pk}/undo/", {"state": state[1] + "x"})
    assert forged.status_code == 404


def test_move_to_another_record(world: World, ann, clients: Clients) -> None:
    zoe, yan = clients.contact("Zoe", "zoe@elsewhere.example"), clients.contact("Yan")
    clients.feed(world.ann_box)
    placement = put(world)
    form = {"record": f"contact:{yan.pk}", "away": f"contact:{zoe.pk}"}
    ann.post(f"/crm/message/{placement.pk}/link/", form)
    assert bound_to(world, placement.message) == {"Yan"}


def test_never_again_for_an_address_and_back(world: World, ann, clients: Clients) -> None:
    clients.feed(world.ann_box, strangers="lead")
    placement = put(world)
    answer = ann.post(f"/crm/message/{placement.pk}/never/", headers={"HX-Request": "true"}).content.decode()
    assert bound_to(world, placement.message) == set()
    assert bound_to(world, arrive(world, "2@x.example")) == set()
    state = re.search(r'name="state" value="([^"]+)"', answer)
    assert state
    ann.post(f"/crm/message/{placement.pk}/undo/", {"state": state[1]})
    with world.acting():
        assert not Exclusion.objects.exists()
    assert bound_to(world, placement.message) == {"Zoe"}


def test_bob_who_may_only_read_decides_nothing(world: World, clients: Clients) -> None:
    zoe = clients.contact("Zoe")
    placement = put(world)
    with world.acting():
        world.ann_box.grants.create(account=world.acme, employee=world.bob, level="read")
    bob = world.client(world.bob)
    assert "Link" not in panel(bob, placement).replace("Unlink", "")
    for verb in ("link", "unlink", "leave", "never"):
        answer = bob.post(f"/crm/message/{placement.pk}/{verb}/", {"record": f"contact:{zoe.pk}"})
        assert answer.status_code == 404, verb
    with world.acting():
        assert not Activity.objects.exists()


def test_a_record_of_another_company_is_no_record(world: World, ann, clients: Clients) -> None:
    with world.acting(world.other):
        theirs = Contact.objects.create(account=world.other, name="Eves", responsible=world.eve)
    placement = put(world)
    for named in (f"contact:{theirs.pk}", "contact:x", "pope:1", ""):
        assert ann.post(f"/crm/message/{placement.pk}/link/", {"record": named}).status_code == 404


def test_choosing_finds_records_of_every_kind(world: World, ann, clients: Clients) -> None:
    (
        clients.contact("Rijn Piet"),
        clients.company("Rijn"),
        clients.lead("Rijn lead"),
        clients.deal("Rijn deal"),
    )
    clients.contact("Else")
    placement = put(world)
    shown = ann.get(f"/crm/message/{placement.pk}/choose/?q=rijn").content.decode()
    assert re.findall(r'name="record" value="(\w+):', shown) == ["deal", "lead", "contact", "company"]
    assert ">Else<" not in shown


def test_marks_tell_which_rows_are_with_crm(world: World, ann, clients: Clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    kept, other = put(world), put(world, "2@x.example", sender="x@y.example")
    url = f"/crm/marks/?ids={kept.pk},{other.pk},"
    assert ann.get(url).json()["bound"] == [kept.pk]
    assert world.client(world.cyd).get(url).json()["bound"] == []
    assert ann.get(f"{url}x").status_code == 404


# The timeline


def test_the_timeline_opens_the_activitys_own_copy_when_the_message_has_left(
    world: World, clients: Clients
) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    message = world.message(
        world.folder(world.ann_box), sender=("Zoe", "zoe@elsewhere.example"), subject="The plan",
        text="Here it is.", html="<p>Here <b>it</b> is.<script>x()</script></p>",
        attachments=[("plan.pdf", "application/pdf", b"%PDF plan")],
    ).message  # fmt: skip
    with world.acting():
        Message.objects.filter(pk=message.pk).delete()
        activity = Activity.objects.get()
    cyd = world.client(world.cyd)
    assert "The plan" in cyd.get(f"/crm/contacts/{zoe.pk}/").content.decode()
    page = cyd.get(f"/crm/activity/{activity.pk}/").content.decode()
    assert "plan.pdf" in page
    body = cyd.get(f"/crm/activity/{activity.pk}/body/")
    assert "Here <b>it</b> is." in body.content.decode()
    assert "script" not in body.content.decode().partition("<body")[2]
    assert "sandbox" in body["Content-Security-Policy"]
    part = re.search(rf"/crm/activity/{activity.pk}/file/(\d+)/", page)
    assert part
    file = cyd.get(part[0])
    assert file.content == b"%PDF plan"
    assert file["Content-Disposition"].startswith("attachment")
    assert cyd.get(f"/crm/activity/{activity.pk}/file/99/").status_code == 404


def test_an_activity_can_still_be_moved_when_its_message_has_left(
    world: World, ann, clients: Clients
) -> None:
    zoe, yan = clients.contact("Zoe", "zoe@elsewhere.example"), clients.contact("Yan")
    clients.feed(world.ann_box)
    message = arrive(world)
    with world.acting():
        Message.objects.filter(pk=message.pk).delete()
        activity = Activity.objects.get()
    form = {"record": f"contact:{yan.pk}", "away": f"contact:{zoe.pk}"}
    assert ann.post(f"/crm/activity/{activity.pk}/link/", form).status_code == 302
    with world.acting():
        assert Binding.objects.get().contact == yan


def test_notes_and_stage_changes_stand_on_the_timeline_and_are_filtered(
    world: World, ann, clients: Clients
) -> None:
    deal = clients.deal("Buoys")
    won = clients.stages()[4]
    ann.post(f"/crm/deals/{deal.pk}/note/", {"text": "Called them.\n<b>They</b> like it."})
    ann.post(f"/crm/deals/{deal.pk}/move/", {"stage": won.pk, "before": ""})
    page = ann.get(f"/crm/deals/{deal.pk}/").content.decode()
    assert "Called them.<br>&lt;b&gt;They" in page
    assert "Moved from “New” to “Won”" in page
    notes = ann.get(f"/crm/deals/{deal.pk}/timeline/?show=note").content.decode()
    assert "Called" in notes
    assert "Moved" not in notes
    assert "The note was empty." in ann.post(f"/crm/deals/{deal.pk}/note/", follow=True).content.decode()
    assert ann.get(f"/crm/deals/{deal.pk}/timeline/?show=x").status_code == 404
    assert ann.get(f"/crm/deals/{deal.pk}/timeline/?after=x").status_code == 404


def test_a_long_timeline_is_read_in_pages_without_gap(world: World, ann, clients: Clients) -> None:
    zoe = clients.contact("Zoe")
    with world.acting():
        at = timezone.now()
        made = Activity.objects.bulk_create(
            Activity(
                account=world.acme, kind="note", text=f"note {number}", at=at - timedelta(minutes=number // 3)
            )
            for number in range(100)
        )
        Binding.objects.bulk_create(
            Binding(account=world.acme, activity=each, contact=zoe, at=each.at) for each in made
        )
    seen: list[str] = []
    url = f"/crm/contacts/{zoe.pk}/timeline/?after="
    while url:
        answer = ann.get(url)
        seen += [entry.text for entry in answer.context["entries"]]
        further = answer.context["further"]
        url = f"/crm/contacts/{zoe.pk}/timeline/?after={further}" if further else ""
    assert len(seen) == len(set(seen)) == 100


def test_who_answers_whose_mail_is_seen_by_colleagues_but_not_by_strangers(
    world: World, clients: Clients
) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    arrive(world)
    with world.acting():
        pk = Activity.objects.get().pk
        assert activities.refs_of(Activity.objects.get())
    eve = world.client(world.eve)
    for url in (f"/crm/activity/{pk}/", f"/crm/activity/{pk}/body/", f"/crm/activity/{pk}/choose/"):
        assert eve.get(url).status_code == 404
