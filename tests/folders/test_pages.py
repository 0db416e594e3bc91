"""The pages with which folders are made, renamed and deleted, and who gets them."""

import re

import pytest
from django.urls import reverse

from accounts.models import AuditEntry
from mailsync.models import Folder, GrantLevel, MailboxGrant, Operation, OperationState
from tests.world import World


@pytest.fixture
def projects(world: World) -> Folder:
    with world.acting():
        return Folder.objects.create(
            account=world.acme, mailbox=world.team_box, name=b"Projects", path="Projects",
            delimiter="/", uidvalidity=9, server_messages=3,
        )  # fmt: skip


def new_url(world: World) -> str:
    return reverse("mail:folder-new", args=[world.team_box.pk])


def shown(world: World) -> set[str]:
    with world.acting():
        return set(
            Folder.objects.filter(mailbox=world.team_box, deleting=False, special_use="").values_list(
                "path", flat=True
            )
        )


def undo_from(page: str) -> str:
    found = re.search(r'name="act" value="(folder-\d+)"', page)
    assert found
    return found[1]


def test_ann_makes_a_folder_sees_it_and_takes_it_back(world: World) -> None:
    client = world.client(world.ann)
    assert new_url(world) in client.get("/").content.decode()
    answer = client.post(new_url(world), {"name": "Angebote <2027>", "parent": ""}, follow=True)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "“Angebote &lt;2027&gt;” is made." in page
    client.post(reverse("mail:folder-undo"), {"act": undo_from(page)})
    assert shown(world) == set()


def test_a_folder_inside_another_is_offered_where_one_stands(world: World, projects: Folder) -> None:
    client = world.client(world.ann)
    page = client.get(f"{new_url(world)}?in={projects.pk}").content.decode()
    assert f'<option value="{projects.pk}" selected>' in page
    client.post(f"{new_url(world)}?in={projects.pk}", {"name": "Inside", "parent": projects.pk})
    assert shown(world) == {"Projects", "Projects/Inside"}


@pytest.mark.parametrize("asked", ["?in=nonsense", "?in=999999", "?in="])
def test_a_strange_place_is_no_place(world: World, asked: str) -> None:
    assert world.client(world.ann).get(new_url(world) + asked).status_code == 200


def test_a_refused_name_comes_back_with_the_reason(world: World, projects: Folder) -> None:
    answer = world.client(world.ann).post(new_url(world), {"name": "Projects", "parent": ""})
    assert answer.status_code == 422
    assert "There is a folder “Projects” already." in answer.content.decode()
    assert 'value="Projects"' in answer.content.decode()


def test_ann_renames_a_folder_and_takes_it_back(world: World, projects: Folder) -> None:
    client = world.client(world.ann)
    url = reverse("mail:folder-rename", args=[projects.pk])
    assert url in client.get(f"/mail/{projects.pk}/").content.decode()
    assert 'value="Projects"' in client.get(url).content.decode()
    page = client.post(url, {"name": "Offers"}, follow=True).content.decode()
    assert "“Projects” is now “Offers”." in page
    assert shown(world) == {"Offers"}
    client.post(reverse("mail:folder-undo"), {"act": undo_from(page)})
    assert shown(world) == {"Projects"}


def test_deleting_asks_with_the_number_and_says_where_the_messages_go(world: World, projects: Folder) -> None:
    world.message(projects)
    world.message(projects)
    client = world.client(world.ann)
    url = reverse("mail:folder-delete", args=[projects.pk])
    page = client.get(url).content.decode()
    assert "<b>2 messages</b> move to “Trash”." in page
    assert "1 more is on the mail server only" in page
    assert shown(world) == {"Projects"}
    client.post(url)
    assert shown(world) == set()
    trash = world.folder(world.team_box, "trash")
    assert trash.total == 2
    assert client.get(f"/mail/{projects.pk}/").status_code == 404
    with world.acting():
        entry = AuditEntry.objects.get(verb="folder.deleted")
        assert (entry.subject, entry.by, entry.details) == (
            "Projects", world.ann, {"mailbox": "team@acme.example", "messages": 2},
        )  # fmt: skip


def test_what_the_server_refused_is_told_until_it_was_read(world: World, projects: Folder) -> None:
    with world.acting():
        Operation.objects.create(
            account=world.acme, mailbox=world.team_box, kind="create", state=OperationState.FAILED, new_name=b"x",
            error="“x”: “[OVERQUOTA] Too many folders”", by=world.ann,
        )  # fmt: skip
    client = world.client(world.ann)
    page = client.get("/").content.decode()
    assert "A folder could not be made and is gone again:" in page
    assert "Too many folders" in page
    client.post(reverse("mail:dismiss-failed"))
    assert "Too many folders" not in client.get("/").content.decode()


@pytest.mark.parametrize("who", ["bob", "cyd", "adm", "eve"])
def test_only_who_manages_the_mailbox_changes_its_folders(world: World, projects: Folder, who: str) -> None:
    """Bob may delete messages in it, and that is not enough."""
    client = world.client(getattr(world, who))
    urls = [
        new_url(world),
        *(reverse(f"mail:folder-{verb}", args=[projects.pk]) for verb in ("rename", "delete")),
    ]
    for url in urls:
        assert client.get(url).status_code == 404
        assert client.post(url, {"name": "Mine", "parent": ""}).status_code == 404
        assert url not in client.get("/").content.decode()
    if who == "bob":
        assert urls[1] not in client.get(f"/mail/{projects.pk}/").content.decode()
    assert shown(world) == {"Projects"}


def test_bob_manages_when_ann_lets_him_and_his_undo_ends_with_that(world: World, projects: Folder) -> None:
    with world.acting():
        MailboxGrant.objects.filter(employee=world.bob).update(level=GrantLevel.MANAGE)
    client = world.client(world.bob)
    url = reverse("mail:folder-rename", args=[projects.pk])
    page = client.post(url, {"name": "Bob's"}, follow=True).content.decode()
    assert shown(world) == {"Bob's"}
    with world.acting():
        MailboxGrant.objects.filter(employee=world.bob).update(level=GrantLevel.DELETE)
    assert client.post(reverse("mail:folder-undo"), {"act": undo_from(page)}).status_code == 404
    assert (
        world.client(world.ann).post(reverse("mail:folder-undo"), {"act": undo_from(page)}).status_code == 404
    )
    assert shown(world) == {"Bob's"}


def test_nobody_puts_a_folder_below_one_of_another_mailbox(world: World) -> None:
    private = world.folder(world.ann_box, "archive")
    answer = world.client(world.ann).post(new_url(world), {"name": "Inside", "parent": private.pk})
    assert answer.status_code == 422
    assert shown(world) == set()
