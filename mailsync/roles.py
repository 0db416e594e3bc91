"""PURE: which folder is Sent, Trash and so on, where the server does not say so (RFC 6154 SPECIAL-USE)."""

import base64
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

INBOX = "inbox"
# What a person may choose; `inbox`, `all` and `flagged` are what the server says and nothing else.
CHOOSABLE = ("sent", "drafts", "archive", "junk", "trash")
# Views of other folders: syncing them would double every message.
VIRTUAL = ("all", "flagged", "important")


@dataclass(frozen=True, slots=True)
class FoundFolder:
    """A folder as the server listed it. `special_use` is the role in lower case, "" when it has none.

    `holds_all`: it is the place of mail that no other folder shows, and of all other mail once more (Gmail's All Mail).
    """

    name: bytes
    path: str
    delimiter: str = ""
    special_use: str = ""
    selectable: bool = True
    messages: int | None = None
    uidvalidity: int | None = None
    holds_all: bool = False

    @property
    def is_virtual(self) -> bool:
        return self.special_use in VIRTUAL and not self.holds_all

    @property
    def worth_syncing(self) -> bool:
        return self.selectable and not self.is_virtual

    def as_json(self) -> dict[str, Any]:
        """As ConnectionTest.found keeps it: the name's exact bytes in base64."""
        return {**asdict(self), "name": base64.b64encode(self.name).decode()}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "FoundFolder":
        return cls(**{**kept, "name": base64.b64decode(kept["name"])})


# Names that mail programs and providers give, by role; the languages of their commonest translations.
NAMES: Mapping[str, str] = {
    "sent": (
        "sent|sent items|sent mail|sent messages|sent-mail|outbox sent|gesendet|gesendete objekte|"
        "gesendete elemente|gesendete|envoyés|éléments envoyés|messages envoyés|courrier envoyé|"
        "enviados|elementos enviados|mensajes enviados|itens enviados|mensagens enviadas|inviata|"
        "posta inviata|inviati|elementi inviati|verzonden|verzonden items|verzonden berichten|"
        "отправленные|надіслані|відправлені|изпратени|послато|wysłane|elementy wysłane|odeslané|"
        "odeslaná pošta|odoslaná pošta|odoslané|elküldött|elküldött elemek|trimise|elemente trimise|"
        "poslano|poslane stavke|skickat|skickade|sendt|sendte elementer|sendt post|lähetetyt|saadetud|"
        "gönderilmiş öğeler|gönderilenler|gönderilmiş|απεσταλμένα|נשלח|المرسلة|مرسل|送信済み|"
        "送信済みメール|送信済みアイテム|已发送|已发送邮件|寄件備份|已傳送|보낸편지함|보낸 편지함"
    ),
    "drafts": (
        "draft|drafts|entwurf|entwürfe|brouillon|brouillons|borrador|borradores|rascunho|rascunhos|"
        "bozze|concepten|черновики|чернетки|чернови|kopie robocze|szkice|koncepty|rozepsané|"
        "piszkozatok|schițe|ciorne|skice|utkast|kladder|luonnokset|mustandid|taslaklar|πρόχειρα|טיוטות|"
        "المسودات|مسودات|下書き|草稿|草稿箱|草稿匣|임시보관함|임시 보관함"
    ),
    "archive": (
        "archive|archives|all archive|archiv|archivo|archivio|arquivo|arquivo morto|archief|архив|"
        "архів|archiwum|archív|archívum|arhiva|arhivă|arhiv|arkiv|arkisto|arhiiv|arşiv|αρχείο|"
        "αρχειοθήκη|ארכיון|أرشيف|الأرشيف|アーカイブ|归档|存档|封存|보관함"
    ),
    "junk": (
        "junk|spam|junk e-mail|junk email|junk mail|bulk mail|bulk|spamverdacht|junk-e-mail|"
        "unerwünscht|pourriel|pourriels|indésirables|courrier indésirable|correo no deseado|no deseado|"
        "lixo eletrônico|lixo eletrónico|posta indesiderata|indesiderata|ongewenste e-mail|ongewenst|"
        "спам|нежелательная почта|небажана пошта|нежелана поща|wiadomości-śmieci|wiadomości śmieci|"
        "nevyžádaná pošta|nevyžiadaná pošta|levélszemét|mesaje nedorite|neželena pošta|skräppost|"
        "søppelpost|uønsket e-mail|uønsket post|roskaposti|rämpspost|gereksiz|istenmeyen posta|"
        "istenmeyen|ανεπιθύμητη αλληλογραφία|ανεπιθύμητα|דואר זבל|ספאם|البريد العشوائي|غير المرغوب فيه|"
        "迷惑メール|垃圾邮件|垃圾郵件|스팸메일함|스팸"
    ),
    "trash": (
        "trash|deleted|deleted items|deleted messages|bin|wastebasket|papierkorb|gelöscht|"
        "gelöschte objekte|gelöschte elemente|corbeille|éléments supprimés|messages supprimés|papelera|"
        "elementos eliminados|eliminados|lixeira|lixo|itens excluídos|itens eliminados|cestino|"
        "posta eliminata|elementi eliminati|prullenbak|verwijderde items|корзина|удаленные|удалённые|"
        "кошик|видалені|кошче|изтрити|kosz|elementy usunięte|koš|odstraněná pošta|kôš|odstránená pošta|"
        "kuka|törölt elemek|coș de gunoi|gunoi|elemente șterse|smeće|izbrisane stavke|smetnjak|"
        "papperskorgen|borttagna objekt|papirkurv|papirkurven|slettet post|slettede elementer|"
        "roskakori|poistetut|prügikast|çöp kutusu|çöp|silinmiş öğeler|κάδος απορριμμάτων|διαγραμμένα|"
        "אשפה|פריטים שנמחקו|المهملات|سلة المهملات|العناصر المحذوفة|ゴミ箱|削除済みアイテム|已删除|"
        "已删除邮件|废件箱|垃圾桶|刪除的郵件|휴지통|지운편지함"
    ),
}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


_ROLE_OF_NAME = {_plain(name): role for role, names in NAMES.items() for name in names.split("|")}


def guess(folders: Iterable[FoundFolder]) -> dict[str, bytes]:
    """Role -> folder name. The server's word counts first, then the last part of the path, nearest the root.

    INBOX is known by its name (RFC 9051 5.1: in any case of letters) and never takes another role.
    """
    roles: dict[str, bytes] = {}
    rest: list[FoundFolder] = []
    for folder in folders:
        if not folder.selectable:
            continue
        role = INBOX if folder.name.upper() == b"INBOX" else folder.special_use
        if role and role != "important":
            roles.setdefault(role, folder.name)
        elif not role:
            rest.append(folder)
    for folder in sorted(rest, key=lambda one: len(_parts(one))):
        role = _ROLE_OF_NAME.get(_plain(_parts(folder)[-1]), "")
        if role:
            roles.setdefault(role, folder.name)
    return roles


def _parts(folder: FoundFolder) -> list[str]:
    return folder.path.split(folder.delimiter) if folder.delimiter else [folder.path]
