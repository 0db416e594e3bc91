"""A token is shown to real and lying servers by IMAP, IDLE and SMTP; it goes where tokens belong and nowhere else."""

import base64
import ssl
import time
from collections.abc import Iterator

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from mailsync import smtp
from mailsync.imap.errors import Busy, ForbiddenText, Refused
from mailsync.imap.idle import open_idle
from mailsync.imap.session import Credentials, connect
from mailsync.sasl import choose, oauthbearer, xoauth2
from mailsync.smtp import SmtpCredentials, SmtpTrouble
from tests.connecting.test_smtp import Server
from tests.rigs.mailserver import MailServer
from tests.rigs.oauth import Provider
from tests.rigs.proxy import line_to, without
from tests.rigs.scripted import ScriptedServer, scripted
from tests.test_watcher import run_apart

ANN = "ann@acme.example"
OFFERS = b"* CAPABILITY IMAP4rev1 IDLE SASL-IR AUTH=PLAIN AUTH=XOAUTH2\r\n{tag} OK done\r\n"


def credentials(port: int, token: str, **more: object) -> Credentials:
    values: dict[str, object] = {"host": "127.0.0.1", "port": port, "security": "none", "login": ANN}
    return Credentials(**{**values, "password": token, "bearer": True, "allow_private": True, **more})  # type: ignore[arg-type]


def idle(given: Credentials) -> None:
    async def work() -> None:
        connection = await open_idle(given)
        await connection.close()

    run_apart(work())


def imap(given: Credentials) -> None:
    connect(given).close()


@pytest.fixture
def token(provider: Provider) -> str:
    return str(provider.grant(ANN)["access_token"])


@pytest.fixture(params=[(), ("SASL-IR",), ("AUTH=XOAUTH2",), ("AUTH=XOAUTH2", "SASL-IR")], ids=" ".join)
def port(request: pytest.FixtureRequest, dovecot_oauth: MailServer) -> Iterator[int]:
    """The mail server without some of its capabilities."""
    with line_to("127.0.0.1", dovecot_oauth.port, without(*request.param)) as line:
        yield line.port


@pytest.mark.parametrize("way", [imap, idle])
def test_a_token_opens_the_mailbox_by_either_mechanism_with_and_without_sasl_ir(port, token, way) -> None:
    way(credentials(port, token))


@pytest.mark.parametrize("way", [imap, idle])
def test_a_token_that_ended_is_refused_in_words_and_at_once(port, token, provider, way) -> None:
    provider.end_access(ANN)
    began = time.monotonic()
    with pytest.raises(Refused) as caught:
        way(credentials(port, token))
    assert time.monotonic() - began < 8
    assert "does not accept the consent" in caught.value.sentence
    assert token not in caught.value.sentence


def test_the_token_of_one_person_does_not_open_the_box_of_another(dovecot_oauth, token) -> None:
    with pytest.raises(Refused):
        imap(credentials(dovecot_oauth.port, token, login="bob@acme.example"))


@pytest.mark.parametrize("way", [imap, idle])
def test_a_server_that_wants_passwords_gets_no_token(way) -> None:
    with scripted() as server, pytest.raises(Refused, match="no sign-in by consent"):
        way(credentials(server.port, "the token"))
    assert_untold(server, "the token")


@pytest.mark.parametrize("way", [imap, idle])
def test_a_password_is_never_shown_as_a_token(way) -> None:
    """A server that offers tokens only gets LOGIN for a password, or nothing."""
    offers = b"* CAPABILITY IMAP4rev1 IDLE LOGINDISABLED AUTH=XOAUTH2\r\n{tag} OK done\r\n"
    with scripted({"CAPABILITY": offers}) as server, pytest.raises(Refused, match="accepts no password"):
        way(credentials(server.port, "the password", bearer=False))
    assert_untold(server, "the password")


def assert_untold(server: ScriptedServer, secret: str) -> None:
    told = b"".join(server.heard)
    assert secret.encode() not in told
    assert base64.b64encode(secret.encode())[:10] not in told


@pytest.mark.parametrize("way", [imap, idle])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"{tag} NO [UNAVAILABLE] try later\r\n", Busy),
        (b"{tag} NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n", Refused),
        (b"{tag} BAD AUTHENTICATE failed.\r\n", Refused),
    ],
)
def test_googles_reason_as_a_challenge_is_answered_and_its_no_is_heard(way, answer, kind) -> None:
    reason = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}')

    def refuse(talk, words) -> None:
        if len(words) < 4:
            talk.send(b"+ \r\n")
            talk.line()
        talk.send(b"+ " + reason + b"\r\n")
        assert talk.line() == b""
        talk.send(answer.replace(b"{tag}", words[0]))

    with scripted({"CAPABILITY": OFFERS, "AUTHENTICATE": refuse}) as server, pytest.raises(kind):
        way(credentials(server.port, "the token"))


@pytest.mark.parametrize("way", [imap, idle])
def test_a_line_break_or_a_new_field_in_a_login_is_never_sent(way) -> None:
    with scripted({"CAPABILITY": OFFERS}) as server:
        for login in ("ann\r\nx LOGOUT", "ann\1auth=Bearer other"):
            with pytest.raises(ForbiddenText):
                way(credentials(server.port, "the token", login=login))
    assert not any(b"AUTHENTICATE" in line for line in server.heard)


def test_the_words_of_both_mechanisms_are_those_of_their_documents() -> None:
    assert xoauth2("ann@x", "T").first == b"user=ann@x\1auth=Bearer T\1\1"
    said = oauthbearer("a,n=n@x", "T", "mail.x", 993)
    assert said.first == b"n,a=a=2Cn=3Dn@x,\1host=mail.x\1port=993\1auth=Bearer T\1\1"
    assert said.after_error == b"\1"
    assert "auth=Bearer" not in repr(said)
    chosen = choose({"PLAIN", "OAUTHBEARER"}, login="a", secret="p", bearer=False, host="h", port=1)
    assert chosen
    assert chosen.name == "PLAIN"


class Tokens(Server):
    """An outgoing server that takes one token and says, like Google, why it does not take another."""

    def factory(self) -> SMTP:
        class Smtp(SMTP):
            async def auth_XOAUTH2(self, _server, args):  # noqa: N802 (aiosmtpd's way to add a mechanism)
                said = base64.b64decode(args[1]).decode()
                if said == f"user={ANN}\1auth=Bearer good\1\1":
                    return AuthResult(success=True)
                blob = await self.challenge_auth(b'{"status":"400"}')
                return AuthResult(success=False, handled=False, message=f"535 5.7.8 no {blob!r}")

        return Smtp(self.handler, auth_require_tls=False, authenticator=lambda *_: AuthResult(success=False))


@pytest.fixture
def outgoing() -> Iterator[Tokens]:
    server = Tokens()
    server.start()
    yield server
    server.stop()


def to_smtp(port: int, token: str, **more: object) -> SmtpCredentials:
    tls = ssl.create_default_context()
    known: dict[str, object] = {"login": ANN, "bearer": True, "allow_private": True, **more}
    return SmtpCredentials("127.0.0.1", port, "none", password=token, tls=tls, **known)  # type: ignore[arg-type]


def test_a_token_signs_in_to_the_outgoing_server(outgoing) -> None:
    smtp.try_login(to_smtp(outgoing.port, "good"))
    with pytest.raises(SmtpTrouble, match="refuses the consent") as caught:
        smtp.try_login(to_smtp(outgoing.port, "secret-token"))
    assert "secret-token" not in caught.value.sentence
    with pytest.raises(SmtpTrouble, match="such letters"):
        smtp.try_login(to_smtp(outgoing.port, "good", login="änn@acme.example"))


def test_an_outgoing_server_that_wants_passwords_gets_no_token(smtp_sink) -> None:
    with pytest.raises(SmtpTrouble, match="neither"):
        smtp.try_login(to_smtp(smtp_sink.port, "good"))
