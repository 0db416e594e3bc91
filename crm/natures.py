"""What wrote a mail: a person, or something that must never become a client. Pure: header fields in, a word out."""

import re
from collections.abc import Collection, Mapping
from enum import StrEnum

from mailsync.mime import headers


class Nature(StrEnum):
    LETTER = "letter"
    LIST = "list"
    ROBOT = "robot"
    BOUNCE = "bounce"
    ABSENCE = "absence"
    INVITATION = "invitation"


_NAMES = (
    "auto-submitted", "content-class", "content-type", "feedback-id", "list-id", "list-post",
    "list-unsubscribe", "mailing-list", "precedence", "return-path", "subject",
    "x-autoreply", "x-autorespond", "x-auto-response-suppress", "x-campaign", "x-failed-recipients", "x-loop",
    "x-mailing-list", "x-mailman-version", "x-beenthere",
)  # fmt: skip
_FIELD = re.compile(rb"\n((?i:" + "|".join(_NAMES).encode() + rb"))[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)")
_LIST_FIELDS = ("list-id", "list-post", "list-unsubscribe", "mailing-list", "x-mailing-list", "x-beenthere",
                "x-mailman-version", "feedback-id", "x-campaign", "x-loop")  # fmt: skip
# The part before the @; what comes after a + or as a number at the end does not matter.
_MACHINE = re.compile(
    r"(?:no|do.?not|never)[-_.]?(?:reply|response|answer)|.*[-_.]no[-_.]?reply|noreply.*|mailer|robot|bot|daemon"
    r"|(?:auto|system|mail)[-_.]?(?:mailer|reply|responder|confirm|notify)|notif(?:y|ications?)|alerts?"
    r"|newsletters?|(?:e-?)?news|bounces?|.*[-_.]bounces?|unsubscribe|majordomo|listserv|.*-request"
)
_POSTMASTER = re.compile(r"mailer-daemon|postmaster|mail-daemon|double-bounce")
_AWAY = re.compile(
    r"\s*(?:auto(?:matic|matische|matique)?[ -]?(?:reply|response|antwort|antwoord|r[ée]ponse)|autoreply|"
    r"out of (?:the )?office|abwesend|abwesenheit|niet aanwezig|afwezig|absence|absent|vacation|on leave|"
    r"risposta automatica|respuesta autom[aá]tica|resposta autom[aá]tica|автоответ|нет на месте)\b",
    re.IGNORECASE,
)


def fields(header: bytes) -> dict[str, str]:
    """The fields that tell, by name in lower case; of a repeated one the first."""
    found = _FIELD.findall(b"\n" + header[: headers.HEADER_BYTES])
    return {name.decode("ascii").lower(): headers.unfold(value) for name, value in reversed(found)}


def nature(told: Mapping[str, str], *, sender: str, parts: Collection[str]) -> Nature:
    """`sender` is an address in lower case, `parts` the content types of the attachments."""
    local = sender.partition("@")[0].partition("+")[0].rstrip("0123456789")
    if _is_bounce(told, local):
        return Nature.BOUNCE
    if _is_invitation(told, parts):
        return Nature.INVITATION
    if _is_absence(told):
        return Nature.ABSENCE
    precedence = told.get("precedence", "").lower()
    if precedence in {"list", "bulk", "junk"} or any(name in told for name in _LIST_FIELDS):
        return Nature.LIST
    if _is_robot(told, local):
        return Nature.ROBOT
    return Nature.LETTER


def _is_bounce(told: Mapping[str, str], local: str) -> bool:
    kind = told.get("content-type", "").lower()
    report = kind.startswith("multipart/report") and "disposition-notification" not in kind
    return (
        report
        or kind.startswith("message/delivery-status")
        or "x-failed-recipients" in told
        or bool(_POSTMASTER.fullmatch(local))
        or (told.get("return-path", "").strip() == "<>" and told.get("auto-submitted", "no") == "no")
    )


def _is_invitation(told: Mapping[str, str], parts: Collection[str]) -> bool:
    return (
        told.get("content-type", "").lower().startswith("text/calendar")
        or "calendarmessage" in told.get("content-class", "").lower()
        or any(part.lower() in {"text/calendar", "application/ics"} for part in parts)
    )


def _is_absence(told: Mapping[str, str]) -> bool:
    """RFC 3834: auto-replied; and what programs say that are older than it."""
    return (
        told.get("auto-submitted", "").lower().startswith("auto-replied")
        or "x-autoreply" in told
        or "x-autorespond" in told
        or told.get("precedence", "").lower() == "auto_reply"
        or bool(_AWAY.match(told.get("subject", "")))
    )


def _is_robot(told: Mapping[str, str], local: str) -> bool:
    kind = told.get("content-type", "").lower()
    return (
        told.get("auto-submitted", "no").partition(";")[0].strip().lower() not in {"no", ""}
        or "all" in told.get("x-auto-response-suppress", "").lower()
        or kind.startswith("multipart/report")  # a receipt of reading
        or bool(_MACHINE.fullmatch(local))
    )
