"""An answer goes to whom one means, in its thread, and quotes what was said without its tricks."""

import pytest

from mailsync.mime import quotes, writing

OWN = ["ann@acme.example", "sales@acme.example"]


def header(**fields: str) -> bytes:
    return (
        "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"
    )


def addresses(people: quotes.People) -> tuple[list[str], list[str]]:
    return [person.address for person in people.to], [person.address for person in people.cc]


BOB = "Bob <bob@x.example>"
CASES: dict[str, tuple[dict[str, str], tuple[list[str], list[str]], tuple[list[str], list[str]]]] = {
    # name: (header, who gets a reply, who gets a reply to all)
    "one to one": (
        {"From": BOB, "To": "ann@acme.example"},
        (["bob@x.example"], []),
        (["bob@x.example"], []),
    ),
    "several": (
        {
            "From": BOB,
            "To": "Ann <ANN@acme.example>, Cyd <cyd@x.example>",
            "Cc": "dan@x.example, sales@acme.example",
        },
        (["bob@x.example"], []),
        (["bob@x.example"], ["cyd@x.example", "dan@x.example"]),
    ),
    "the author wants answers elsewhere": (
        {
            "From": BOB,
            "Reply-To": "desk@x.example, Bob Two <two@x.example>",
            "To": "ann@acme.example, bob@x.example",
        },
        (["desk@x.example", "two@x.example"], []),
        (["desk@x.example", "two@x.example"], ["bob@x.example"]),
    ),
    "mine": (
        {"From": "ann@acme.example", "To": BOB, "Cc": "cyd@x.example, ann@acme.example"},
        (["bob@x.example"], []),
        (["bob@x.example"], ["cyd@x.example"]),
    ),
    "to myself": (
        {"From": "ann@acme.example", "To": "ann@acme.example"},
        (["ann@acme.example"], []),
        (["ann@acme.example"], []),
    ),
    "a list": (
        {"From": BOB, "To": "ann@acme.example", "List-Post": "<mailto:all@list.example?subject=x>"},
        (["bob@x.example"], []),
        (["bob@x.example"], ["all@list.example"]),
    ),
    "a list that is named": (
        {"From": BOB, "To": "All <all@list.example>", "List-Post": "<mailto:all@list.example>"},
        (["bob@x.example"], []),
        (["bob@x.example"], ["all@list.example"]),
    ),
    "nobody": ({"To": "ann@acme.example"}, ([], []), ([], [])),
    "named twice": (
        {"From": BOB, "To": "cyd@x.example, CYD@x.example, bob@x.example"},
        (["bob@x.example"], []),
        (["bob@x.example"], ["cyd@x.example"]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_answer_goes_to(case):
    fields, one, everybody = CASES[case]
    assert addresses(quotes.reply_to(header(**fields), OWN)) == one
    assert addresses(quotes.reply_to_all(header(**fields), OWN)) == everybody


def test_ann_answers_from_the_address_she_was_written_to():
    assert quotes.written_to(header(To="x@y.example", Cc="Sales@acme.example"), OWN) == "sales@acme.example"
    assert quotes.written_to(header(To="x@y.example", Delivered_To="ann@acme.example"), OWN) == OWN[0]
    assert quotes.written_to(header(To="x@y.example"), OWN) == ""


@pytest.mark.parametrize(
    ("subject", "answered", "forwarded"),
    [
        ("Offer", "Re: Offer", "Fwd: Offer"),
        ("Re: RE: AW: Offer", "Re: Offer", "Fwd: Re: RE: AW: Offer"),
        ("Re[2]: Sv: 回复：Offer", "Re: Offer", "Fwd: Re[2]: Sv: 回复：Offer"),
        ("Fwd: WG: Offer", "Re: Fwd: WG: Offer", "Fwd: Offer"),
        ("Result: 3 of 4", "Re: Result: 3 of 4", "Fwd: Result: 3 of 4"),
        ("", "Re:", "Fwd:"),
    ],
)
def test_a_subject_gets_its_prefix_once(subject, answered, forwarded):
    assert quotes.reply_subject(subject) == answered
    assert quotes.forward_subject(subject) == forwarded


def test_an_answer_stands_in_its_thread():
    full = header(Message_ID="<3@x>", References="<1@x>\r\n <2@x>", In_Reply_To="<2@x>")
    assert quotes.thread(full) == quotes.Thread("<3@x>", "<1@x> <2@x> <3@x>")
    assert quotes.thread(header(Message_ID="<3@x>", In_Reply_To="<2@x>")).references == "<2@x> <3@x>"
    assert quotes.thread(header(Message_ID="<3@x>", In_Reply_To="<1@x> <2@x>")).references == "<3@x>"
    assert quotes.thread(header(Subject="x")) == quotes.Thread("", "")


HOSTILE = (
    "<style>p { color: red } .x { background: url(https://t.example/1) }</style><p class=x onclick=evil()>Hello</p>"
    '<img src="https://t.example/pixel" alt="Chart"><img src="https://t.example/2"><img src="cid:logo@x">'
    '<script>evil()</script><a href="javascript:evil()">click</a>'
)


def test_a_quotation_looks_like_the_original_and_does_nothing():
    quoted = quotes.quoted(HOSTILE, "", "Bob <b@x> wrote:")
    assert "Bob &lt;b@x&gt; wrote:" in quoted
    assert 'style="color: red' in quoted  # the sheet is in the element, and nowhere else
    assert "<style" not in quoted
    assert "[Chart]" in quoted
    assert 'src="cid:logo@x"' in quoted
    for trick in ("t.example", "script", "onclick", "evil"):
        assert trick not in quoted


def test_a_forward_keeps_the_pictures_that_its_author_chose():
    sent_on = quotes.forwarded(HOSTILE, "", "Forwarded message", [("From", "Bob <b@x>"), ("Cc", "")])
    assert "<b>From:</b> Bob &lt;b@x&gt;" in sent_on
    assert "Cc" not in sent_on
    assert "https://t.example/pixel" in sent_on
    assert "evil" not in sent_on


def test_text_is_quoted_as_text_and_depth_does_not_matter():
    assert "&lt;b&gt;1 &lt; 2" in quotes.quoted("", "<b>1 < 2", "Bob wrote:")
    deep = "<style>div { color: red }</style>" + "<div>" * 900 + "x" + "</div>" * 900
    assert "x" in quotes.quoted(deep, "", "Bob wrote:")


def test_what_the_editor_gives_is_cleaned():
    given = (
        '<p style="text-align: center; position: fixed">Hi <b onclick="x()">Bob</b></p><img src="cid:1@x" width="20">'
        '<img src="https://t.example/"><img src="data:image/png;base64,AAAA"><script>x()</script>'
        '<a href="javascript:x()">a</a><a href="https://x.example">b</a><form><input name=x></form><svg onload=x()>'
    )
    cleaned = writing.clean(given)
    assert '<p style="text-align: center">Hi <b>Bob</b></p><img src="cid:1@x" width="20">' in cleaned
    assert '<a href="https://x.example">b</a>' in cleaned
    for trick in ("x()", "t.example", "data:", "<form", "<input", "svg", "fixed"):
        assert trick not in cleaned
    assert writing.clean(cleaned) == cleaned
    assert writing.images(cleaned) == {"1@x"}
    assert writing.is_empty("<p></p><p> </p>")
    assert not writing.is_empty('<p><img src="cid:1"></p>')
    signed = '<p></p><div class="signature"><p>Ann</p><img src="cid:1"></div>'
    assert writing.is_unwritten(signed)
    assert not writing.is_unwritten(f"{signed}<p>Below it</p>")
