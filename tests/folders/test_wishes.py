"""What is refused at once and why; who may; what is written down. No mail server is needed for that."""

import pytest

from mailsync import folders
from mailsync.folders import CannotChange
from mailsync.models import Act, Folder, Operation, SpecialUse
from tests.world import World


@pytest.fixture
def projects(world: World) -> Folder:
    """A folder of Ann's, known to the server."""
    with world.acting():
        return Folder.objects.create(
            account=world.acme,
            mailbox=world.ann_box,
            name=b"Projects",
            path="Projects",
            delimiter="/",
            uidvalidity=9,
        )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "Type a name"),
        ("   ", "Type a name"),
        (" Lead", "neither begins nor ends with a blank"),
        ("Trail\u00a0", "neither begins nor ends with a blank"),
        ("a/b", "cannot be part of a name"),
        ("a\r\nb", "one line without control characters"),
        ("a\0b", "one line without control characters"),
        ("a\u2028b", "one line without control characters"),
        ("a\x7fb", "one line without control characters"),
        ("x" * 201, "at most 200 letters"),
        ("inbox", "belongs to the inbox"),
        ("INBOX", "belongs to the inbox"),
        ("Projects", "There is a folder “Projects” already"),
        ("Trash", "There is a folder “Trash” already"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_words(
    world: World, projects: Folder, name: str, sentence: str
) -> None:
    with world.acting():
        other = Folder.objects.create(
            account=world.acme, mailbox=world.ann_box, name=b"Other", path="Other", delimiter="/"
        )
        with pytest.raises(CannotChange, match=sentence):
            folders.create_folder(world.ann_box, name, by=world.ann)
        with pytest.raises(CannotChange, match=sentence):
            folders.rename_folder(other, name, by=world.ann)
        assert not Operation.objects.exists()
        assert not Act.objects.exists()


def test_the_same_letters_written_in_two_ways_are_one_name(world: World) -> None:
    with world.acting():
        folders.create_folder(world.ann_box, "Gro\u0308\u00dfe", by=world.ann)
        with pytest.raises(CannotChange, match="already"):
            folders.create_folder(world.ann_box, "Gr\u00f6\u00dfe", by=world.ann)


def test_folders_are_nested_twenty_deep_and_no_deeper(world: World) -> None:
    with world.acting():
        parent = None
        for number in range(20):
            made = folders.create_folder(world.ann_box, f"level {number}", parent, by=world.ann)
            parent = Folder.objects.select_related("mailbox").get(pk=made.undo["folder"])
        with pytest.raises(CannotChange, match="20 levels"):
            folders.create_folder(world.ann_box, "one more", parent, by=world.ann)


def test_a_name_that_is_too_long_with_those_above_and_inside_is_refused_in_words(world: World) -> None:
    with world.acting():
        top = folders.create_folder(world.ann_box, "未" * 180, by=world.ann).undo["folder"]
        above = Folder.objects.get(pk=top)
        inside = folders.create_folder(world.ann_box, "未" * 180, above, by=world.ann).undo["folder"]
        with pytest.raises(CannotChange, match="too long"):
            folders.create_folder(world.ann_box, "未" * 180, Folder.objects.get(pk=inside), by=world.ann)
        with pytest.raises(CannotChange, match="too long"):
            folders.rename_folder(above, "未" * 200, by=world.ann)
        folders.rename_folder(above, "Short", by=world.ann)


def test_a_name_that_the_server_has_and_is_too_long_may_be_made_shorter(
    world: World, projects: Folder
) -> None:
    with world.acting():
        long = b"Projects/" + b"x" * 1200
        Folder.objects.create(
            account=world.acme, mailbox=world.ann_box, name=long, path=long.decode(), delimiter="/"
        )
        folders.rename_folder(projects, "Project", by=world.ann)
        with pytest.raises(CannotChange, match="too long"):
            folders.rename_folder(Folder.objects.get(pk=projects.pk), "Projects of ours", by=world.ann)


def test_a_server_without_hierarchy_has_no_folders_inside_folders(world: World, projects: Folder) -> None:
    with world.acting():
        Folder.objects.filter(mailbox=world.ann_box).update(delimiter="")
        projects.refresh_from_db()
        with pytest.raises(CannotChange, match="no folders inside folders"):
            folders.create_folder(world.ann_box, "Inside", projects, by=world.ann)
        folders.create_folder(world.ann_box, "a/b", by=world.ann)


def test_where_everything_lies_below_the_inbox_a_new_folder_does_too(world: World) -> None:
    with world.acting():
        for folder in Folder.objects.filter(mailbox=world.ann_box).exclude(special_use=SpecialUse.INBOX):
            Folder.objects.filter(pk=folder.pk).update(
                name=b"INBOX." + bytes(folder.name), path=f"INBOX.{folder.path}"
            )
        Folder.objects.filter(mailbox=world.ann_box).update(delimiter=".")
        folders.create_folder(world.ann_box, "Größe", by=world.ann)
        operation = Operation.objects.get()
    assert bytes(operation.new_name or b"") == b"INBOX.Gr&APYA3w-e"


@pytest.mark.parametrize("role", list(SpecialUse.values)[:6])
def test_a_folder_with_a_task_is_neither_renamed_nor_deleted(world: World, role: str) -> None:
    folder = world.folder(world.ann_box, role)
    with world.acting():
        with pytest.raises(CannotChange, match="task of its own"):
            folders.rename_folder(folder, "Other", by=world.ann)
        with pytest.raises(CannotChange, match="task of its own"):
            folders.delete_folder(folder, by=world.ann)


def test_a_folder_that_holds_the_trash_is_not_renamed_either(world: World, projects: Folder) -> None:
    with world.acting():
        Folder.objects.filter(mailbox=world.ann_box, special_use=SpecialUse.TRASH).update(
            name=b"Projects/Trash", path="Projects/Trash"
        )
        with pytest.raises(CannotChange, match="“Projects/Trash” has a task of its own"):
            folders.rename_folder(projects, "Other", by=world.ann)


def test_a_folder_with_folders_inside_is_not_deleted(world: World, projects: Folder) -> None:
    with world.acting():
        folders.create_folder(world.ann_box, "Inside", projects, by=world.ann)
        with pytest.raises(CannotChange, match="has folders inside"):
            folders.delete_folder(projects, by=world.ann)


def test_without_a_trash_a_folder_with_mail_stays(world: World, projects: Folder) -> None:
    world.message(projects)
    with world.acting():
        Folder.objects.filter(special_use=SpecialUse.TRASH).update(special_use="")
        with pytest.raises(CannotChange, match="has no folder “Trash”"):
            folders.delete_folder(projects, by=world.ann)
        assert not Folder.objects.filter(deleting=True).exists()


def test_a_name_is_free_again_when_the_server_has_let_go_of_it(world: World, projects: Folder) -> None:
    with world.acting():
        folders.delete_folder(projects, by=world.ann)
        with pytest.raises(CannotChange, match="is still in use"):
            folders.create_folder(world.ann_box, "Projects", by=world.ann)


def test_undo_of_a_new_folder_spares_it_once_it_holds_mail(world: World) -> None:
    with world.acting():
        act = folders.create_folder(world.ann_box, "New", by=world.ann)
        made = Folder.objects.get(pk=act.undo["folder"])
        Folder.objects.filter(pk=made.pk).update(uidvalidity=7)
    world.message(made)
    with world.acting(), pytest.raises(CannotChange, match="holds messages by now"):
        folders.undo(act, by=world.ann)


def test_undo_is_for_whoever_did_it_and_once(world: World, projects: Folder) -> None:
    with world.acting():
        act = folders.rename_folder(projects, "New", by=world.ann)
        with pytest.raises(CannotChange, match="cannot be undone"):
            folders.undo(act, by=world.bob)
        folders.undo(act, by=world.ann)
        with pytest.raises(CannotChange, match="cannot be undone"):
            folders.undo(act, by=world.ann)
        assert Folder.objects.get(pk=projects.pk).path == "Projects"
