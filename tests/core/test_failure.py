"""Classification beyond the vectors: Python exceptions, log records, cycles, depth, and what always holds."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clawtop.core.failure import as_3_28, as_6_11, billing_tables, phrase_tables, provider_plugins, tables_9_6
from clawtop.core.failure.classify import (
    classify_failure,
    classify_message,
    is_non_provider_runtime_coordination_error,
    is_timeout_error,
    recorded,
    status_for_reason,
)
from clawtop.core.failure.explanation import explain_error
from clawtop.core.failure.failover_error import CoercionContext, coerced
from clawtop.core.failure.marked import marked_reason
from clawtop.core.failure.phrases import Phrases, compiled
from clawtop.core.failure.record import ErrorRecord, ErrorValue, from_exception, from_mapping, walk
from clawtop.core.failure.rules import Classification, Kind
from clawtop.core.failure.signal import signal_of
from clawtop.core.failure.status import CODES, DEFAULT_STATUS, STATUS_RULES
from clawtop.core.generations import SEMANTICS
from clawtop.core.model import FailureReason
from clawtop.errors import SessionContendedError, SessionTakeoverError, SessionWriteLockTimeoutError

Reason = FailureReason


class ApiError(Exception):
    """What a provider's client raises: a text with a status and perhaps a code."""

    def __init__(self, message: str = "", *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status_code = status
        self.code = code


class FetchError(Exception):
    """Stands for a library's error that core cannot know."""


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    error.__cause__ = cause
    return error


def chained(depth: int, leaf: ErrorValue) -> ErrorValue:
    value = leaf
    for number in range(depth):
        value = ErrorRecord(name="Error", message=f"wrapper {number}", cause=value, is_exception=True)
    return value


def cyclic(first: ErrorRecord, second: ErrorRecord) -> ErrorRecord:
    object.__setattr__(first, "cause", second)
    object.__setattr__(second, "cause", first)
    return first


# --- messages ----------------------------------------------------------------------------------------------------

LONG_CONTEXT_429 = '429 {"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required"}}'


@pytest.mark.parametrize(
    ("text", "provider", "reason", "rule"),
    [
        (LONG_CONTEXT_429, None, Reason.RATE_LIMIT, "status-429"),
        ("Extra usage is required for long context requests", None, Reason.BILLING, "billing-text"),
        ("You have hit your Weekly Limit", None, Reason.RATE_LIMIT, "periodic-limit"),
        ("402 monthly spend limit reached", None, Reason.RATE_LIMIT, "402-limit-resets"),
        ("402 please top up", None, Reason.BILLING, "402-money-gone"),
        ("402 something else", None, None, "unclassified"),
        ("402: hard limit reached for this workspace", None, Reason.BILLING, "402-money-gone"),
        ("402 subscription quota limit, automatic quota refresh soon", None, Reason.RATE_LIMIT, "402-limit-resets"),
        ("402 payment required: server overloaded", None, Reason.BILLING, "status-402"),
        ("Billing error: no active subscription", None, Reason.BILLING, "billing-text"),
        ("Your team has used all available credits", None, Reason.BILLING, "billing-text"),
        ("Please check billing, no active subscription", None, None, "unclassified"),
        ("account: workers_ai daily quota limit exceeded", None, Reason.RATE_LIMIT, "provider-limit"),
        ("Access token could not be refreshed. Sign in again.", None, Reason.AUTH_PERMANENT, "oauth-refresh-final"),
        ("Model x is deprecated, please upgrade to y", None, Reason.MODEL_NOT_FOUND, "model-not-found-text"),
        ("402: timed out", None, Reason.TIMEOUT, "timeout-text"),
        ("Key limit exceeded (daily limit)", "OpenRouter", Reason.BILLING, "openrouter-key-limit"),
        ("Key limit exceeded", None, None, "unclassified"),
        ("429 insufficient balance", "kimi-coding", Reason.BILLING, "billing-as-429"),
        ("429 insufficient balance", "zai", Reason.RATE_LIMIT, "status-429"),
        ("529 too bad", None, Reason.OVERLOADED, "status-529"),
        ("521: web server is down", None, Reason.TIMEOUT, "leading-http-status"),
        ("OAuth token refresh failed for x: refresh_token_reused", None, Reason.AUTH_PERMANENT, "oauth-refresh-final"),
        ("OAuth token refresh failed for x: HTTP error", None, Reason.AUTH, "auth-text"),
        ('{"type":"server_error"}', None, Reason.SERVER_ERROR, "server-error-field"),
        ('{"type":"server_error","message":"unauthorized"}', None, Reason.AUTH, "auth-text"),
        ('{"type":"api_error","message":"Backend error"}', None, Reason.TIMEOUT, "anthropic-api-error"),
        ("Terminated", None, Reason.TIMEOUT, "timeout-text"),
        ("terminated by the operator", None, None, "unclassified"),
        ("Unknown error (no error details in response)", None, Reason.NO_ERROR_DETAILS, "no-error-details"),
        ("image exceeds 5 MB maximum: rate limit", None, None, "image-too-large"),
        ("503 <html><body>down</body></html>", None, Reason.TIMEOUT, "html-error-page"),
        ("Invalid model reference", None, None, "unclassified"),
        ("TPM 限制", None, Reason.RATE_LIMIT, "rate-limit-text"),
        ("", None, None, "unclassified"),
    ],
)
def test_a_text_is_classified_by_a_named_rule(
    text: str, provider: str | None, reason: FailureReason | None, rule: str
) -> None:
    answer = classify_message(text, provider)
    assert (answer.reason, answer.rule) == (reason, rule)


def test_a_context_overflow_is_no_failure_of_the_provider() -> None:
    answer = classify_message("prompt is too long: 210000 tokens > 200000 maximum")
    assert answer.kind is Kind.CONTEXT_OVERFLOW
    assert answer.reason is None
    assert classify_message("TPM limit hit, prompt is too long").reason is Reason.RATE_LIMIT


def test_a_long_text_with_a_billing_phrase_is_prose() -> None:
    assert classify_message("credit balance" + " x" * 200).reason is Reason.BILLING
    assert classify_message("credit balance" + " x" * 300).reason is None
    assert classify_message("error code: 402" + " x" * 300).reason is Reason.BILLING


def test_a_cached_answer_is_the_same_answer() -> None:
    first = classify_message("Too Many Requests", "openrouter")
    assert classify_message("Too Many Requests", "openrouter") == first
    assert classify_message("key limit exceeded", "openrouter") != classify_message("key limit exceeded", "other")


# --- Python exceptions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError("boom", status=429), Reason.RATE_LIMIT),
        (ApiError("boom", code="overloaded_error"), Reason.OVERLOADED),
        (TimeoutError(), Reason.TIMEOUT),
        (ConnectionResetError(104, "Connection reset by peer"), Reason.TIMEOUT),
        (ConnectionRefusedError(111, "Connection refused"), Reason.TIMEOUT),
        (FileNotFoundError(2, "No such file"), None),
        (asyncio.CancelledError(), None),
        (raised(RuntimeError("outer"), ApiError("invalid api key")), Reason.AUTH),
        (ExceptionGroup("unhandled errors in a TaskGroup", [ApiError("x", status=503)]), Reason.TIMEOUT),
        (ExceptionGroup("unhandled", [ValueError("x"), ApiError("insufficient credits")]), Reason.BILLING),
        (KeyError("x"), None),
    ],
    ids=repr,
)
def test_an_exception_is_classified_with_what_it_wraps(error: BaseException, reason: FailureReason | None) -> None:
    assert classify_failure(error).reason == reason


def test_the_context_of_an_exception_counts_unless_suppressed() -> None:
    def fail(*, suppress: bool) -> BaseException:
        try:
            try:
                raise ApiError("too many requests")
            except ApiError:
                if suppress:
                    raise RuntimeError("while cleaning up") from None
                raise RuntimeError("while cleaning up")  # noqa: B904 - the implicit context is the point
        except RuntimeError as error:
            return error

    assert classify_failure(fail(suppress=False)).reason is Reason.RATE_LIMIT
    assert classify_failure(fail(suppress=True)).reason is None


def test_an_exception_that_knows_its_reason_keeps_it() -> None:
    error = ApiError("too many requests", status=429)
    error.reason = Reason.EMPTY_RESPONSE  # type: ignore[attr-defined]
    answer = classify_failure(error)
    assert (answer.reason, answer.rule) == (Reason.EMPTY_RESPONSE, "failover-error")


def test_an_exception_that_cannot_be_printed_has_no_message() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    assert from_exception(MuteError()).message == ""
    assert classify_failure(MuteError()).kind is Kind.NONE


def test_no_message_stands_in_a_repr() -> None:
    error = raised(RuntimeError("sk-outer-secret"), ApiError("sk-inner-secret"))
    assert "secret" not in repr(from_exception(error))
    assert "secret" not in repr(coerced(ApiError("429 sk-inner-secret")))


# --- log records -------------------------------------------------------------------------------------------------


def test_a_record_of_a_log_is_an_error() -> None:
    record = json.loads('{"name":"Error","message":"","cause":{"statusCode":"503","message":"overloaded"}}')
    assert classify_failure(record).reason is Reason.OVERLOADED
    assert signal_of(from_mapping(record)).status == 503


def test_the_outer_status_wins_over_the_inner_one() -> None:
    value = ErrorRecord(
        message="x", status="INVALID_ARGUMENT", error=ErrorRecord(status=429), cause=ErrorRecord(status=500)
    )
    signal = signal_of(value, "kimi")
    assert (signal.status, signal.code, signal.provider) == (429, "INVALID_ARGUMENT", "kimi")


# --- coordination ------------------------------------------------------------------------------------------------

LOCK = SessionWriteLockTimeoutError("session file locked (timeout 10000ms): pid=1 /s/a.jsonl.lock")
LOCAL_ERRORS = [
    LOCK,
    SessionTakeoverError("session file changed while its lock was released"),
    SessionContendedError("waited 300 s: timed out, connection error, whatever"),
]


def wrappings() -> dict[str, Callable[[BaseException], object]]:
    def as_record(field: str) -> Callable[[BaseException], object]:
        return lambda error: ErrorRecord(message="outer", **{field: recorded(error)})  # type: ignore[arg-type]

    return {
        "direct": lambda error: error,
        "cause": lambda error: raised(RuntimeError("outer"), error),
        "group": lambda error: BaseExceptionGroup("group", [error]),
        "nested group": lambda error: ExceptionGroup("g", [ExceptionGroup("h", [error])]),
        "error field": as_record("error"),
        "reason field": as_record("reason"),
    }


@pytest.mark.parametrize("error", LOCAL_ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("wrapping", list(wrappings()))
def test_local_contention_is_never_a_model_failure(error: BaseException, wrapping: str) -> None:
    wrapped = wrappings()[wrapping](error)
    assert is_non_provider_runtime_coordination_error(wrapped)  # type: ignore[arg-type]
    assert not classify_failure(wrapped)  # type: ignore[arg-type]
    assert not is_timeout_error(wrapped)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "outer",
    [
        ApiError("boom", status=429),
        ApiError("boom", code="RESOURCE_EXHAUSTED"),
        ApiError("429 slow down"),
    ],
    ids=str,
)
@pytest.mark.parametrize("error", LOCAL_ERRORS, ids=lambda e: type(e).__name__)
def test_what_the_provider_said_explicitly_wins(outer: ApiError, error: BaseException) -> None:
    wrapped = raised(outer, error)
    assert not is_non_provider_runtime_coordination_error(wrapped)
    assert classify_failure(wrapped).reason is Reason.RATE_LIMIT


def test_words_alone_do_not_outrank_a_session_lock() -> None:
    wrapped = raised(ApiError("rate limit exceeded"), LOCK)
    assert is_non_provider_runtime_coordination_error(wrapped)
    assert is_non_provider_runtime_coordination_error(raised(ApiError("x", code="ETIMEDOUT"), LOCK))


@pytest.mark.parametrize(
    "error", [TimeoutError("timed out"), ApiError("x", status=429), RuntimeError("x"), None, "session file locked"]
)
def test_other_errors_are_no_coordination_errors(error: BaseException | str | None) -> None:
    assert not is_non_provider_runtime_coordination_error(error)


@pytest.mark.parametrize("name", ["EmbeddedAttemptSessionContendedError", "EmbeddedAttemptSessionTakeoverError"])
def test_openclaws_contention_is_known_by_name(name: str) -> None:
    assert is_non_provider_runtime_coordination_error({"name": name, "message": "x"})
    assert not is_non_provider_runtime_coordination_error({"name": name, "message": "429 too many requests"})


# --- depth and cycles --------------------------------------------------------------------------------------------


def test_causes_are_asked_down_to_a_depth() -> None:
    assert classify_failure(chained(25, "rate limit")).reason is Reason.RATE_LIMIT
    assert classify_failure(chained(10_000, "rate limit")).kind is Kind.NONE


def test_a_very_deep_cause_is_found_where_only_presence_counts() -> None:
    deep = chained(10_000, from_exception(LOCK))
    assert is_non_provider_runtime_coordination_error(deep)
    assert not is_timeout_error(deep)


def test_very_deep_exceptions_are_read_without_recursion() -> None:
    error: BaseException = LOCK
    for _ in range(5_000):
        error = raised(RuntimeError("w"), error)
    assert is_non_provider_runtime_coordination_error(error)


def test_cyclic_causes_end() -> None:
    first, second = RuntimeError("a"), ApiError("b", status=503)
    first.__cause__, second.__cause__ = second, first
    assert classify_failure(first).reason is Reason.TIMEOUT
    plain = cyclic(ErrorRecord(message="a"), ErrorRecord(message="b"))
    assert classify_failure(plain).kind is Kind.NONE
    assert len(list(walk(plain))) == 2


# --- failover errors, marks --------------------------------------------------------------------------------------


def test_a_failure_is_described_with_where_it_ran() -> None:
    context = CoercionContext("anthropic", "claude", "anthropic:work", "s1", "main")
    description = coerced(ApiError("", status=429), context)
    assert description is not None
    assert (description.reason, description.status, description.suspend) == (Reason.RATE_LIMIT, 429, True)
    assert description.message == "ApiError"
    assert coerced(ValueError("x"), context) is None


def test_only_a_session_is_suspended() -> None:
    description = coerced(ApiError("insufficient credits"), CoercionContext("anthropic"))
    assert description is not None
    assert description.suspend is False


MARKING = SEMANTICS["5.x"].marking


@pytest.mark.parametrize("reason", list(FailureReason))
def test_no_version_marks_a_timeout_before_the_answer_began_and_local_runs_mark_nothing(reason: FailureReason) -> None:
    for row in SEMANTICS.values():
        assert marked_reason(reason, row.marking, "local", provider_started=True) is None
        assert (marked_reason(reason, row.marking) is None) >= (reason is Reason.TIMEOUT)
    assert marked_reason(reason, SEMANTICS["3.28"].marking) == (None if reason is Reason.TIMEOUT else reason)


def test_an_explanation_names_the_rule_and_what_is_marked() -> None:
    told = explain_error("HTTP 429: slow down", "anthropic", MARKING)
    assert (told.reason, told.rule, told.status, told.marked) == (
        Reason.RATE_LIMIT,
        "status-429",
        429,
        Reason.RATE_LIMIT,
    )
    assert told.failure
    told = explain_error("the request timed out", None, MARKING)
    assert (told.status, told.timeout, told.marked, told.matched) == (408, True, None, "timed out")
    told = explain_error(LOCK, None, MARKING)
    assert (told.reason, told.rule, told.coordination) == (None, "session-lock", True)


# --- what always holds -------------------------------------------------------------------------------------------

texts = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["429", "rate limit", "timed out", "status code (no body)", "session not found", "402 top up"]),
)
plain_values = st.one_of(st.none(), texts, st.integers(-10, 700), st.floats(), st.booleans())


def records(children: st.SearchStrategy[ErrorValue]) -> st.SearchStrategy[ErrorValue]:
    return st.builds(
        ErrorRecord,
        name=st.sampled_from([None, "Error", "TimeoutError", "AbortError", "FailoverError"]),
        message=st.one_of(st.none(), texts),
        status=plain_values,
        status_code=plain_values,
        code=st.one_of(plain_values, st.sampled_from([*CODES, "OPENCLAW_SESSION_WRITE_LOCK_TIMEOUT"])),
        provider=st.sampled_from([None, "openrouter", "kimi", 7]),
        reason=children,
        error=children,
        cause=children,
        is_exception=st.booleans(),
    )


errors = st.recursive(plain_values, records, max_leaves=12)


@settings(max_examples=300)
@given(errors, st.sampled_from([None, "openrouter", "moonshot"]))
def test_classification_is_total_and_deterministic(error: ErrorValue, hint: str | None) -> None:
    answer = classify_failure(error, hint)
    assert isinstance(answer, Classification)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", answer.rule)
    assert classify_failure(error, hint) == answer
    assert (answer.reason is not None) == (answer.kind is Kind.REASON)
    if is_non_provider_runtime_coordination_error(error):
        assert not answer
    told = explain_error(error, hint, MARKING)
    assert (told.reason, told.rule) == (answer.reason, answer.rule)
    description = coerced(error, CoercionContext(hint))
    assert (description is None) == (answer.reason is None) or answer.reason == ""


@settings(max_examples=100)
@given(st.lists(st.tuples(texts, st.sampled_from(["cause", "error", "reason"])), min_size=2, max_size=30))
def test_classification_ends_on_any_cycle(ring: list[tuple[str, str]]) -> None:
    made = [ErrorRecord(name="Error", message=text) for text, _ in ring]
    for index, (_, link) in enumerate(ring):
        object.__setattr__(made[index], link, made[(index + 1) % len(made)])
    for record in made:
        assert isinstance(classify_failure(record), Classification)
        assert isinstance(is_timeout_error(record), bool)
        assert isinstance(is_non_provider_runtime_coordination_error(record), bool)


@given(st.sampled_from(sorted(STATUS_RULES)), texts)
def test_a_known_status_always_classifies(status: int, text: str) -> None:
    assert classify_failure(ErrorRecord(message=text, status=status))


def test_a_default_status_leads_back_to_its_reason_unless_the_status_is_ambiguous() -> None:
    ambiguous: dict[str, FailureReason | None] = {
        Reason.OVERLOADED: Reason.TIMEOUT,
        Reason.SERVER_ERROR: Reason.TIMEOUT,
        Reason.AUTH_PERMANENT: Reason.AUTH,
        Reason.SESSION_EXPIRED: Reason.TIMEOUT,
        Reason.FORMAT: None,
    }
    for reason, status in DEFAULT_STATUS.items():
        assert classify_failure({"status": status}).reason == ambiguous.get(reason, FailureReason(reason))
        assert status_for_reason(reason) == status


TABLES = (phrase_tables, billing_tables, tables_9_6, as_3_28, as_6_11, provider_plugins)


@pytest.mark.parametrize("module", TABLES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_no_phrase_rescans_a_text_from_each_of_its_beginnings(module: ModuleType) -> None:
    expressions = [
        expression
        for table in vars(module).values()
        if isinstance(table, Phrases)
        for each in table.patterns
        for expression in each.expressions
    ]
    assert expressions
    assert all(compiled(expression) for expression in expressions)
    open_ended = [text for text in expressions if re.search(r"(?<!\[)(?:\.|\[\\s\\S\]|\[\^\\n\])[*+]", text)]
    assert [text for text in open_ended if not text.startswith((r"\A", "^"))] == []
