"""Bytes to text, when the declared character set is missing, unknown or a lie."""

import codecs
import re
from encodings.aliases import aliases
from functools import lru_cache

# Only real character sets: Python's registry also holds codecs that unpack archives or take quadratic time, and
# remembers every unknown name it was ever asked for.
_CODEC_NAMES = """
    ascii big5 big5hkscs cp037 cp437 cp737 cp775 cp850 cp852 cp855 cp857 cp858 cp860 cp861 cp862 cp863 cp864
    cp865 cp866 cp869 cp874 cp932 cp949 cp950 cp1125 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257
    cp1258 euc_jis_2004 euc_jisx0213 euc_jp euc_kr gb18030 gb2312 gbk hz iso2022_jp iso2022_jp_1 iso2022_jp_2
    iso2022_jp_3 iso2022_jp_ext iso2022_kr iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8
    iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16 johab koi8_r koi8_t koi8_u kz1048
    latin_1 mac_cyrillic mac_greek mac_iceland mac_latin2 mac_roman mac_turkish ptcp154 shift_jis shift_jis_2004
    shift_jisx0213 tis_620 utf_7 utf_8 utf_8_sig utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le
"""
_CODECS = frozenset(_CODEC_NAMES.split())
# What senders mean by the smaller name: its superset, as browsers do.
_SUPERSETS = {
    "latin_1": "cp1252",
    "ascii": "utf_8",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "iso2022_jp": "iso2022_jp_ext",
    "iso2022_jp_1": "iso2022_jp_ext",
    "utf_8_sig": "utf_8",
}
_MORE_NAMES = {
    "x_sjis": "cp932",
    "windows_31j": "cp932",
    "x_gbk": "gb18030",
    "gb_2312_80": "gb18030",
    "x_euc_jp": "euc_jp",
    "x_euc_kr": "cp949",
    "ks_c_5601": "cp949",
    "ks_c_5601_1987": "cp949",
    "ks_c_5601_1989": "cp949",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_6_i": "iso8859_6",
    "windows_874": "cp874",
    "x_mac_roman": "mac_roman",
    "macintosh": "mac_roman",
    "x_mac_cyrillic": "mac_cyrillic",
    "x_cp1250": "cp1250",
    "x_cp1251": "cp1251",
    "x_cp1252": "cp1252",
    "unicode_1_1_utf_7": "utf_7",
    "unicode_1_1_utf_8": "utf_8",
    "x_unicode_2_0_utf_8": "utf_8",
    "x_utf_8": "utf_8",
    "cp65001": "utf_8",
    "ansi_x3_110_1983": "utf_8",
    "iso_10646_ucs_2": "utf_16",
    "koi8_ru": "koi8_u",
}
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _table() -> dict[str, str]:
    known = {name: name for name in _CODECS}
    known.update({alias: name for alias, name in aliases.items() if name in _CODECS})
    known = {_SEPARATORS.sub("_", alias): _SUPERSETS.get(name, name) for alias, name in known.items()}
    # "cp1252" and "windows_1252" are aliases of Python's; "iso_8859_1" and "utf8" too; these are not.
    known.update(
        {f"iso_8859_{n}": _SUPERSETS.get(f"iso8859_{n}", f"iso8859_{n}") for n in range(2, 17) if n != 12}
    )
    known.update(_MORE_NAMES)
    return known


_KNOWN = _table()


def codec(name: str) -> str:
    """Python's name for a character set, or "" for one that nobody knows."""
    return _codec(name[:60]) if name else ""


@lru_cache(maxsize=256)
def _codec(name: str) -> str:
    return _KNOWN.get(_SEPARATORS.sub("_", name.strip().lower()).strip("_"), "")


def decode(data: bytes, declared: str = "", *, cut: bool = False) -> str:
    """Text of the bytes: as declared, else UTF-8, else Windows-1252, which never fails.

    `cut` says that the bytes are the beginning of something longer, so half a character at the end is no
    sign of a lie. The text holds no NUL and no lone surrogate.
    """
    name = codec(declared)
    text = _decode(data, name, cut=cut)
    if name == "utf_7":  # the only decoder that lets lone surrogates through
        return clean(text)
    return text.replace("\0", "") if "\0" in text else text


def clean(text: str) -> str:
    """Without what PostgreSQL and UTF-8 cannot hold: NUL and lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
    return text


def _decode(data: bytes, name: str, *, cut: bool) -> str:
    if name in ("", "utf_8") and data.isascii():
        return _escaped_japanese(data) or data.decode("ascii")
    for attempt in (name, "utf_8"):
        if attempt:
            text = _strict(data, attempt, cut=cut)
            if text is not None:
                return text
    return _mended(data, name)


def _escaped_japanese(data: bytes) -> str | None:
    """ISO-2022-JP that was not declared: it is ASCII with escapes into kanji."""
    if b"\x1b$" in data:
        return data.decode("iso2022_jp_ext", "replace")
    return None


def _strict(data: bytes, name: str, *, cut: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(name)("strict").decode(data, not cut)
    except (UnicodeError, ValueError):
        return None


def _mended(data: bytes, name: str) -> str:
    """A few broken characters are shown as such; when most are broken, the declaration was a lie."""
    for attempt in (name, "utf_8"):
        if attempt and attempt != "cp1252":
            text = data.decode(attempt, "replace")
            foreign = sum(1 for byte in data[:20_000] if byte > 127)
            if text[:20_000].count("\ufffd") * 10 <= foreign:
                return text
    try:
        return data.decode("cp1252")
    except UnicodeError:
        return data.decode("latin-1")
