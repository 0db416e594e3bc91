"""People take their mail along, admins the company, and nobody what they may not read."""

import json
import mailbox
import re
import tracemalloc
import zipfile
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import tenancy
from accounts.models import AuditEntry, Employee, PersonalNotice
from crm.models import Contact
from mailsync import blobs
from mailsync.models import Blob, SpecialUse
from retention import archive, exporting, mbox
from retention.exporting import run, tend
from retention.models import Export, ExportState, ExportWhat
from tests.retention.scenes import bind_to_client
from tests.tasks.people import busy_task
from tests.test_blobs import LARGE, file_of
from tests.world import World, place

PAGE, START = "/retention/exports/", "/retention/exports/start/"
# What is hard in an mbox: lines that look like its own, quoted ones, bare LF, 8-bit, a large body, no line end.
HARD = [
    b"Subject: From lines\r\n\r\nFrom the start\r\n>From quoted\r\n>>From twice\r\n\r\nFrom the end\r\n",
    b"From: \xff\xfe\r\nSubject: raw bytes\r\n\r\n\x00\x80\xff\nbare\rreturns\r\n\r\n\r\n",
    b"Subject: large\r\n\r\n" + LARGE.encode() + b"\r\nFrom here on\r\n",
    b"Subject: no body\r\n\r\n",
]


def asked(employee: Employee, what: ExportWhat = ExportWhat.MINE) -> Export:
    with tenancy.acting_for(employee.account_id):
        export = exporting.ask(employee, what)
    assert export
    return export


def written(employee: Employee, what: ExportWhat = ExportWhat.MINE) -> tuple[Export, zipfile.ZipFile]:
    export = asked(employee, what)
    run(export.account_id, export.pk)
    with tenancy.acting_for(employee.account_id):
        export.refresh_from_db()
    assert export.state == ExportState.DONE
    return export, zipfile.ZipFile(exporting.path_of(export))


def files_of(export: Export) -> list[str]:
    return sorted(each.name for each in exporting.path_of(export).parent.glob(f"{export.pk}[.-]*"))


def lines(archive: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(name).splitlines()]


def everything_of(archive: zipfile.ZipFile) -> list[dict[str, Any]]:
    """What is counted: a line each, but for files."""
    return [row for name in archive.namelist() if name.endswith(".jsonl") for row in lines(archive, name)]


def test_every_byte_of_anns_mail_comes_back_from_the_mbox(world: World, tmp_path: Path) -> None:
    inbox = world.folder(world.ann_box)
    now = timezone.now()
    with world.acting():
        for number, raw in enumerate(HARD):
            place(inbox, raw, received_at=now - timedelta(hours=9 - number), flags=["\\Seen", "Klaus"])
    bound = world.message(inbox, subject="Offer")
    bind_to_client(world, bound.message)
    with world.acting():
        task = busy_task(world.ann, bound.message, world.bob)
        kept = bytes(bound.message.header) + blobs.body_of(bound.message.body)
    export, archive = written(world.ann)
    assert export.total == export.done == len(HARD) + 1
    [name] = [each for each in archive.namelist() if each.endswith("INBOX.mbox") and "ann@acme" in each]
    (tmp_path / "box").write_bytes(archive.read(name))
    box = mailbox.mbox(tmp_path / "box", create=False)
    unquoted = [re.sub(rb"(?m)^>(>*From )", rb"\1", box.get_bytes(key)) for key in box.keys()]  # noqa: SIM118
    box.close()
    assert unquoted == [*HARD, kept]
    facts = lines(archive, name.replace(".mbox", ".jsonl"))
    assert facts[0]["flags"] == ["Klaus", "\\Seen"] or facts[0]["flags"] == ["\\Seen", "Klaus"]
    assert facts[-1]["subject"] == "Offer"
    assert facts[-1]["tasks"] == [task.pk]
    assert facts[-1]["records"][0].keys() == {"activity", "contact"}


def test_an_admin_takes_the_company_and_nobodys_mail_and_no_secret(world: World) -> None:
    world.message(world.folder(world.ann_box), subject="Private", text="canary7f3a")
    kept = world.message(world.folder(world.ann_box), subject="Offer", text="Dear Zoe.")
    bind_to_client(world, kept.message)
    world.message(world.folder(world.eve_box), subject="canary of Other")
    export, archive = written(world.adm, ExportWhat.COMPANY)
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"canary" not in everything
    with world.acting():
        password = Employee.objects.get(pk=world.ann.pk).password
        assert lines(archive, "data/crm_contact.jsonl")[0]["name"] == Contact.objects.get().name
    assert password.encode() not in everything
    assert not [name for name in archive.namelist() if name.startswith("mail/")]
    [activity] = lines(archive, "data/crm_activity.jsonl")
    assert b"Dear Zoe." in archive.read("activities/activities.mbox")
    assert lines(archive, "activities/activities.jsonl") == [{"activity": activity["id"]}]
    assert export.done == export.total == len(everything_of(archive))
    assert {row["email"] for row in lines(archive, "data/accounts_employee.jsonl")} >= {"ann@acme.example"}
    assert "secret" not in lines(archive, "data/mailsync_mailbox.jsonl")[0]
    assert export.bytes > 0


def test_bob_exports_the_shared_mailbox_and_not_anns_own(world: World) -> None:
    world.message(world.folder(world.ann_box), subject="Hers")
    world.message(world.folder(world.team_box), subject="Shared")
    _export, archive = written(world.bob)
    assert {name.split("/")[1] for name in archive.namelist() if name.startswith("mail/")} == {
        "team@acme.example"
    }


def test_the_file_is_for_who_asked_alone_and_for_a_week(world: World) -> None:
    world.message(world.folder(world.ann_box))
    export, _archive = written(world.ann)
    url = f"/retention/exports/{export.pk}/file/"
    ann = world.client(world.ann)
    assert "Download" in ann.get(PAGE).content.decode()
    answer = ann.get(url)
    assert b"".join(answer.streaming_content)[:2] == b"PK"  # type: ignore[attr-defined]
    for who in (world.adm, world.bob, world.eve):
        assert world.client(who).get(url).status_code == 404
    with world.acting():
        verbs = AuditEntry.objects.filter(verb__startswith="export.").order_by("pk")
        assert [each.verb for each in verbs] == ["export.asked", "export.written", "export.downloaded"]
        Export.objects.update(finished_at=timezone.now() - timedelta(days=7, minutes=1))
    tend(world.acme.pk)
    assert ann.get(url).status_code == 404
    assert not exporting.path_of(export).exists()
    assert "Removed after a week" in ann.get(PAGE).content.decode()


def test_only_an_admin_asks_for_the_company_and_only_one_export_at_a_time(world: World) -> None:
    ann, adm = world.client(world.ann), world.client(world.adm)
    assert ann.post(START, {"what": "company"}).status_code == 403
    assert ann.post(START, {"what": "everything"}).status_code == 404
    assert adm.post(START, {"what": "company"}).status_code == 302
    again = adm.post(START, {"what": "mine"}, follow=True)
    assert "An export of yours is being written" in again.content.decode()
    with world.acting():
        export = Export.objects.get()
        Employee.objects.filter(pk=world.adm.pk).update(role="employee")
    run(world.acme.pk, export.pk)
    assert adm.get(f"/retention/exports/{export.pk}/file/").status_code == 403


def test_a_worker_that_dies_costs_one_part_and_another_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five messages in two folders, two a part; the second worker dies in the middle of the second part."""
    monkeypatch.setattr(archive, "PART_ITEMS", 2)
    for number in range(3):
        world.message(world.folder(world.ann_box), subject=f"inbox {number}")
    for number in range(2):
        world.message(world.folder(world.team_box), subject=f"team {number}")
    export = asked(world.ann)
    assert run(export.account_id, export.pk)
    real = mbox.entry

    def dies(*args: Any) -> Any:
        monkeypatch.setattr(mbox, "entry", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(mbox, "entry", dies)
    with pytest.raises(KeyboardInterrupt):
        run(export.account_id, export.pk)
    # As a kill leaves it, which lets nobody tidy up.
    exporting.path_of(export, 2).with_name(f"{export.pk}-2.zip.1").write_bytes(b"half")
    assert not run(export.account_id, export.pk), "its worker may be alive for all we know"
    with world.acting():
        assert (Export.objects.get().state, Export.objects.get().done) == (ExportState.RUNNING, 2)
        Export.objects.update(seen_at=timezone.now() - timedelta(minutes=6))
    assert run(export.account_id, export.pk)
    while run(export.account_id, export.pk):
        pass
    with world.acting():
        export.refresh_from_db()
    assert (export.state, export.parts, export.done, export.total) == (ExportState.DONE, 3, 5, 5)
    assert files_of(export) == [f"{export.pk}-2.zip", f"{export.pk}-3.zip", f"{export.pk}.zip"]
    subjects, names = [], []
    for number in export.numbers:
        part = zipfile.ZipFile(exporting.path_of(export, number))
        names += [name for name in part.namelist() if name.endswith(".jsonl")]
        for name in part.namelist():
            if name.endswith(".jsonl"):
                subjects += [line["subject"] for line in lines(part, name)]
    assert subjects == ["inbox 0", "inbox 1", "inbox 2", "team 0", "team 1"]
    assert len(names) == len(set(names)), "extracted into one folder, nothing is overwritten"
    page = world.client(world.ann).get(PAGE).content.decode()
    assert "Part 3 of 3" in page
    ann = world.client(world.ann)
    second = ann.get(f"/retention/exports/{export.pk}/file/?part=2")
    assert b"".join(second.streaming_content)[:2] == b"PK"  # type: ignore[attr-defined]
    assert second["Content-Disposition"].endswith('-2-of-3.zip"')
    assert ann.get(f"/retention/exports/{export.pk}/file/?part=4").status_code == 404


def test_after_three_dead_workers_and_at_a_lost_file_it_says_that_it_failed(world: World) -> None:
    export = asked(world.ann)
    with world.acting():
        Export.objects.update(state="running", tries=3, seen_at=timezone.now() - timedelta(minutes=6))
    tend(world.acme.pk)
    page = world.client(world.ann).get(PAGE).content.decode()
    assert "The file could not be written" in page
    world.message(world.folder(world.ann_box), text=LARGE)
    with world.acting():
        file = file_of(Blob.objects.get(content=None))
    aside = file.rename(file.with_suffix(".aside"))
    export = asked(world.ann)
    run(export.account_id, export.pk)
    aside.rename(file)
    with world.acting():
        assert Export.objects.get(pk=export.pk).state == ExportState.FAILED
    assert files_of(export) == []


def test_ann_calls_it_off_while_it_is_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "SHOWS_LIFE", 0.0)
    world.message(world.folder(world.ann_box))
    export = asked(world.ann)
    real = mbox.entry

    def called_off(*args: Any) -> Any:
        world.client(world.ann).post(f"/retention/exports/{export.pk}/cancel/")
        return real(*args)

    monkeypatch.setattr(mbox, "entry", called_off)
    run(export.account_id, export.pk)
    with world.acting():
        assert Export.objects.get().state == ExportState.CANCELLED
    assert files_of(export) == []


def test_memory_does_not_grow_with_the_mailbox(world: World) -> None:
    """A hundred bodies of half a megabyte: what is held at once is a handful of them."""
    inbox = world.folder(world.ann_box, SpecialUse.ARCHIVE)
    now = timezone.now()
    with world.acting():
        for number in range(100):
            place(inbox, b"Subject: %d\r\n\r\n" % number + b"x%07d" % number * 65_536, received_at=now)
    export = asked(world.ann)
    tracemalloc.start()
    run(export.account_id, export.pk)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


def test_an_operator_exports_the_company_as_admins_see_it(world: World, tmp_path: Path) -> None:
    world.message(world.folder(world.ann_box), subject="Private", text="canary7f3a")
    folder = tmp_path / "acme"
    call_command("export_account", "Acme", "--to", str(folder), stdout=StringIO())
    [whole] = folder.iterdir()
    archived = zipfile.ZipFile(whole)
    assert b"canary" not in b"".join(archived.read(name) for name in archived.namelist())
    with world.acting():
        assert AuditEntry.objects.filter(verb="export.by_operator", details__mail=False).count() == 1
        assert not PersonalNotice.objects.exists()
    for wrong, said in (
        (["Nobody", "--to", str(tmp_path / "new")], "no account named"),
        (["Acme", "--to", str(folder)], "is not empty"),
        (["Acme", "--to", str(tmp_path / "new"), "--with-mail"], "Say why"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("export_account", *wrong)


def test_with_the_mail_of_all_its_owners_are_told_why_and_it_goes_on_where_it_was_stopped(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PART_ITEMS", 1)
    for number in range(2):
        world.message(world.folder(world.ann_box), subject=f"Private {number}")
    world.message(world.folder(world.eve_box), subject="canary of Other")
    command = ["export_account", "Acme", "--to", str(tmp_path), "--with-mail", "--reason", "They move away"]
    real = mbox.entry

    def dies_at_the_second(*args: Any) -> Any:
        if b"Private 1" in args[0]:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(mbox, "entry", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        call_command(*command, stdout=StringIO())
    monkeypatch.setattr(mbox, "entry", real)
    with pytest.raises(CommandError, match="another export"):
        call_command("export_account", "Acme", "--to", str(tmp_path), stdout=StringIO())
    said = StringIO()
    call_command(*command, stdout=said)
    assert "Goes on after part 1." in said.getvalue()
    assert {each.suffix for each in tmp_path.iterdir()} == {".zip"}
    subjects = []
    for whole in sorted(tmp_path.iterdir(), key=lambda each: each.stat().st_mtime_ns):
        part = zipfile.ZipFile(whole)
        for name in part.namelist():
            assert b"canary" not in part.read(name)
            if name.startswith("mail/") and name.endswith(".jsonl"):
                subjects += [line["subject"] for line in lines(part, name)]
    assert subjects == ["Private 0", "Private 1"]
    told = world.client(world.ann).get("/settings/notices/").content.decode()
    assert "that of ann@acme.example, team@acme.example too. They say why: They move away" in told
    with world.acting():
        assert PersonalNotice.objects.get().employee == world.ann, "told once"
        assert AuditEntry.objects.filter(verb="export.by_operator", details__mail=True).count() == 1
