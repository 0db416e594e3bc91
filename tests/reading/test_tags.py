"""Keywords of the server are tags on the page, and tags from the page are keywords on the server."""

import pytest

from mailsync import tags
from mailsync.models import GrantLevel, MailboxGrant, Operation, Placement
from tests.reading.test_acting import HTMX
from tests.world import World


def tags_of(world: World, placement: Placement) -> list[str]:
    with world.acting():
        return sorted(Placement.objects.get(pk=placement.pk).flags)


def url(placement: Placement) -> str:
    return f"/mail/message/{placement.pk}/tags/"


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("$label4", "To do"),
        ("$LABEL1", "Important"),
        ("invoice", "invoice"),
        ("to_be_paid", "to be paid"),
        ("&BCEERwQ1BEI-", "Счет"),
        ("&broken", "&broken"),
        ("___", "___"),
    ],
)
def test_a_keyword_has_a_name_for_people(keyword: str, name: str) -> None:
    assert tags.tag(keyword).name == name


@pytest.mark.parametrize("flag", ["\\Seen", "$Forwarded", "NonJunk", "$MDNSent", "junkrecorded", "$Phishing"])
def test_what_programs_tell_each_other_is_no_tag(flag: str) -> None:
    assert tags.tags_of([flag]) == []


@pytest.mark.parametrize("name", ["invoice", "to be paid", "Счет", "未払い", "R&D", "Important", "50%"])
def test_what_is_typed_comes_back_from_its_keyword(name: str) -> None:
    keyword = tags.keyword_of(name)
    assert keyword.isascii()
    assert (
        tags.tag(keyword).name.replace("_", " ") == name.replace("%", " ").strip()
        or tags.tag(keyword).name == name
    )


@pytest.mark.parametrize("name", ["", "  ", "x" * 51, "Ж" * 30, "Junk", "$Forwarded", "_", "\ud800"])
def test_a_name_that_no_server_keeps_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match=r"[A-Z].*\."):
        tags.keyword_of(name)


@pytest.mark.parametrize("name", ['a"b', "a\r\nA1 DELETE INBOX", "a(b)", "a\\b", "a]b", "a*b%c", "\\Deleted"])
def test_what_could_end_a_command_is_written_otherwise(name: str) -> None:
    keyword = tags.keyword_of(name)
    assert not set(keyword) & set('"()\\]*%{ \r\n')


def test_ann_puts_a_tag_on_and_the_server_is_to_hear_of_it(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    answer = world.client(world.ann).post(url(placement), {"put": "To be paid"}, **HTMX).content.decode()
    assert ">To be paid<" in answer
    with world.acting():
        assert list(Operation.objects.values_list("add", flat=True)) == [["To_be_paid"]]
    listed = world.client(world.ann).get("/").content.decode()
    assert ">To be paid</i>" in listed


@pytest.mark.parametrize(
    ("there", "typed"), [("Invoice", "invoice"), ("To_Be_Paid", "to be paid"), ("Work", "work")]
)
def test_a_tag_that_is_typed_in_another_case_is_the_one_that_is_there(
    world: World, there: str, typed: str
) -> None:
    has, gets = (world.message(world.folder(world.ann_box), flags=flags) for flags in ([there], []))
    for placement in (has, gets):
        world.client(world.ann).post(url(placement), {"put": typed}, **HTMX)
        assert tags_of(world, placement) == [there]


def test_a_keyword_that_is_written_in_two_cases_is_one_tag() -> None:
    assert [tag.name.lower() for tag in tags.tags_of(["Invoice", "invoice", "paid"])] == ["invoice", "paid"]


def test_she_takes_it_off_however_the_server_spells_it(world: World) -> None:
    placement = world.message(world.folder(world.ann_box), flags=["Urgent"])
    world.client(world.ann).post(url(placement), {"take": "urgent"}, **HTMX)
    assert tags_of(world, placement) == []


def test_taking_off_a_tag_takes_nothing_else(world: World) -> None:
    placement = world.message(world.folder(world.ann_box), flags=["\\Seen", "a"])
    world.client(world.ann).post(url(placement), {"take": "b"}, **HTMX)
    assert tags_of(world, placement) == ["\\Seen", "a"]


def test_a_name_that_cannot_be_is_refused_beside_the_field(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    answer = world.client(world.ann).post(url(placement), {"put": "Junk"}, **HTMX).content.decode()
    assert "choose another" in answer
    assert 'value="Junk"' in answer
    assert tags_of(world, placement) == []


def test_the_menu_offers_what_the_folder_uses(world: World) -> None:
    inbox = world.folder(world.ann_box)
    world.message(inbox, flags=["Quarterly_report"])
    placement = world.message(inbox)
    answer = world.client(world.ann).get(url(placement), **HTMX).content.decode()
    assert "Quarterly report" in answer
    assert "Important" in answer


def test_a_reader_sees_tags_and_cannot_change_them(world: World) -> None:
    placement = world.message(world.folder(world.ann_box), flags=["Urgent"])
    with world.acting():
        MailboxGrant.objects.create(
            account=world.acme, mailbox=world.ann_box, employee=world.bob, level=GrantLevel.READ
        )
    client = world.client(world.bob)
    answer = client.get(url(placement), **HTMX).content.decode()
    assert "Urgent" in answer
    assert "<button" not in answer
    assert client.post(url(placement), {"take": "Urgent"}, **HTMX).status_code == 404
    assert tags_of(world, placement) == ["Urgent"]


def test_without_scripts_the_message_is_shown_again(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    answer = world.client(world.ann).post(url(placement), {"put": "Paid"})
    assert answer.status_code == 302
    assert tags_of(world, placement) == ["Paid"]
