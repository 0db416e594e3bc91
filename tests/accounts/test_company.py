"""Adm sets what holds for the whole company, and nobody else does."""

from accounts.models import Account, AuditEntry
from tests.world import World

PAGE = "/settings/company/"


def test_adm_renames_the_company_and_moves_its_days_and_both_are_written_down(world: World) -> None:
    client = world.client(world.adm)
    client.post(PAGE, {"name": " Acme  Ltd ", "time_zone": "Asia/Tokyo"})
    account = Account.objects.get(pk=world.acme.pk)
    assert (account.name, account.time_zone) == ("Acme Ltd", "Asia/Tokyo")
    assert "Acme Ltd" in client.get(PAGE).content.decode()
    with world.acting():
        entry = AuditEntry.objects.get(verb="company.changed")
        assert entry.by == world.adm
        assert entry.details == {"name": ["Acme", "Acme Ltd"], "time_zone": ["UTC", "Asia/Tokyo"]}


def test_saving_what_is_so_already_writes_nothing_down(world: World) -> None:
    world.client(world.adm).post(PAGE, {"name": "Acme", "time_zone": "UTC"})
    with world.acting():
        assert not AuditEntry.objects.filter(verb="company.changed").exists()


def test_what_will_not_do_is_refused_in_words(world: World) -> None:
    client = world.client(world.adm)
    for name, zone, said in (
        ("OTHER", "UTC", "There is a company of this name already."),
        (" ", "UTC", "This field is required."),
        ("Acme", "Moon", "Select a valid choice."),
    ):
        answer = client.post(PAGE, {"name": name, "time_zone": zone})
        assert (answer.status_code, said in answer.content.decode()) == (422, True)
    assert Account.objects.get(pk=world.acme.pk).name == "Acme"


def test_only_an_admin_comes_here(world: World) -> None:
    for who in (world.ann, world.bob):
        client = world.client(who)
        assert client.post(PAGE, {"name": "Mine", "time_zone": "UTC"}).status_code == 403
        assert "Company settings" not in client.get("/settings/").content.decode()


def test_nobody_is_asked_for_a_language_where_there_is_one(world: World) -> None:
    client = world.client(world.adm)
    assert "Language" not in client.get(PAGE).content.decode()
    assert "Language" not in client.get("/settings/").content.decode()
    client.post(PAGE, {"name": "Acme", "time_zone": "UTC", "language": "de"})
    assert Account.objects.get(pk=world.acme.pk).language == "en"
