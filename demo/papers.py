"""Attachments made by code: a PDF page, a chart, a table, an invitation. The same words give the same bytes."""

import csv
import io
import random
from datetime import datetime, timedelta

from PIL import Image, ImageDraw

SAND, SEA, DEEP, CORAL = (246, 240, 228), (64, 145, 168), (18, 62, 84), (226, 109, 82)


def pdf(title: str, lines: list[str]) -> bytes:
    """One A4 page of Helvetica; characters outside of Latin-1 become question marks."""
    text = [f"BT /F1 20 Tf 60 770 Td ({_escaped(title)}) Tj /F1 11 Tf 0 -36 Td 16 TL"]
    text += [f"({_escaped(line)}) Tj T*" for line in lines]
    stream = "\n".join([*text, "ET"]).encode("latin-1", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def chart(name: str, *, width: int = 720, height: int = 320) -> bytes:
    """A PNG with a fortnight of readings, drawn from the name."""
    rng = random.Random(name)  # noqa: S311 (a picture)
    image = Image.new("RGB", (width, height), SAND)
    draw = ImageDraw.Draw(image)
    for step in range(5):
        top = 40 + step * (height - 80) // 4
        draw.line([(50, top), (width - 20, top)], fill=(221, 212, 194))
        draw.text((12, top - 6), str(40 - step * 10), fill=DEEP)
    for colour, drift in ((SEA, 0.0), (CORAL, 1.4)):
        level, points = height * 0.62, []
        for step in range(60):
            level += rng.uniform(-9, 9) - drift
            points.append((50 + step * (width - 80) / 59, min(max(level, 44), height - 44)))
        draw.line(points, fill=colour, width=3, joint="curve")
    draw.text((50, 12), name.rsplit(".", 1)[0].replace("-", " "), fill=DEEP)
    return _png(image)


def boat() -> bytes:
    """What a six-year-old makes of a boat and a buoy."""
    image = Image.new("RGB", (480, 360), (201, 228, 240))
    draw = ImageDraw.Draw(image)
    draw.ellipse([380, 30, 440, 90], fill=(250, 214, 90))
    draw.rectangle([0, 240, 480, 360], fill=SEA)
    draw.polygon([(90, 220), (330, 220), (290, 275), (130, 275)], fill=(150, 82, 52))
    draw.line([(200, 220), (200, 70)], fill=(90, 60, 40), width=6)
    draw.polygon([(206, 76), (206, 200), (300, 200)], fill=(255, 255, 255))
    draw.ellipse([370, 240, 410, 280], fill=(247, 181, 0))
    draw.line([(390, 240), (390, 212)], fill=DEEP, width=3)
    return _png(image)


def banner(title: str, colour: tuple[int, int, int] = DEEP) -> bytes:
    """A strip of waves for the head of a newsletter; shown inline by its content id."""
    image = Image.new("RGB", (600, 140), colour)
    draw = ImageDraw.Draw(image)
    rng = random.Random(title)  # noqa: S311 (a picture)
    for row in range(4):
        base = 80 + row * 16
        shade = tuple(min(channel + 24 * (row + 1), 255) for channel in colour)
        bumps = [(x, base + rng.uniform(-7, 7)) for x in range(0, 640, 20)]
        draw.polygon([(0, 140), *bumps, (600, 140)], fill=shade)
    return _png(image)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def table(name: str, *, start: datetime, rows: int = 48) -> bytes:
    """A CSV with readings every half hour."""
    rng = random.Random(name)  # noqa: S311 (numbers that look measured)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["time", "station", "turbidity_ntu", "oxygen_mg_l", "temperature_c"])
    for row in range(rows):
        at = (start + timedelta(minutes=30 * row)).strftime("%Y-%m-%dT%H:%MZ")
        station = rng.choice([7, 9])
        values = [rng.uniform(8, 15), rng.uniform(7.5, 10.5), rng.uniform(6, 9)]
        writer.writerow([at, station, *(f"{value:.2f}" for value in values)])
    return out.getvalue().encode()


def invitation(title: str, *, start: datetime, organizer: str, guests: list[str], uid: str) -> bytes:
    """An iCalendar request for one hour."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Demo//Letters//EN",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{start:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
        f"DTEND:{start + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{title}",
        f"ORGANIZER:mailto:{organizer}",
        *(f"ATTENDEE;RSVP=TRUE:mailto:{guest}" for guest in guests),
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
