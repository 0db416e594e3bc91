"""I: as much as there may be. (Folders of 180 000 messages: benchmarks/large_folder.py.)"""

import pytest

from mailsync.models import Folder
from tests.catalogue.conftest import Case


@pytest.mark.slow
def test_i03_three_thousand_folders_are_listed_and_looked_into(full: Case) -> None:
    with full.dovecot.imap(full.login) as client:
        for number in range(3_000):
            client.create(f"Clients/{number % 30:02}/{number:04}")
    full.deliver("Deep", folder="Clients/07/0007")
    full.until_quiet()
    assert full.subjects("Clients/07/0007") == ["Deep"]
    full.line.forget()
    full.sync(thorough=False)
    assert len(full.line.commands) < 20


def test_i04_a_folder_forty_levels_deep_is_a_folder(full: Case) -> None:
    path = "/".join(f"L{level}" for level in range(40))
    with full.dovecot.imap(full.login) as client:
        made = client.create(path)[0] == "OK"
    if made:
        full.deliver("At the bottom", folder=path)
    full.sync()
    with full.acting():
        assert Folder.objects.filter(mailbox=full.mailbox, path=path).exists() is made
    assert not made or full.subjects(path) == ["At the bottom"]


def test_i05_i06_i08_a_mail_with_crowds_of_everything_is_stored_whole_and_shown_in_part(full: Case) -> None:
    many = ",\r\n ".join(f"Person {number} <p{number}@crowd.example>" for number in range(20_000))
    long = "X-Long: " + "\r\n ".join(["word " * 14] * 30_000)
    parts = "".join(
        f'--b\r\nContent-Type: text/plain; name="f{number}.txt"\r\nContent-Disposition: attachment\r\n\r\n{number}\r\n'
        for number in range(5_000)
    )
    full.give(f"To: {many}\r\nSubject: Crowd\r\n\r\nx\r\n".encode(), "Crowd")
    full.give(f"Subject: Header\r\n{long}\r\n\r\nx\r\n".encode(), "Header")
    multipart = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    full.give(f"Subject: Parts\r\n{multipart}{parts}--b--\r\n".encode(), "Parts")
    full.sync()
    assert full.subjects() == ["Crowd", "Header", "Parts"]
    crowd, _header, parts_of = (placement.message for placement in full.placements())
    with full.acting():
        assert len(crowd.recipients["to"]) == 50
        assert 0 < parts_of.attachments.count() <= 1_000
