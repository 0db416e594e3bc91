"""Why a mail is with CRM or is not, in a sentence."""

from typing import Any

from django.utils.translation import gettext as _

from crm import arrivals, known, letters
from crm.matching import Decision, Policy, Rule, Unknown
from crm.models import Activity, Feed, FeedFolder, Ruling
from mailsync.access import Letter as Opened
from mailsync.models import SpecialUse


def why_bound(activity: Activity) -> str:
    """By the evidence that was kept when it was decided."""
    rule, address = activity.reason.get("rule", ""), activity.reason.get("address", "")
    if rule == Rule.PERSON:
        return _by_a_person(activity)
    sentences = {
        Rule.WRITTEN_FROM.value: _("It was written from this record, or answers such a mail."),
        Rule.THREAD.value: _("The conversation was here already."),
        Rule.ADDRESS.value: _("%(address)s belongs to it."),
        Rule.DOMAIN.value: _("%(address)s is at the company's domain."),
        Rule.NEW.value: _("%(address)s was unknown, so a record was made."),
    }
    return sentences.get(rule, "") % {"address": address}


def _by_a_person(activity: Activity) -> str:
    ruling = Ruling.objects.filter(account_id=activity.account_id, thread=activity.thread).first()
    if ruling is None or activity.decided_at is not None:
        return _("Somebody linked this message.")
    return _("%(name)s decided this for the conversation.") % {"name": ruling.by.name}


def why_not(opened: Opened, account_id: int) -> tuple[str, Decision | None]:
    """Why an opened message is not with CRM; and what would be decided now, if it might be saved."""
    sentence = _not_fed(opened)
    if sentence:
        return sentence, None
    own = known.own(account_id)
    [letter] = letters.stored([opened.message_id], own=own)
    feed = Feed.objects.get(mailbox_id=opened.box.id)
    about = known.about(account_id, [letter])
    decision = arrivals.decide(letter, about, Policy(Unknown(feed.strangers), own, about.exceptions))
    return _not_saved(decision, letter), decision


def _not_fed(opened: Opened) -> str:
    if not Feed.objects.filter(mailbox_id=opened.box.id, enabled=True).exists():
        return _("This mailbox does not save mail to CRM by itself.")
    if opened.role == SpecialUse.JUNK:
        return _("Spam is never saved.")
    if opened.role in arrivals.NEVER or not FeedFolder.objects.filter(folder_id=opened.folder_id).exists():
        return _("Mail in “%(folder)s” is not saved.") % {"folder": opened.path}
    return ""


def _not_saved(decision: Decision, letter: letters.Letter) -> str:
    told: dict[str, Any] = {"address": decision.address, "nature": _natures()[letter.participants.nature]}
    sentences = {
        Rule.PERSON_AGAINST: _("Somebody decided that this conversation does not go to CRM."),
        Rule.EXCEPTION: _("%(address)s is on the list of exceptions."),
        Rule.COLLEAGUES: _("Only colleagues took part."),
        Rule.MACHINE: _("%(address)s is not known, and this is %(nature)s: it never makes a record."),
        Rule.OUTGOING: _("%(address)s is not known."),
        Rule.POLICY: _("%(address)s is not known, and this mailbox makes no records of strangers."),
        Rule.NEW: _("%(address)s is not known."),
    }
    return sentences.get(decision.rule, _("It came before it could be told whose it is.")) % told


def _natures() -> dict[str, str]:
    return {
        "letter": _("a letter"),
        "list": _("a newsletter or a mailing list"),
        "robot": _("a machine's mail"),
        "bounce": _("a bounce"),
        "absence": _("an automatic reply"),
        "invitation": _("an invitation"),
    }
