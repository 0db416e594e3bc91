"""What is decided without asking anybody: providers, roles by name, published settings, the tree."""

import pytest

from mailsync import autoconfig, foldertree, presets, roles
from mailsync.models import Security
from mailsync.presets import Server
from mailsync.roles import FoundFolder


def folder(path: str, use: str = "", *, selectable: bool = True) -> FoundFolder:
    return FoundFolder(path.encode(), path, "/", use, selectable)


@pytest.mark.parametrize(
    ("address", "imap", "smtp"),
    [
        ("ann@gmail.com", "imap.gmail.com", "smtp.gmail.com"),
        ("ann@Hotmail.co.uk", "outlook.office365.com", "smtp.office365.com"),
        ("ann@yahoo.de", "imap.mail.yahoo.com", "smtp.mail.yahoo.com"),
        ("ann@me.com", "imap.mail.me.com", "smtp.mail.me.com"),
        ("ann@aol.com", "imap.aol.com", "smtp.aol.com"),
        ("ann@gmx.net", "imap.gmx.net", "mail.gmx.net"),
        ("ann@ya.ru", "imap.yandex.com", "smtp.yandex.com"),
    ],
)
def test_an_address_tells_its_provider(address, imap, smtp):
    preset = presets.for_address(address)
    assert preset
    assert preset.imap
    assert preset.smtp
    assert (preset.imap.host, preset.smtp.host) == (imap, smtp)


def test_a_company_domain_tells_nothing():
    assert presets.for_address("ann@acme.example") is None


def test_no_preset_sends_a_password_unprotected_and_no_domain_has_two_providers():
    seen: set[str] = set()
    for preset in presets.PRESETS:
        for server in filter(None, (preset.imap, preset.smtp)):
            assert server.security in (Security.TLS, Security.STARTTLS)
        assert not seen & set(preset.domains), preset.key
        seen |= set(preset.domains)


def test_gmail_says_that_it_needs_an_app_password():
    preset = presets.for_address("ann@gmail.com")
    assert preset
    assert "app password" in str(preset.help)


def test_proton_has_no_server_but_a_way_out():
    preset = presets.for_address("ann@proton.me")
    assert preset
    assert preset.imap is None
    assert "Forward" in str(preset.help)


def test_the_servers_word_wins_over_a_folders_name():
    found = [folder("INBOX"), folder("Trash"), folder("Papierkorb", "trash")]
    assert roles.guess(found)["trash"] == b"Papierkorb"


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Sent Items", "sent"),
        ("Gesendete Elemente", "sent"),
        ("Éléments envoyés", "sent"),
        ("E\u0301le\u0301ments envoye\u0301s", "sent"),
        ("Отправленные", "sent"),
        ("已发送", "sent"),
        ("CORBEILLE", "trash"),
        ("Корзина", "trash"),
        ("ゴミ箱", "trash"),
        ("Çöp Kutusu", "trash"),
        ("Rascunhos", "drafts"),
        ("Kopie robocze", "drafts"),
        ("Нежелательная почта", "junk"),
        ("INBOX/Junk E-mail", "junk"),
        ("البريد العشوائي", "junk"),
        ("Archiv", "archive"),
    ],
)
def test_roles_are_known_by_name_in_many_languages(name, role):
    assert roles.guess([folder("INBOX"), folder(name)]) == {"inbox": b"INBOX", role: name.encode()}


def test_the_folder_nearest_the_root_takes_the_role_and_a_closed_one_takes_none():
    found = [folder("INBOX"), folder("Projects/Archive"), folder("Archive"), folder("Sent", selectable=False)]
    guessed = roles.guess(found)
    assert guessed["archive"] == b"Archive"
    assert "sent" not in guessed


def test_the_inbox_takes_no_other_role_whatever_the_server_says():
    assert roles.guess([folder("Inbox", "trash")]) == {"inbox": b"Inbox"}


def test_views_of_other_folders_are_not_worth_syncing():
    assert not folder("[Gmail]/All Mail", "all").worth_syncing
    assert not folder("[Gmail]/Important", "important").worth_syncing
    assert folder("[Gmail]/Spam", "junk").worth_syncing


def test_a_found_folder_survives_the_row_it_is_kept_in():
    found = FoundFolder(b"Entw&APw-rfe \xff", "Entwürfe", ".", "drafts", True, 7)
    assert FoundFolder.from_json(found.as_json()) == found


MOZILLA = b"""<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="acme.example">
 <incomingServer type="pop3"><hostname>pop.acme.example</hostname><port>995</port>
   <socketType>SSL</socketType></incomingServer>
 <incomingServer type="imap"><hostname>plain.acme.example</hostname><port>143</port>
   <socketType>plain</socketType></incomingServer>
 <incomingServer type="imap"><hostname>box.%EMAILDOMAIN%</hostname><port>993</port>
   <socketType>SSL</socketType><username>%EMAILLOCALPART%</username></incomingServer>
 <outgoingServer type="smtp"><hostname>out.acme.example</hostname><port>587</port>
   <socketType>STARTTLS</socketType></outgoingServer>
</emailProvider></clientConfig>"""


def test_published_settings_are_read_and_unprotected_servers_passed_over():
    found = autoconfig.parse(MOZILLA, "ann@acme.example")
    assert found == autoconfig.Published(
        Server("box.acme.example", 993, Security.TLS),
        Server("out.acme.example", 587, Security.STARTTLS),
        "ann",
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>not here</html>",
        b"<clientConfig/>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + MOZILLA,
        MOZILLA.replace(b"993", b"99993"),
        b"\xff\xfe\x00",
    ],
)
def test_anything_else_that_a_domain_publishes_is_nothing(text):
    assert autoconfig.parse(text, "ann@acme.example") is None


def test_guesses_are_protected_and_begin_with_the_usual_name():
    guesses = list(autoconfig.guesses("acme.example"))
    assert guesses[0] == Server("imap.acme.example", 993, Security.TLS)
    assert all(guess.security != Security.NONE for guess in guesses)


def test_the_tree_begins_with_the_inbox_and_a_parent_nobody_lists_stays_readable():
    paths = ["Zoo", "Projects/2024/Paris", "INBOX/Sub", "Projects/2024", "INBOX"]
    lines = foldertree.tree(paths, lambda path: foldertree.split(path, "/"))
    assert [(line.label, line.depth) for line in lines] == [
        ("INBOX", 0),
        ("Sub", 1),
        ("Projects / 2024", 0),
        ("Paris", 1),
        ("Zoo", 0),
    ]
