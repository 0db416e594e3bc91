"""What did not arrive says so where people look: on the client's timeline and on the task it was written from."""

from collections.abc import Callable

import pytest

from crm import tokens
from crm.matching import Ref
from crm.models import Contact
from mailsync.models import DeliveryReport, Outgoing
from tasks import actions, names
from tasks.models import Task
from tests.rigs.smtp import Fault
from tests.rigs.smtp import Outgoing as Post
from tests.sending.conftest import ZOE, queued, work
from tests.world import World

LOST = "The connection ended after the text went out"


@pytest.fixture
def contact(post: Post, writing: World) -> Contact:
    return Contact.objects.create(account=writing.acme, name="Zoe", responsible=writing.ann)


@pytest.fixture
def task(contact: Contact, writing: World) -> Task:
    made = actions.create("Offer for Zoe", by=writing.ann)
    actions.let_in(made, writing.cyd, by=writing.ann)
    return made


Place = tuple[str, Callable[[], str]]


@pytest.fixture(params=["contact", "task"])
def place(request: pytest.FixtureRequest, writing: World) -> Place:
    """Its page, and Message-IDs of letters that are written from it."""
    its = request.getfixturevalue(request.param)
    acme, host = writing.acme.pk, "acme.example"
    if request.param == "task":
        return f"/tasks/{its.pk}/", lambda: names.message_id(its.pk, account_id=acme, host=host)
    of_contact = Ref("contact", its.pk)
    return f"/crm/contacts/{its.pk}/", lambda: tokens.message_id(of_contact, account_id=acme, host=host)


def test_what_was_refused_says_whose_words_and_where_to_act(writing: World, post: Post, place: Place) -> None:
    page, name = place
    ann, cyd = writing.client(writing.ann), writing.client(writing.cyd)
    post.faults = [Fault.DOT_REFUSED]
    letter = work(queued(writing, origin="crm", message_id=name()))
    shown, for_cyd = ann.get(page).content.decode(), cyd.get(page).content.decode()
    for told in ("The server did not take it", "5.7.1 looks like spam"):
        assert told in shown
        assert told in for_cyd
    way = f'href="/mail/write/{letter.pk}/"'
    assert way in shown
    assert "Change it or try again" in shown
    # Cyd sees what happened and who can do something about it; the letter itself is not hers to open.
    assert way not in for_cyd
    assert "Ann Archer wrote it, and whoever answers for ann@acme.example decides" in for_cyd

    ann.post(f"/mail/write/{letter.pk}/settle/", {"verb": "again"})
    post.faults = [Fault.DOT_LOST]
    assert work(letter).state == "unsure"
    shown = ann.get(page).content.decode()
    assert "Nobody knows whether it arrived" in shown
    assert LOST in shown
    assert "Say whether it arrived" in shown
    ann.post(f"/mail/write/{letter.pk}/settle/", {"verb": "arrived"})
    assert LOST not in ann.get(page).content.decode()


def test_what_waits_or_came_back_says_so_too(writing: World, post: Post, contact: Contact) -> None:
    page = f"/crm/contacts/{contact.pk}/"
    ann = writing.client(writing.ann)

    def written(**fields: object) -> Outgoing:
        named = tokens.message_id(Ref("contact", contact.pk), account_id=writing.acme.pk, host="acme.example")
        return work(queued(writing, origin="crm", message_id=named, **fields))

    post.faults = [Fault.MAIL_LATER]
    waits = written(subject="Waits")
    shown = ann.get(page).content.decode()
    assert "Not sent yet, the next try is at" in shown
    assert "not now" in shown
    assert ann.post(f"/mail/write/{waits.pk}/undo/").status_code == 302
    assert "Waits" not in ann.get(page).content.decode()
    post.answers = {"gone@elsewhere.example": ["550 5.1.1 no such user"]}
    letter = written(to=[ZOE, ["", "gone@elsewhere.example"]])
    shown = ann.get(page).content.decode()
    assert "not to all" in shown
    assert "<b>gone@elsewhere.example</b>: 5.1.1 no such user" in shown
    DeliveryReport.objects.create(
        account=writing.acme, outgoing=letter, recipient=ZOE[1], action="failed", words="550 mailbox full"
    )
    shown = ann.get(page).content.decode()
    assert "Came back from zoe@elsewhere.example" in shown
    assert "550 mailbox full" in shown
    assert "Open the letter" in shown
