"""The door to the screen: nothing that moves the cursor, hides, reorders, or is a secret gets through."""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop import cells, redaction, secret_shapes, text

CLAWTOP = Path(redaction.__file__).parent


@given(st.text())
def test_safe_text_has_no_hidden_characters_and_is_one_line(raw: str) -> None:
    shown = text.safe(raw)
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in shown)
    assert text.safe(shown) == shown or unicodedata.combining(raw[:1] or "a")


@given(st.text(), st.integers(0, 60))
def test_a_limit_is_a_limit_in_cells(raw: str, limit: int) -> None:
    assert cells.cells(text.safe(raw, limit)) <= limit


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("user\u202egpj", "user\\u202egpj"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\udcff", "\\udcff"),
        ("[/nope] x", "[/nope] x"),
        ("\x9b31m", "\\x9b31m"),
        ("z" + "\u0301" * 40, "z\u0301\u0301"),
    ],
)
def test_hostile_text_is_made_visible(raw: str, shown: str) -> None:
    assert text.safe(raw) == shown


def test_eliding_counts_wide_characters() -> None:
    assert cells.elided("日本語テスト", 7) == "日本語…"
    assert cells.cells("日本語") == 6
    assert cells.elided("short", 5) == "short"
    assert cells.elided("longer", 0) == ""


@pytest.mark.parametrize(
    "raw",
    [
        "key sk-ant-api03-abcdefghijklmnop refused",
        "Authorization: Bearer abcdef0123456789",
        "authorization: Basic dXNlcjpwYXNz",
        '{"api_key": "abcd1234"}',
        "x-api-key=abcd1234",
        "https://user:hunter22@example.org/v1",
        "AIzaSyA-1234567890abcdefghijk",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SflKxwRJSMeKKF2QT4",
    ],
)
def test_what_looks_like_a_secret_is_masked(raw: str) -> None:
    shown = redaction.masked(raw)
    assert redaction.MASK in shown
    for secret in (
        "abcdefghijklmnop",
        "abcdef0123456789",
        "dXNlcjpwYXNz",
        "abcd1234",
        "hunter22",
        "SyA-12345",
        "SflKxw",
    ):
        assert secret not in shown


def test_every_loaded_secret_is_masked_by_value() -> None:
    with forgotten_afterwards():
        redaction.remember_secrets(["a plain sentence as password", "tiny"])
        assert redaction.masked("it said: a plain sentence as password!") == f"it said: {redaction.MASK}!"
        assert redaction.masked("tiny stays") == "tiny stays"


@pytest.mark.parametrize(
    "raw", ["has_secret: false", "tokens: 1234", "key agent:main:main", "sk-", "the bearer of news"]
)
def test_ordinary_words_are_left_alone(raw: str) -> None:
    assert redaction.masked(raw) == raw


@contextmanager
def forgotten_afterwards() -> Iterator[None]:
    """What is loaded as a secret meanwhile is none for the tests that follow."""
    known = redaction._known_secrets
    try:
        yield
    finally:
        redaction._known_secrets = known


def test_a_short_secret_inside_a_long_one_uncovers_nothing() -> None:
    with forgotten_afterwards():
        redaction.remember_secrets(["innermost", "an innermost and more", "more than enough"])
        assert redaction.masked("key sk-abcinnermostdef.") == f"key {redaction.MASK}."
        assert redaction.masked("say an innermost and more than enough!") == f"say {redaction.MASK}!"
        assert redaction.masked("innermostinnermost innermost") == f"{redaction.MASK} {redaction.MASK}"


@given(
    st.lists(st.text(st.sampled_from("abc-"), min_size=6, max_size=9), max_size=4), st.text(st.sampled_from("abc- x"))
)
def test_no_loaded_secret_survives_wherever_it_stands(secrets: list[str], around: str) -> None:
    with forgotten_afterwards():
        redaction.remember_secrets(secrets)
        for secret in secrets:
            assert secret not in redaction.masked(around + secret + around)


@pytest.mark.parametrize(
    ("raw", "width"),
    [
        ("กรุงเทพ", 6),
        ("ที่นี่", 2),
        ("नमस्ते", 4),
        ("क्षि", 2),
        ("👍🏽", 2),
        ("❤\ufe0f", 2),
        ("⚠", 1),
        ("e\u0301", 1),
        ("🇩🇪", 2),
        ("한국", 4),
    ],
)
def test_what_is_drawn_in_one_place_counts_once(raw: str, width: int) -> None:
    assert cells.cells(text.safe(raw)) == width


@given(st.text(st.sampled_from("กีิ้่नमस्तेक्षि👍🏽❤\ufe0f⚠日e\u0301 ab·…▶─"), max_size=30), st.integers(0, 20))
def test_cutting_never_splits_what_is_drawn_in_one_place(raw: str, limit: int) -> None:
    clean = text.safe(raw)
    cut = cells.elided(clean, limit)
    assert cells.cells(cut) <= limit
    assert sum(cells.cells(part) for part in cells.clusters(clean)) == cells.cells(clean)
    if cut != clean and limit:
        assert clean.startswith(cut.removesuffix("…"))
        assert [*cells.clusters(clean)][: len([*cells.clusters(cut[:-1])])] == [*cells.clusters(cut[:-1])]


def test_the_short_way_of_counting_agrees_with_the_tables() -> None:
    import wcwidth

    quick = [chr(point) for point in range(0x3000) if cells._NARROW.fullmatch(chr(point))]
    assert len(quick) > 900
    assert [char for char in quick if wcwidth.wcwidth(char) != 1] == []


def test_no_sign_of_our_own_needs_the_tables() -> None:
    """They are a megabyte, and ten milliseconds of the first frame."""
    drawn = [path for room in ("view", "ui") for path in (CLAWTOP / room).rglob("*.py")]
    signs = {
        char
        for path in (*drawn, CLAWTOP / "commands" / "table.py", CLAWTOP / "commands" / "keys.py")
        for char in path.read_text()
        if not char.isascii()
    }
    assert len(signs) > 20
    assert [char for char in sorted(signs) if cells._NARROW.fullmatch(char) is None] == []


# --- shapes, and forms of what was loaded ------------------------------------------------------------------------

DIVIDED = "planted/Credential+7f3a9c11=e5b2"
"""All of it are characters that words may be made of."""
PLANTED = "correct-horse/battery+staple=42 é"
SHAPES = {
    "telegram": "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",
    "telegram url": "https://api.telegram.org/bot123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/getMe",
    "slack bot": "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
    "slack app": "xapp-1-A0123456789-1234567890123-abcdef0123456789",
    "slack hook": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    "discord": "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    "discord hook": "https://discord.com/api/webhooks/123456789012345678/abcdefghij_KLMNOPQRST-uvwxyz",
    "github": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github fine": "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz0123456789",
    "gitlab": "glpat-AbCdEf_0123456789xyz",
    "aws id": "AKIAIOSFODNN7EXAMPLE",
    "aws session": "ASIAIOSFODNN7EXAMPLE",
    "aws key": "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "google": "AIzaSyA-1234567890abcdefghijklmnopqrstu",
    "client": "client_secret=abcd1234efgh",
    "json": '"clientSecret": "x", "client_secret": "abcd1234efgh"',
    "authorization": "Authorization: Token abcd1234efgh",
    "bearer": "Authorization: Bearer abcd1234efgh",
    "query": "GET /v1/x?key=abcd1234efgh&alt=sse",
    "signature": "https://x/y?X-Amz-Signature=abcd1234efgh&a=b",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "jwt within": "token_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabcd1234efgh\n-----END RSA PRIVATE KEY-----",
    "pem cut off": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nabcd1234efgh",
    "userinfo": "https://me:abcd1234efgh@host/x",
    "userinfo without a user": "redis://:abcd1234efgh@host:6379/0",
    "npm": "npm_abcd1234efgh5678ABCDijklMNOP9012qrst",
    "hugging face": "hf_abcd1234efghABCDijklMNOPqrstUVWXyz",
    "anthropic": "sk-ant-api03-abcd1234efgh5678ABCDijkl-9Q_AA",
    "sendgrid": "SG.abcd1234efgh5678ABCDij.XyZ0abcd1234efgh_5678-ABCDijklMNOPqrst",
    "stripe": "sk_live_abcd1234efgh5678ABCDijkl",
    "twilio": "SK0123456789abcdef0123456789abcdef",
    "mailchimp": "0123456789abcdef0123456789abcdef-us12",
    "slack refresh": "xoxe-1-abcd1234efgh5678ABCDijkl",
    "google client": "GOCSPX-abcd1234efgh5678ABCDijkl",
    "google refresh": "1//0abcd1234efgh5678ABCDijklMNOP",
    "gitlab job": "glcbt-64_abcd1234efgh5678ABCD",
    "pypi": "pypi-AgEIcHlwaS5vcmcabcd1234efgh5678",
    "airtable": "patabcd1234efgh56.0123456789abcdef0123456789abcdef",
    "databricks": "dapi0123456789abcdef0123456789abcdef",
    "vault": "hvs.abcd1234efgh5678ABCDijkl",
    "doppler": "dp.pt.abcd1234efgh5678ABCDijkl",
    "notion": "secret_abcd1234efgh5678ABCDijkl",
    "matrix": "syt_YWxpY2U_abcd1234efgh5678_0aB1cD",
    "cloudflare": "v1.0-0123456789abcdef01234567-0123456789abcdef0123456789abcdef0123",
    "meta": "EAAabcd1234efgh5678ABCDijklMNOPqrstUVWX90123456789",
    "teams hook": "https://x.webhook.office.com/webhookb2/abcd1234efgh@5678/IncomingWebhook/abcdef0123456789/1",
    "cookie": "Cookie: theme=dark; sid=abcd1234efgh",
    "jwt in a cookie": "Cookie: s=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "digest": 'Authorization: Digest username="bob", response="abcdef0123456789abcdef0123456789"',
    "signed": "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, Signature=abcdef0123456789",
    "camel case": "gatewayToken: abcd1234efgh",
    "secret key": "secret_key=abcd1234efgh",
    "argument": "openclaw gateway --auth-token abcd1234efgh",
}
PARTS = (
    "abcd1234efgh",
    "AAEhBOweik6",
    "AbCdEfGh",
    "XXXXXXXXXX",
    "ZnCjm1XV",
    "7Cq4se7",
    "abcdefghij",
    "16C7e42F",
    "IOSFODNN",
    "wJalrXUt",
    "SyA-1234",
    "dozjgNry",
    "abcdef0123456789",
    "mnopqrst",
    "0123456789abcdef",
)
HARMLESS = (
    "request id: req_011CSHoEeqs5C35K2UUqR7Fy",
    "tool toolu_01A09q90qw90lq917835lq9 of msg_01XFDUDYJgAACzvnptvVoYEL",
    "session agent:main:main 3f2b8c1e-77aa-4c0d-9a53-0123456789ab",
    "claude-opus-4-1-20250805, gpt-5.2-codex, gemini-3-pro",
    "maxTokens: 4096, contextTokens=200000, secret_manager_configuration",
    "--token-file /run/token --key-id --password-stdin",
    "cookies: accepted; v1.0-beta; account AC123; SK8 park",
    "https://host:443/path?mail=a@b",
    "a://b:c",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_operators_need_stays(text: str) -> None:
    assert redaction.masked(text) == text


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_a_secret_is_masked(name: str) -> None:
    for around in ("", "before ", "(", "x=1 "):
        hidden = redaction.masked(f"{around}{SHAPES[name]} after")
        assert redaction.MASK in hidden
        assert [part for part in PARTS if part in hidden] == []
        assert hidden.endswith((" after", redaction.MASK))


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_a_secret_is_masked_where_an_address_quotes_it(name: str) -> None:
    once = quote(SHAPES[name], safe="")
    for quoted in (once, quote(once, safe=""), quote(SHAPES[name], safe=":/?=&")):
        hidden = redaction.masked(f"GET /redirect?to={quoted} 100% of")
        assert redaction.MASK in hidden
        assert [part for part in PARTS if part in hidden] == []
        assert hidden.endswith((" 100% of", redaction.MASK))


@given(st.text(alphabet="ab%25203AfF \n", max_size=60))
def test_what_addresses_quote_is_found_at_its_place(quoted: str) -> None:
    decoded, places = next(secret_shapes.unquoted(quoted), (quoted, range(len(quoted) + 1)))
    assert len(places) == len(decoded) + 1
    assert places[-1] == len(quoted)
    for number, char in enumerate(decoded):
        piece = quoted[places[number] : places[number + 1]]
        assert piece == char or chr(int(piece[1:], 16)) == char


@pytest.mark.parametrize("cut", [3, 9, 17])
@pytest.mark.parametrize("between", ["\n", "\n    ", " ", "\r\n\t", "\\n", "\\r\\n  "])
def test_a_loaded_secret_is_masked_where_something_divides_it(cut: int, between: str) -> None:
    value = "correct-horse-battery-staple-42"
    with forgotten_afterwards():
        redaction.remember_secrets([value])
        hidden = redaction.masked(f"say {value[:cut]}{between}{value[cut:]} twice")
        assert hidden == f"say {redaction.MASK} twice"


@pytest.mark.parametrize("cut", range(1, 31))
def test_a_loaded_secret_is_masked_where_two_lines_divide_it(cut: int) -> None:
    """As two texts, each without the other: up to eleven characters tell too little."""
    value = "correct-horse-battery-staple-42"
    with forgotten_afterwards():
        redaction.remember_secrets([value])
        first, second = redaction.masked(f"say {value[:cut]}"), redaction.masked(f"{value[cut:]} twice")
    assert first == ("say " + (redaction.MASK if cut >= 12 else value[:cut]))
    assert second == ((redaction.MASK if len(value) - cut >= 12 else value[cut:]) + " twice")


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 2))
def test_a_loaded_secret_is_masked_in_every_encoding(before: str, after: str, shift: int) -> None:
    with forgotten_afterwards():
        redaction.remember_secrets([PLANTED])
        raw = PLANTED.encode()
        whole = b"\x01" * shift + raw + after.encode("utf-8", "replace")
        for encoded in (
            quote(PLANTED),
            quote(PLANTED, safe=""),
            quote(quote(PLANTED, safe=""), safe=""),
            json.dumps(PLANTED),
            raw.hex(),
            raw.hex().upper(),
            raw.hex(" "),
            base64.b64encode(whole).decode(),
            base64.urlsafe_b64encode(whole).decode(),
        ):
            hidden = redaction.masked(f"{before} {encoded}")
            core = base64.b64encode(raw[3:18]).decode().rstrip("=")
            assert "battery" not in hidden
            assert core not in hidden
            assert raw[3:18].hex() not in "".join(hidden.split()).lower()


@pytest.mark.parametrize("value", ["x", "none", "ollama", "OLLAMA", " changeme ", "api-key", "token"])
def test_a_placeholder_masks_nothing_else(value: str) -> None:
    with forgotten_afterwards():
        redaction.remember_secrets([value])
        said = f"the {value} of every log, x and none and ollama"
        assert redaction.masked(said) == said


def test_the_end_of_one_of_many_loaded_secrets_is_masked() -> None:
    with forgotten_afterwards():
        redaction.remember_secrets(f"value-{number * 7919:07}-of-many-{number:05}-ends" for number in range(3_000))
        assert redaction.masked("it: y-00042-ends.") == f"it: {redaction.MASK}."


def test_many_loaded_secrets_are_found_in_short_texts_too() -> None:
    with forgotten_afterwards():
        values = [f"value-{number:05}-{number * 7919}" for number in range(3_000)]
        redaction.remember_secrets(values)
        assert redaction.masked(f"say {values[1234]} now") == f"say {redaction.MASK} now"
        assert redaction.masked("say nothing of it now") == "say nothing of it now"


def test_what_is_shown_of_a_long_text_does_not_depend_on_its_end() -> None:
    words = "it failed because of this. " * 100_000
    assert text.shown(words, 60) == text.shown(words[:1_000], 60)
    assert text.shown("\x1b" * 1_000_000, 20) == text.shown("\x1b" * 100, 20)


@pytest.mark.parametrize("cut", range(-30, 31, 3))
def test_a_secret_at_the_end_of_what_is_looked_at_is_not_shown_in_part(cut: int) -> None:
    """All that stands before it is one key block, of which a mask is left: the secret moves into what is shown."""
    begin, end = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    looked_at = 8 * 60 + 2 * redaction.LONGEST_SECRET
    block = begin + "A" * (looked_at - len(begin) - len(end) - 2 + cut) + end
    with forgotten_afterwards():
        redaction.remember_secrets([PLANTED])
        said = text.shown(f"{block} {PLANTED} and more" + " words" * 20_000, 60)
        assert all(PLANTED[at : at + 6] not in said for at in range(len(PLANTED) - 6))


@pytest.mark.parametrize("limit", range(1, 40))
def test_no_beginning_of_a_secret_is_shown_where_a_text_is_cut(limit: int) -> None:
    with forgotten_afterwards():
        redaction.remember_secrets([PLANTED])
        said = text.shown(f"key {PLANTED} is refused", limit)
        assert PLANTED[:2] not in said
        assert "github_pat" not in text.shown("key github_pat_11ABCDEFG0123456789_abcdefghij is refused", limit)


@given(st.lists(st.text(st.sampled_from("ab-\n "), max_size=30), max_size=8))
def test_text_in_pieces_is_shown_whole_and_in_order(pieces: list[str]) -> None:
    held, shown = "", ""
    for piece in pieces:
        held += piece
        cut = redaction.whole_words(held)
        assert 0 <= cut <= len(held)
        shown, held = shown + held[:cut], held[cut:]
        assert len(held) <= redaction.LONGEST_SECRET
    assert shown + held == "".join(pieces)


@given(st.data())
def test_a_secret_that_comes_in_pieces_and_is_divided_is_shown_by_no_piece(data: st.DataObject) -> None:
    """Wherever line breaks divide it, and wherever the stream is cut."""
    with forgotten_afterwards():
        redaction.remember_secrets([DIVIDED])
        breaks = data.draw(
            st.dictionaries(st.integers(1, len(DIVIDED) - 1), st.sampled_from(["\n", " ", "\\n", "\n  "]))
        )
        divided = "".join(breaks.get(at, "") + char for at, char in enumerate(DIVIDED))
        whole = f"the key {divided} is refused"
        cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
        held, shown = "", ""
        for begin, end in pairwise([0, *cuts, len(whole)]):
            held += whole[begin:end]
            cut = redaction.whole_words(held)
            shown, held = shown + redaction.masked(held[:cut]), held[cut:]
        assert shown + redaction.masked(held) == f"the key {redaction.MASK} is refused"


@pytest.mark.parametrize(
    ("whole", "width", "cut"),
    [
        ("sebastian:telegram:direct:ariel", 21, "sebastian:tele…:ariel"),
        ("slack:channel:harbour", 20, "slack:chann…:harbour"),
        ("agent:main:discord:channel:12345:thread:67890", 26, "agent:main:d…:thread:67890"),
        ("/srv/claw/agents/main/sessions/939c8244-7c9c.jsonl", 34, "/srv/claw/age…/939c8244-7c9c.jsonl"),
        ("agent:main:discord:channel:98765432101234567:1", 26, "agent:ma…765432101234567:1"),
        ("anthropic:jane.doe.and.more@example.com", 24, "anthrop…more@example.com"),
    ],
)
def test_an_id_that_is_cut_ends_on_a_whole_part_where_that_says_enough(whole: str, width: int, cut: str) -> None:
    assert cells.elided_middle(whole, width) == cut
