"""What we know about mail providers, as data: servers, the form of the login, what to do before connecting.

Only facts a provider publishes; a domain that is not here is looked for by autoconfig.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailsync.models import Security


@dataclass(frozen=True, slots=True)
class Server:
    """Where one protocol answers."""

    host: str
    port: int
    security: str


@dataclass(frozen=True, slots=True)
class Preset:
    """One provider. `help` is shown before the password is asked for, and again when it is refused.

    `imap` is None where the provider offers no IMAP from outside: connecting is refused with `help`.
    """

    key: str
    name: str
    domains: tuple[str, ...]
    imap: Server | None
    smtp: Server | None
    help: Promise | str = ""
    help_url: str = ""
    login_is_local_part: bool = False
    # It puts what is sent through its SMTP server into Sent by itself.
    files_sent: bool = False

    def login_for(self, address: str) -> str:
        return address.rpartition("@")[0] if self.login_is_local_part else address


def _tls(host: str, port: int) -> Server:
    return Server(host, port, Security.TLS)


def _starttls(host: str, port: int) -> Server:
    return Server(host, port, Security.STARTTLS)


def _provider(
    key: str,
    name: str,
    domains: str,
    imap: str,
    smtp: str | Server,
    *,
    help: Promise | str = "",  # noqa: A002 (the field's name)
    help_url: str = "",
    login_is_local_part: bool = False,
    files_sent: bool = False,
) -> Preset:
    """The common shape: IMAP over TLS at 993, SMTP over TLS at 465 unless a Server says otherwise."""
    return Preset(
        key,
        name,
        tuple(domains.split()),
        _tls(imap, 993),
        smtp if isinstance(smtp, Server) else _tls(smtp, 465),
        help,
        help_url,
        login_is_local_part,
        files_sent,
    )


def _closed(key: str, name: str, domains: str, help: Promise | str) -> Preset:  # noqa: A002
    return Preset(key, name, tuple(domains.split()), None, None, help)


APP_PASSWORD_YAHOO = _(
    "Yahoo needs an app password: in Account security choose “Generate app password” and type that one here, "
    "not the password you sign in with."
)
IMAP_ON_GMX = _(
    "Switch IMAP on first: in the webmail under Settings, POP3/IMAP retrieval. With two-factor sign-in, "
    "create an application-specific password there and type that one."
)
CODE_NETEASE = _(
    "Switch IMAP on in the webmail's settings (POP3/SMTP/IMAP); it shows an authorisation code once. "
    "Type that code here, not your password."
)

PRESETS: tuple[Preset, ...] = (
    _provider(
        "gmail",
        "Gmail",
        "gmail.com googlemail.com",
        "imap.gmail.com",
        "smtp.gmail.com",
        help=_(
            "Gmail needs an app password: turn on 2-Step Verification in your Google account, create an app "
            "password and type those 16 letters here, not the password you sign in with."
        ),
        help_url="https://myaccount.google.com/apppasswords",
        files_sent=True,
    ),
    _provider(
        "microsoft",
        "Outlook, Microsoft 365",
        "outlook.com outlook.de outlook.fr outlook.es outlook.it outlook.at outlook.be outlook.jp outlook.kr "
        "outlook.sa outlook.in outlook.com.br outlook.com.au outlook.com.tr outlook.pt outlook.dk outlook.cz "
        "outlook.cl outlook.ph outlook.sg outlook.ie outlook.hu outlook.lv outlook.sk hotmail.com hotmail.de "
        "hotmail.fr hotmail.es hotmail.it hotmail.co.uk hotmail.be hotmail.nl hotmail.com.br hotmail.com.tr "
        "hotmail.co.jp hotmail.ca hotmail.se hotmail.no hotmail.dk hotmail.ch live.com live.de live.fr "
        "live.it live.nl live.be live.ca live.se live.no live.dk live.at live.jp live.co.uk live.com.au "
        "live.com.mx live.ru msn.com passport.com windowslive.com",
        "outlook.office365.com",
        _starttls("smtp.office365.com", 587),
        help=_(
            "Microsoft has switched off password sign-in for most mailboxes and refuses it even when the "
            "password is right. It works only where your organisation's administrator allows it; ask there. "
            "An operator of this installation can offer Microsoft's own sign-in instead."
        ),
        help_url="https://support.microsoft.com/office/d088b986-291d-42b8-9564-9c414e2aa040",
        files_sent=True,
    ),
    _provider(
        "yahoo",
        "Yahoo",
        "yahoo.com ymail.com rocketmail.com myyahoo.com yahoo.co.uk yahoo.de yahoo.fr yahoo.it yahoo.es "
        "yahoo.ca yahoo.ie yahoo.gr yahoo.se yahoo.no yahoo.dk yahoo.pl yahoo.ro yahoo.in yahoo.co.in "
        "yahoo.co.id yahoo.com.br yahoo.com.ar yahoo.com.mx yahoo.com.au yahoo.com.sg yahoo.com.hk "
        "yahoo.com.tw yahoo.com.ph yahoo.com.vn yahoo.com.tr yahoo.co.th yahoo.co.za yahoo.co.nz",
        "imap.mail.yahoo.com",
        "smtp.mail.yahoo.com",
        help=APP_PASSWORD_YAHOO,
        help_url="https://login.yahoo.com/account/security",
    ),
    _provider(
        "yahoo-japan",
        "Yahoo! Japan",
        "yahoo.co.jp ybb.ne.jp",
        "imap.mail.yahoo.co.jp",
        "smtp.mail.yahoo.co.jp",
        help=_("Switch IMAP on first in the webmail's settings; the login is your Yahoo! Japan ID."),
        login_is_local_part=True,
    ),
    _provider(
        "icloud",
        "iCloud",
        "icloud.com me.com mac.com",
        "imap.mail.me.com",
        _starttls("smtp.mail.me.com", 587),
        help=_(
            "iCloud needs an app-specific password: create one in your Apple account under Sign-In and "
            "Security and type that one here."
        ),
        help_url="https://account.apple.com/account/manage",
    ),
    _provider(
        "aol",
        "AOL",
        "aol.com aol.de aol.fr aol.co.uk aim.com verizon.net netscape.net",
        "imap.aol.com",
        "smtp.aol.com",
        help=_(
            "AOL needs an app password: in Account security choose “Generate app password” and type that "
            "one here."
        ),
        help_url="https://login.aol.com/account/security",
    ),
    _provider(
        "fastmail",
        "Fastmail",
        "fastmail.com fastmail.fm fastmail.net fastmail.org fastmail.co.uk fastmail.de fastmail.us "
        "fastmail.jp fastmail.nl fastmail.se fastmail.es fastmail.in fastmail.to messagingengine.com "
        "sent.com 123mail.org mailbolt.com ml1.net mm.st",
        "imap.fastmail.com",
        "smtp.fastmail.com",
        help=_("Fastmail needs an app password: Settings, Privacy & Security, Connected apps & API tokens."),
        help_url="https://app.fastmail.com/settings/security/apps",
    ),
    _provider(
        "gmx",
        "GMX",
        "gmx.de gmx.net gmx.at gmx.ch gmx.eu gmx.biz gmx.org gmx.info",
        "imap.gmx.net",
        "mail.gmx.net",
        help=IMAP_ON_GMX,
    ),
    _provider(
        "gmx-com",
        "GMX.com",
        "gmx.com gmx.us gmx.co.uk gmx.fr gmx.es mail.com email.com",
        "imap.gmx.com",
        "mail.gmx.com",
        help=IMAP_ON_GMX,
    ),
    _provider("webde", "WEB.DE", "web.de", "imap.web.de", _starttls("smtp.web.de", 587), help=IMAP_ON_GMX),
    _provider(
        "yandex",
        "Yandex",
        "yandex.ru yandex.com yandex.by yandex.kz yandex.ua yandex.uz yandex.com.tr ya.ru narod.ru",
        "imap.yandex.com",
        "smtp.yandex.com",
        help=_(
            "Switch IMAP on in the webmail under All settings, Email clients, and create an app password for "
            "Mail; type that one here."
        ),
        help_url="https://id.yandex.com/security/app-passwords",
    ),
    _provider(
        "mailru",
        "Mail.ru",
        "mail.ru inbox.ru list.ru bk.ru internet.ru xmail.ru mail.ua",
        "imap.mail.ru",
        "smtp.mail.ru",
        help=_(
            "Mail.ru needs a password for external applications: create one in your account under Security "
            "and type that one here."
        ),
        help_url="https://account.mail.ru/user/2-step-auth/passwords",
    ),
    _provider(
        "rambler",
        "Rambler",
        "rambler.ru lenta.ru myrambler.ru autorambler.ru ro.ru rambler.ua",
        "imap.rambler.ru",
        "smtp.rambler.ru",
        help=_("Switch access for mail programs on first: in the webmail under Settings, Programs."),
    ),
    _provider(
        "zoho",
        "Zoho",
        "zoho.com zohomail.com",
        "imap.zoho.com",
        "smtp.zoho.com",
        help=_("Switch IMAP access on in Zoho Mail's settings; with two-factor sign-in use an app password."),
    ),
    _provider(
        "zoho-eu",
        "Zoho Europe",
        "zoho.eu zohomail.eu",
        "imap.zoho.eu",
        "smtp.zoho.eu",
        help=_("Switch IMAP access on in Zoho Mail's settings; with two-factor sign-in use an app password."),
    ),
    _provider("mailbox-org", "mailbox.org", "mailbox.org", "imap.mailbox.org", "smtp.mailbox.org"),
    _provider(
        "posteo",
        "Posteo",
        "posteo.de posteo.net posteo.org posteo.eu posteo.at posteo.ch posteo.be posteo.uk posteo.pl",
        "posteo.de",
        "posteo.de",
    ),
    _provider(
        "t-online",
        "T-Online",
        "t-online.de magenta.de",
        "secureimap.t-online.de",
        "securesmtp.t-online.de",
        help=_("T-Online has a separate e-mail password: set it in the customer centre and type that one."),
    ),
    _provider("freenet", "freenet", "freenet.de", "mx.freenet.de", "mx.freenet.de"),
    _provider(
        "ionos",
        "IONOS",
        "online.de onlinehome.de",
        "imap.ionos.de",
        "smtp.ionos.de",
    ),
    _provider(
        "infomaniak", "Infomaniak", "ik.me ikmail.com etik.com", "mail.infomaniak.com", "mail.infomaniak.com"
    ),
    _provider("bluewin", "Bluewin", "bluewin.ch", "imaps.bluewin.ch", "smtpauths.bluewin.ch"),
    _provider("mailfence", "Mailfence", "mailfence.com", "imap.mailfence.com", "smtp.mailfence.com"),
    _provider("runbox", "Runbox", "runbox.com", "mail.runbox.com", "mail.runbox.com"),
    _provider("startmail", "StartMail", "startmail.com", "imap.startmail.com", "smtp.startmail.com"),
    _provider("migadu", "Migadu", "migadu.com", "imap.migadu.com", "smtp.migadu.com"),
    _provider("orange-fr", "Orange", "orange.fr wanadoo.fr", "imap.orange.fr", "smtp.orange.fr"),
    _provider("free-fr", "Free", "free.fr", "imap.free.fr", "smtp.free.fr"),
    _provider("laposte", "La Poste", "laposte.net", "imap.laposte.net", "smtp.laposte.net"),
    _provider("sfr", "SFR", "sfr.fr neuf.fr", "imap.sfr.fr", "smtp.sfr.fr"),
    _provider(
        "libero", "Libero", "libero.it inwind.it iol.it blu.it", "imapmail.libero.it", "smtp.libero.it"
    ),
    _provider(
        "seznam", "Seznam", "seznam.cz email.cz post.cz spoluzaci.cz", "imap.seznam.cz", "smtp.seznam.cz"
    ),
    _provider("wp", "WP", "wp.pl", "imap.wp.pl", "smtp.wp.pl"),
    _provider("o2-pl", "o2", "o2.pl tlen.pl go2.pl", "poczta.o2.pl", "poczta.o2.pl"),
    _provider(
        "onet",
        "Onet",
        "onet.pl op.pl vp.pl onet.eu poczta.onet.pl",
        "imap.poczta.onet.pl",
        "smtp.poczta.onet.pl",
    ),
    _provider(
        "interia", "Interia", "interia.pl interia.eu poczta.fm", "poczta.interia.pl", "poczta.interia.pl"
    ),
    _provider("ukrnet", "UKR.NET", "ukr.net", "imap.ukr.net", "smtp.ukr.net"),
    _provider("comcast", "Comcast", "comcast.net", "imap.comcast.net", _starttls("smtp.comcast.net", 587)),
    _provider(
        "att",
        "AT&T",
        "att.net sbcglobal.net bellsouth.net",
        "imap.mail.att.net",
        "smtp.mail.att.net",
        help=_("AT&T needs a secure mail key: create one in your profile under Sign-in info."),
    ),
    _provider("bt", "BT", "btinternet.com btopenworld.com", "mail.btinternet.com", "mail.btinternet.com"),
    _provider(
        "qq",
        "QQ Mail",
        "qq.com foxmail.com",
        "imap.qq.com",
        "smtp.qq.com",
        help=CODE_NETEASE,
    ),
    _provider("163", "NetEase 163", "163.com", "imap.163.com", "smtp.163.com", help=CODE_NETEASE),
    _provider("126", "NetEase 126", "126.com", "imap.126.com", "smtp.126.com", help=CODE_NETEASE),
    _provider(
        "naver",
        "Naver",
        "naver.com",
        "imap.naver.com",
        _starttls("smtp.naver.com", 587),
        help=_(
            "Switch IMAP/SMTP on first in Naver Mail's settings; with two-step sign-in use an app password."
        ),
        login_is_local_part=True,
    ),
    _closed(
        "proton",
        "Proton Mail",
        "proton.me protonmail.com protonmail.ch pm.me",
        _(
            "Proton Mail gives IMAP only through its Bridge on your own computer, out of our reach. "
            "Forward the mail to another address and connect that one."
        ),
    ),
    _closed(
        "tuta",
        "Tuta",
        "tuta.com tuta.io tutanota.com tutanota.de tutamail.com keemail.me",
        _("Tuta offers no IMAP. Forward the mail to another address and connect that one."),
    ),
    _closed(
        "hey",
        "HEY",
        "hey.com",
        _("HEY offers no IMAP. Forward the mail to another address and connect that one."),
    ),
)

_BY_KEY = {preset.key: preset for preset in PRESETS}
_BY_DOMAIN = {domain: preset for preset in PRESETS for domain in preset.domains}


def for_address(address: str) -> Preset | None:
    """The provider of an address, by its domain; None for a domain of a company's own."""
    return _BY_DOMAIN.get(address.rpartition("@")[2].strip().lower())


def by_key(key: str) -> Preset | None:
    return _BY_KEY.get(key)


def for_host(host: str) -> Preset | None:
    """The provider that runs a server: a company's own domain may live at Gmail."""
    return next((p for p in PRESETS if p.imap and p.imap.host == host.strip().lower()), None)


def hosting_companies() -> Iterable[Preset]:
    """Providers that also carry companies' own domains, offered when the domain says nothing."""
    keys = (
        "gmail",
        "microsoft",
        "yandex",
        "zoho",
        "zoho-eu",
        "fastmail",
        "mailbox-org",
        "ionos",
        "infomaniak",
        "migadu",
    )
    return [_BY_KEY[key] for key in keys]
