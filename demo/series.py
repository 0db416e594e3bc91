"""What a company gets besides conversations: newsletters, reports, bills, support cases, notices, and spam."""

import html
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from demo import papers
from demo.company import PEOPLE, Person
from demo.correspondence import Letter, Paper

NORA, BEN, INES, SUPPORT = (PEOPLE[key] for key in ("nora", "ben", "ines", "support"))


def everything(now: datetime) -> list[Letter]:
    """All series, oldest first."""
    rng = random.Random("tidewater")  # noqa: S311 (letters, not secrets)
    letters = [
        *newsletters(now),
        *fleet_reports(now, rng),
        *bills(now),
        *tickets(now),
        *parcels(now),
        *cases(now, rng),
        *reviews(now, rng),
        *meetings(now),
        *notices(now),
        *spam(now),
    ]
    return sorted((letter for letter in letters if letter.sent_at < now), key=lambda letter: letter.sent_at)


def _at(now: datetime, days: float, hour: int, minute: int = 0) -> datetime:
    return (now - timedelta(days=days)).replace(hour=hour, minute=minute, second=17)


def _id(kind: str, number: object, sender: Person) -> str:
    return f"<{kind}.{number}@{sender.address.partition('@')[2]}>"


# Newsletters

ESTUARY = Person("The Estuary", "letter@the-estuary.example")
WORKBENCH = Person("Workbench Weekly", "news@workbench-weekly.example")
# title, opening, two short pieces
ESSAYS = (
    (
        "What a tide gauge knows",
        (
            "The oldest tide gauge in Europe still in use stands in a well in Brest. It has missed eleven days since 1807, "
            "and each of them is written down with its reason: a siege, two floods, a drunken keeper."
        ),
        (
            "A river that runs backwards",
            "Twice a year the bore on the Hooghly overtakes the ferries. The pilots set their watches by it.",
        ),
        (
            "Reader's question",
            "Why is low water late after full moon? Because friction keeps the books, and pays them late.",
        ),
    ),
    (
        "The colour of cold water",
        (
            "Sailors could tell the Labrador Current by the green of it. A satellite needs nine bands to say the same, "
            "and says it every day, which the sailors could not."
        ),
        (
            "Sand is going",
            "Two harbours in Portugal have begun to count it. They lost a beach before they had the first number.",
        ),
        (
            "Book of the week",
            "A history of the Secchi disk: thirty centimetres of white paint, and a hundred and sixty years of data.",
        ),
    ),
    (
        "Listening to ice",
        (
            "Under the fjord the microphones hear the glacier hours before anybody sees it move. It sounds, "
            "the technicians say, like a party in the flat above."
        ),
        ("Eels, again", "Eleven tagged eels left the IJsselmeer in October. Four have passed the Azores."),
        (
            "Reader's question",
            "Does salt water freeze? Yes, at minus 1.9, and it leaves the salt behind like a guest leaves crumbs.",
        ),
    ),
    (
        "The night shift of the plankton",
        (
            "Every evening the largest migration on Earth begins, straight upwards. It takes three hours, "
            "and it is over before breakfast."
        ),
        (
            "Mussels as instruments",
            "Eight mussels with magnets guard the drinking water of Warsaw. They vote by closing.",
        ),
        ("Book of the week", "Tables for lighthouse keepers, reprinted: still correct to the minute."),
    ),
    (
        "A short walk along a long dike",
        (
            "Thirty-two kilometres, one bend, four cafés of which one is open. "
            "What the Afsluitdijk looks like from a bicycle in November, with wind from the left."
        ),
        (
            "Fish that read the clock",
            "The new sluice opens for migrating fish at slack water: nine minutes, four times a day.",
        ),
        (
            "Reader's question",
            "Who owns the sea bed? Until twelve miles the state, and after that it gets interesting.",
        ),
    ),
    (
        "Fog, and what it is for",
        (
            "On the coast of Namibia beetles drink it from their own backs. "
            "In Lima nets do the same for whole gardens: six litres for each square metre and morning."
        ),
        (
            "The well at the end of the street",
            "Berlin counts its hand pumps: 2 080, of which 1 890 give water.",
        ),
        ("Book of the week", "The water diviner's daughter, a novel with pumps in it."),
    ),
    (
        "Where the river keeps its memory",
        "Cut a core from a quiet bend and you can read the last flood, the lead of the cars, and the year the mill closed.",
        (
            "Rain by post",
            "Four thousand volunteers empty a gauge each morning at seven. The radar is corrected by them.",
        ),
        ("Reader's question", "Is it true that Venice has no springs? It had six thousand cisterns instead."),
    ),
    (
        "Small harbours",
        "The ferry calls twice a week, the buoy every ten minutes. On what it means to an island that somebody measures.",
        (
            "A whale in the array",
            "The hydrophones off Ålesund heard a blue whale for the first time since they were laid.",
        ),
        ("Book of the week", "Knots, splices and the law: who pays when the mooring parts."),
    ),
)
TOOLS = (
    ("Five torque screwdrivers, one winner", "We broke forty screws so that you need not.", "from 39 €"),
    ("Solder without lead at minus ten", "Three alloys, one balcony, a very cold weekend.", "12 € a reel"),
    (
        "The connector that survived the winter",
        "M12, overmoulded, and the only one without green feet in March.",
        "8.40 €",
    ),
    ("A bench supply for the field", "2.1 kg with battery, and it knows how to be quiet.", "249 €"),
    ("Heat guns: the long test", "Eleven hours each. Two caught fire, one of them nicely.", "from 58 €"),
    ("Desiccant: what the colours mean", "Orange is not always dry. A table to cut out.", "6 € for 20 bags"),
    ("Cable markers that stay on", "Salt, sun and a bored dog: four weeks on the roof.", "19 €"),
    ("The oscilloscope in your coat pocket", "Good to 20 MHz, and honest about it.", "129 €"),
)


def newsletters(now: datetime) -> Iterator[Letter]:
    for week, (title, opening, *pieces) in enumerate(ESSAYS):
        yield Letter(
            sender=ESTUARY,
            to=[NORA, BEN],
            subject=f"The Estuary № {214 - week}: {title}",
            text=f"{title}\n\n{opening}\n\n" + "\n\n".join(f"{head}\n{text}" for head, text in pieces) + "\n",
            html=_essay(214 - week, title, opening, pieces),
            papers=[
                Paper("waves.png", "image/png", papers.banner(title), f"waves-{week}@the-estuary.example")
            ],
            sent_at=_at(now, 3 + 7 * week, 6, 30),
            message_id=_id("issue", 214 - week, ESTUARY),
            headers={
                "List-Id": "The Estuary <letter.the-estuary.example>",
                "List-Unsubscribe": "<mailto:leave@the-estuary.example>",
            },
            unread=week < 1,
        )
    for week in range(8):
        offers = [TOOLS[week], TOOLS[(week + 3) % 8], TOOLS[(week + 5) % 8]]
        yield Letter(
            sender=WORKBENCH,
            to=[BEN if week % 2 else INES],
            subject=f"{offers[0][0]}, and two more for the bench",
            text="\n\n".join(f"{title}\n{text}\n{price}" for title, text, price in offers) + "\n",
            html=_shop_window(week, offers),
            sent_at=_at(now, 1 + 7 * week, 15, 5),
            message_id=_id("mailing", 900 - week, WORKBENCH),
            headers={"List-Unsubscribe": "<mailto:stop@workbench-weekly.example>"},
            unread=week < 2,
        )


def _essay(issue: int, title: str, opening: str, pieces: list[tuple[str, str]]) -> str:
    parts = "".join(
        f'<tr><td style="padding:20px 36px;border-top:1px solid #e3dccb">'
        f'<h2 style="margin:0 0 6px;font:600 17px Georgia,serif;color:#123e54">{html.escape(head)}</h2>'
        f'<p style="margin:0;font:16px/1.55 Georgia,serif;color:#33404a">{html.escape(text)}</p></td></tr>'
        for head, text in pieces
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title></head>
<body style="margin:0;background:#f6f0e4">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center" style="padding:28px 12px">
<table role="presentation" width="600" cellpadding="0" cellspacing="0" style="max-width:600px;background:#ffffff;border-radius:8px;overflow:hidden">
<tr><td><img src="cid:waves-{214 - issue}@the-estuary.example" width="600" alt="" style="display:block;width:100%"></td></tr>
<tr><td style="padding:28px 36px 6px;font:13px Helvetica,sans-serif;letter-spacing:.08em;text-transform:uppercase;color:#40919f">The Estuary · № {issue}</td></tr>
<tr><td style="padding:0 36px"><h1 style="margin:0;font:600 30px/1.2 Georgia,serif;color:#123e54">{html.escape(title)}</h1></td></tr>
<tr><td style="padding:16px 36px 24px;font:17px/1.6 Georgia,serif;color:#33404a">{html.escape(opening)}
<p style="margin:18px 0 0"><a href="https://the-estuary.example/{issue}" style="background:#e26d52;color:#ffffff;text-decoration:none;padding:10px 18px;border-radius:4px;font:600 15px Helvetica,sans-serif">Read on</a></p></td></tr>
<tr><td style="padding:0 36px 24px"><img src="https://pictures.the-estuary.example/{issue}/lead.jpg" width="528" height="260" alt="The picture of the week" style="display:block;width:100%;border-radius:6px"></td></tr>
{parts}
<tr><td style="padding:20px 36px 28px;background:#123e54;font:13px/1.5 Helvetica,sans-serif;color:#cfe0e6">A letter about water, every Thursday. <a href="https://the-estuary.example/leave" style="color:#ffffff">Leave</a>
<img src="https://count.the-estuary.example/open?issue={issue}" width="1" height="1" alt=""></td></tr>
</table></td></tr></table></body></html>"""


def _shop_window(week: int, offers: list[tuple[str, str, str]]) -> str:
    cells = "".join(
        f'<td width="33%" valign="top" style="padding:10px"><img src="https://cdn.workbench-weekly.example/{week}/{n}.jpg"'
        f' width="170" height="130" alt="{html.escape(title)}" style="display:block;width:100%;background:#ecebe6">'
        f'<p style="margin:10px 0 4px;font:600 15px/1.3 Helvetica,sans-serif;color:#222">{html.escape(title)}</p>'
        f'<p style="margin:0 0 8px;font:14px/1.45 Helvetica,sans-serif;color:#555">{html.escape(text)}</p>'
        f'<p style="margin:0;font:600 14px Helvetica,sans-serif;color:#b4471f">{html.escape(price)}</p></td>'
        for n, (title, text, price) in enumerate(offers)
    )
    return f"""<html><head><style>
@media (max-width: 480px) {{ td {{ display: block; width: 100% !important }} }}
a:hover {{ text-decoration: underline }}
</style></head><body bgcolor="#2b2a28" style="margin:0">
<center><table width="620" cellpadding="0" cellspacing="0" bgcolor="#ffffff">
<tr><td colspan="3" style="padding:22px 20px;background:#ffb703;font:800 24px Helvetica,sans-serif;color:#2b2a28">WORKBENCH<span style="font-weight:300">weekly</span></td></tr>
<tr>{cells}</tr>
<tr><td colspan="3" style="padding:18px 20px;font:12px Helvetica,sans-serif;color:#888">You get this because you bought a vice.
<a href="https://workbench-weekly.example/stop" style="color:#888">Stop it</a>
<img src="https://t.workbench-weekly.example/o.gif?w={week}" width="1" height="1"></td></tr>
</table></center></body></html>"""


# Reports of the machines

FLEET = Person("Fleet report", "fleet@tidewater.example")


def fleet_reports(now: datetime, rng: random.Random) -> Iterator[Letter]:
    for day in range(1, 58):
        at = _at(now, day, 5, 55)
        if at.weekday() >= 5:
            continue
        silent = rng.choice([0, 0, 1, 1, 2, 3, 5])
        lowest = rng.uniform(11.1, 12.2)
        lines = [
            f"{212 - silent} of 212 buoys reported in the last 24 hours.",
            f"Lowest battery: {lowest:.1f} V (station {rng.choice(['Vänern 2', 'Rhône 1', 'Bonny 3', 'Biwa 2', 'Tromsø 3'])}).",
            f"Readings: {rng.randint(30_300, 30_528):,}. Rejected by plausibility: {rng.randint(2, 71)}.",
        ]
        if silent:
            names = rng.sample(
                ["Lobith 7", "Lobith 9", "Venezia 4", "Muscat 1", "Köln 2", "Volta 6"], min(silent, 3)
            )
            lines.append("Silent: " + ", ".join(names) + ("." if silent <= 3 else " and others."))
        weekly = at.weekday() == 0
        letter = Letter(
            sender=FLEET,
            to=[INES],
            subject=f"Fleet {at:%d %B}: {212 - silent} of 212" + (", all quiet" if not silent else ""),
            text="\n".join(lines) + "\n",
            sent_at=at,
            message_id=_id("fleet", f"{at:%Y%m%d}", FLEET),
            headers={"Auto-Submitted": "auto-generated"},
            unread=day <= 1,
            starred=silent == 5 and day < 20,
        )
        if weekly:
            name = f"week-{at:%V}.csv"
            letter.papers.append(
                Paper(name, "text/csv", papers.table(name, start=at - timedelta(days=7), rows=336))
            )
            letter.papers.append(Paper(f"week-{at:%V}.png", "image/png", papers.chart(name)))
        yield letter


# Bills

CLOUD = Person("Cloudhafen billing", "invoices@cloudhafen.example")
LAB = Person("Prüflabor West", "rechnung@prueflabor-west.example")
TRAINS = Person("Euroline tickets", "tickets@euroline.example")
COURIER = Person("Nordkurier", "track@nordkurier.example")


def bills(now: datetime) -> Iterator[Letter]:
    for month, amount in enumerate((412.60, 398.15)):
        at = _at(now, 16 + 30 * month, 4, 12)
        number = f"CH-2026-{1189 - month * 97}"
        yield _bill(
            CLOUD, BEN, f"Your invoice {number}", number, amount, at, f"Servers and storage, {at:%B %Y}"
        )
    for position, (days, amount) in enumerate(((6, 780.0), (23, 1_560.0), (44, 390.0))):
        name = f"PW-{40812 - position * 31}"
        yield _bill(
            LAB,
            BEN,
            f"Rechnung {name} für Vergleichsmessungen",
            name,
            amount,
            _at(now, days, 11, 40),
            "Vergleichsmessungen",
        )


def tickets(now: datetime) -> Iterator[Letter]:
    for number, (days, route, when) in enumerate(
        (
            (13, "Rotterdam – Gent-Sint-Pieters", "20 January, 9:58"),
            (30, "Rotterdam – Genève", "27 October, 6:58"),
        )
    ):
        text = f"Your ticket\n\n{route}\n{when}\nCoach 14, seat {61 + number}\n\nThe ticket is attached. Have a good journey.\n"
        yield Letter(
            sender=TRAINS,
            to=[INES],
            subject=f"Your ticket {route}",
            text=text,
            html=_ticket(route, when, 61 + number),
            papers=[Paper("ticket.pdf", "application/pdf", papers.pdf("Ticket", text.splitlines()))],
            sent_at=_at(now, days, 12, 21),
            message_id=_id("ticket", number, TRAINS),
        )


def parcels(now: datetime) -> Iterator[Letter]:
    for number, days in enumerate((1, 8, 11, 19, 33, 47)):
        parcel = f"NK{7_730_118_204 - number * 90_417}"
        yield Letter(
            sender=COURIER,
            to=[INES if number % 2 else SUPPORT],
            subject=f"Parcel {parcel} arrives {'today' if number % 2 else 'tomorrow'}",
            text=f"Parcel {parcel}, 1 piece, {2 + number}.4 kg, is on its way to Maaskade 118, workshop 4.\n\nSomebody has to sign.\n",
            sent_at=_at(now, days, 17, 3 + number),
            message_id=_id("parcel", parcel, COURIER),
            headers={"Auto-Submitted": "auto-generated"},
        )


def _bill(
    sender: Person, to: Person, subject: str, number: str, amount: float, at: datetime, what: str
) -> Letter:
    lines = [f"Invoice {number}", what, "", f"Net     EUR {amount:9.2f}", f"VAT 21% EUR {amount * 0.21:9.2f}"]
    lines += [f"Total   EUR {amount * 1.21:9.2f}", "", f"Payable until {at + timedelta(days=14):%d.%m.%Y}"]
    return Letter(
        sender=sender,
        to=[to],
        subject=subject,
        text="\n".join(lines) + "\n",
        papers=[Paper(f"{number}.pdf", "application/pdf", papers.pdf(f"Invoice {number}", lines))],
        sent_at=at,
        message_id=_id("invoice", number, sender),
    )


def _ticket(route: str, when: str, seat: int) -> str:
    return f"""<html><body style="margin:0;background:#eef1f6;font-family:Verdana,sans-serif">
<table align="center" width="520" cellpadding="0" cellspacing="0" style="margin:24px auto;background:#fff;border:1px solid #d5dbe6;border-radius:10px">
<tr><td style="padding:18px 24px;background:#1b3a8c;color:#fff;border-radius:10px 10px 0 0;font-size:18px">EUROLINE</td></tr>
<tr><td style="padding:24px"><div style="font-size:20px;color:#1b3a8c">{route}</div>
<div style="margin-top:8px;color:#444">{when}</div>
<table width="100%" style="margin-top:18px;font-size:13px;color:#666"><tr><td>Coach<br><b style="font-size:22px;color:#111">14</b></td>
<td>Seat<br><b style="font-size:22px;color:#111">{seat}</b></td><td>Class<br><b style="font-size:22px;color:#111">2</b></td></tr></table></td></tr>
<tr><td style="padding:14px 24px;border-top:1px dashed #c3cbdb;font-size:12px;color:#777">The ticket is attached as a PDF. <a href="https://euroline.example/help">Help</a></td></tr>
</table></body></html>"""


# Support cases: subject, question, answer; each is asked by two customers

CASES = (
    (
        "Alarm at night without a reason",
        "the oxygen alarm rang at {hour}:20, but the value on the page was fine when we looked.",
        'the value was below the limit for eleven minutes and then recovered; the alarm was right. If you would rather sleep through short dips, set "only after 20 minutes" under Alarms.',
    ),
    (
        "How do I add a colleague",
        "a new colleague starts on Monday and needs to see stations 1 to {n}. Where do I add her?",
        'under Settings, People, plus sign. Choose "some stations" and tick 1 to {n}. She gets a letter with a link that holds for three days.',
    ),
    (
        "Battery drops faster than last year",
        "station {n} lost 0.6 V in a week. Last November it was half of that.",
        "the transmitter tries four times as often since the mast on your side was changed. I have set it to the other network; please look again on Friday.",
    ),
    (
        "Map shows the wrong place",
        "station {n} stands on dry land on the map, about 300 m from where it floats.",
        "somebody exchanged two digits when it was moved in spring. Corrected, also in the exports since then.",
    ),
    (
        "Login link does not work",
        'when I click the link in the letter I only see "this link has been used".',
        "your mail gateway opens every link to check it, and so uses it up. I have sent you a code instead, which you type in.",
    ),
    (
        "Please change the report to metres",
        "our weekly report gives depth in feet since the update. We never asked for feet.",
        "nor did we want to give them. It came with the English language setting; depth is back in metres and is now a setting of its own.",
    ),
    (
        "Wiper makes a noise",
        "the wiper of station {n} squeaks so that people on the quay ask about it.",
        "that is the winter seal on a clean window. It goes away with the first algae; a drop of silicone grease helps sooner.",
    ),
    (
        "Data for the last ten years",
        "the ministry asks for all readings since 2016. Can you send them?",
        "here is the link to the archive, one file a year, 1.1 GB in all. The method notes are inside, because the sensor changed in 2019.",
    ),
    (
        "API key expired?",
        "our script gets 401 since this morning {hour}:00. Nothing was changed on our side.",
        "keys are valid for a year and yours was a year old last night. A new one is in your settings; from now on we write a month before.",
    ),
    (
        "Two readings with the same time",
        "on the 25th between 2 and 3 there are two readings for every time. Which one is true?",
        "both: the clock went back. Choose UTC in the export and they are apart again.",
    ),
)


def cases(now: datetime, rng: random.Random) -> Iterator[Letter]:
    customers = [
        PEOPLE[key] for key in ("petra", "oskar", "giulia", "kwame", "sindre", "claire", "joerg", "marieke")
    ]
    for number in range(20):
        title, question, answer = CASES[number % len(CASES)]
        asker, case = customers[(number * 3 + number // 8) % len(customers)], 5210 - number * 7
        facts = {"hour": rng.randint(1, 5), "n": rng.randint(2, 9)}
        asked = _at(now, 1 + number * 2.8, 8 + number % 9, rng.randint(0, 59))
        first = Letter(
            sender=asker,
            to=[SUPPORT],
            subject=f"{title} [case {case}]",
            text=f"Hello,\n\n{question.format(**facts)}\n\n{asker.name}\n",
            sent_at=asked,
            message_id=_id("case", case, asker),
            unread=number in {0, 2},
            folder="" if number < 5 else "Solved",
        )
        yield first
        if number in {0, 2}:
            continue
        reply = Letter(
            sender=SUPPORT,
            to=[asker],
            subject=f"Re: {first.subject}",
            text=f"Hello {asker.name.split()[0]},\n\n{answer.format(**facts)}\n\nBest regards,\nTidewater Support\n",
            sent_at=asked + timedelta(hours=2, minutes=number * 3),
            message_id=_id("answer", case, SUPPORT),
            references=[first.message_id],
        )
        yield reply
        if number % 3:
            yield Letter(
                sender=asker,
                to=[SUPPORT],
                subject=reply.subject,
                text=rng.choice(
                    [
                        "Thank you, that was it.\n",
                        "Works now. Thanks for the quick answer!\n",
                        "Perfect, please close the case.\n",
                    ]
                ),
                sent_at=reply.sent_at + timedelta(hours=5),
                message_id=_id("thanks", case, asker),
                references=[first.message_id, reply.message_id],
                folder="" if number < 5 else "Solved",
            )


# Code review

FORGE = Person("Forge", "notify@forge.example")
CHANGES = (
    (
        "Wait for the old wiper board: 80 ms and a margin",
        "Could we read the board's revision instead of waiting for everybody?",
        "We could, but three of the old boards lie about it. Waiting it is.",
    ),
    (
        "Do not lose the last reading when the radio dies",
        "Good catch. Is there a test that pulls the plug?",
        "There is now; it pulls it at every write.",
    ),
    (
        "Winch: stop at the soft limit first",
        "The limit is 24 m, the constant says 240. Decimetres?",
        "Decimetres, as everything on the drum. I renamed it.",
    ),
    (
        "Plausibility: oxygen above 140 % is allowed at noon in algae",
        "I did not believe it until I saw the plot.",
        "Lake Biwa, last July, every day at one.",
    ),
    (
        "Smaller telegram: 41 bytes instead of 58",
        "Does the old gateway read it?",
        "It ignores the version bit, so no. Behind a flag until the last one is replaced.",
    ),
    (
        "Sleep between 2:00 and 4:00 only if nobody asked for data",
        "This explains Vänern 2, does it not?",
        "It does. Oskar will be glad.",
    ),
)


def reviews(now: datetime, rng: random.Random) -> Iterator[Letter]:
    for number, (title, remark, answer) in enumerate(CHANGES):
        pull = 871 - number * 6
        opened = _at(now, 2 + number * 8, 9 + number, 14)
        root = _id("pull", pull, FORGE)
        words = (
            f"samira-k opened #{pull}: {title}\n\n{rng.randint(2, 9)} files, +{rng.randint(12, 240)} -{rng.randint(3, 90)}",
            f"samira-k commented on #{pull}:\n\n{remark}",
            f"ines-carvalho commented on #{pull}:\n\n{answer}",
            f"#{pull} was merged into main.",
        )
        for position, text in enumerate(words):
            yield Letter(
                sender=FORGE,
                to=[INES],
                subject=f"{'Re: ' if position else ''}[tidewater/firmware] {title} (#{pull})",
                text=f"{text}\n\n-- \nhttps://forge.example/tidewater/firmware/pull/{pull}\n",
                sent_at=opened + timedelta(hours=1.3 * position),
                message_id=root if not position else _id("pull", f"{pull}-{position}", FORGE),
                references=[root] if position else [],
                headers={"List-Id": "tidewater/firmware <firmware.tidewater.forge.example>"},
                folder="Projects/Firmware" if number else "",
            )


# Meetings, notices, spam


def meetings(now: datetime) -> Iterator[Letter]:
    for week in range(7):
        at = _at(now, 4 + 7 * week, 16)
        start = (at + timedelta(days=3)).replace(hour=9, minute=0, second=0)
        uid = _id("meeting", f"{start:%Y%m%d}", NORA)
        guests = [BEN, INES]
        ics = papers.invitation(
            "Monday round",
            start=start,
            organizer=NORA.address,
            guests=[p.address for p in guests],
            uid=uid[1:-1],
        )
        yield Letter(
            sender=NORA,
            to=guests,
            subject=f"Monday round, {start:%d %B}",
            text="Last week, this week, what hurts. Coffee is ready at five to nine.\n",
            papers=[Paper("invite.ics", "text/calendar", ics)],
            sent_at=at,
            message_id=uid,
        )


def notices(now: datetime) -> Iterator[Letter]:
    forge = Person("Forge security", "security@forge.example")
    office = Person("Gemeente Rotterdam", "no-reply@gemeente.example")
    bank = Person("Maasbank zakelijk", "berichten@maasbank.example")
    texts = (
        (
            forge,
            INES,
            5,
            "New sign-in from Firefox on Linux",
            "Somebody signed in to your account from Firefox on Linux, Rotterdam.\n\nIf it was you, there is nothing to do.",
        ),
        (
            office,
            NORA,
            27,
            "Uw aanvraag antenne-installatie (dossier 26-4471)",
            "Wij hebben uw aanvraag ontvangen. U krijgt binnen acht weken bericht.",
        ),
        (
            bank,
            NORA,
            2,
            "Er staat een nieuw bericht voor u klaar",
            "Log in bij Maasbank zakelijk om het bericht te lezen. Wij vragen nooit per e-mail om uw codes.",
        ),
        (bank, NORA, 32, "Rekeningoverzicht oktober", "Uw rekeningoverzicht van oktober staat klaar."),
        (
            forge,
            INES,
            38,
            'Your token "bench" expires in seven days',
            "Make a new one before the nightly build stops.",
        ),
        (
            office,
            NORA,
            51,
            "Afvalkalender Maaskade 2027",
            "De nieuwe kalender: papier op dinsdag, en niet meer op woensdag.",
        ),
    )
    for number, (sender, to, days, subject, text) in enumerate(texts):
        yield Letter(
            sender=sender,
            to=[to],
            subject=subject,
            text=text + "\n",
            sent_at=_at(now, days, 13, 30 + number),
            message_id=_id("notice", number, sender),
            headers={"Auto-Submitted": "auto-generated"},
        )


def spam(now: datetime) -> Iterator[Letter]:
    offers = (
        (
            "Rank #1 in search within 9 days!!!",
            "Dear website owner, we looked at your page and found 47 errors.",
            "seo-wizards",
        ),
        (
            "Re: your unpaid parcel fee (2.99)",
            "Your parcel waits. Confirm the address in 12 hours or it will be returned.",
            "parcel-desk",
        ),
        ("您好，低价代开发票", "各类发票，价格优惠，欢迎来电咨询。", "fapiao-88"),
        (
            "Хотите продать бизнес?",
            "Есть покупатель именно на вашу компанию. Перезвоните сегодня.",
            "biz-broker",
        ),
        (
            "Invitation to publish in the Journal of Everything",
            "Esteemed Doctor, your recent talk inspired us. The fee is only 899 USD.",
            "journal-of-everything",
        ),
        (
            "You have (3) undelivered messages",
            "Click to release the messages held by your administrator.",
            "mail-admin",
        ),
        ("Cheap buoys direct from factory", "Best price buoy, MOQ 1000, all colours.", "buoy-king"),
        ("💰 Pre-approved business loan", "Up to 250 000 without questions. Really without.", "loans-now"),
    )
    for number, (subject, text, host) in enumerate(offers):
        sender = Person(host.replace("-", " ").title(), f"office@{host}.example")
        yield Letter(
            sender=sender,
            to=[(BEN, SUPPORT, INES, NORA)[number % 4]],
            subject=subject,
            text=text + "\n",
            html=f'<p style="font-size:22px;color:#c00">{html.escape(text)}</p><img src="https://{host}.example/t.gif?u={number}">',
            sent_at=_at(now, 1 + number * 4.3, 2 + number, 47),
            message_id=_id("offer", number, sender),
            unread=True,
            folder="Junk",
        )
