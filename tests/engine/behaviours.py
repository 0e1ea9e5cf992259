"""What providers do, and what the engine makes of it: class, whom it asks next, whom it marks, what the user reads.

Each row is an example of a kind. `asks`: "reply" (the first account's own reply stands), "account" (the next account,
then the next model), "model" (the next model), "end" (nobody else).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from clawtop.demo.provider import Act, Drop, Raw, Refuse, Respond

HTML = "text/html; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Row:
    """One behaviour. `reads`: words of the reply, or of what is told of the failure."""

    name: str
    act: Act
    reason: str | None
    asks: str
    mark: str | None
    reads: str


def reply(name: str, act: Act, reads: str = "pong") -> Row:
    return Row(name, act, None, "reply", None, reads)


def error(status: int, message: str, kind: str = "", **headers: str) -> Refuse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refuse(status, kind, message, headers=named)


def body(status: int, value: object, content_type: str = JSON, **headers: str) -> Refuse:
    text = value if isinstance(value, str) else json.dumps(value)
    named = {name.replace("_", "-"): found for name, found in headers.items()}
    return Refuse(status, body=text, content_type=content_type, headers=named)


def sse(*events: object, content_type: str = "text/event-stream") -> Raw:
    lines = (f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events)
    return Raw("".join(lines), content_type)


def chunk(content: object = None, finish: object = None, **more: object) -> dict[str, object]:
    delta = {} if content is None else {"content": content}
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def delta(**fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": fields}]}


PONG, STOP, DONE = chunk("pong"), chunk(None, "stop"), "[DONE]"
OK = (PONG, STOP, DONE)


def _whole(*, content: object, finish: str = "stop", **more: object) -> dict[str, object]:
    return {
        "id": "c1",
        "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": finish}],
        **more,
    }


# --- answers with an error status: the same on every api -----------------------------------------------------------

STATUSES = (
    # at once: the server's or the network's; no account is to blame
    *(
        Row(f"{status} at once", error(status, words, "api_error"), "server_error", "account", None, str(status))
        for status, words in (
            (500, "Internal server error"),
            (502, "Bad Gateway"),
            (503, "Service Unavailable"),
            (504, "Gateway Timeout"),
            (520, "Web server returned an unknown error"),
            (521, "Web server is down"),
            (522, "Connection timed out"),
            (523, "Origin is unreachable"),
            (524, "A timeout occurred"),
            (525, "SSL handshake failed"),
            (526, "Invalid SSL certificate"),
            (527, "Railgun error"),
            (408, "Request Timeout"),
            (499, "Client closed request"),
            (409, "Conflict"),
            (410, "Gone"),
            (425, "Too early"),
        )
    ),
    Row("500 without a body", body(500, "", "text/plain"), "server_error", "account", None, "no body"),
    Row(
        "502 page of nginx",
        body(502, "<html><h1>502 Bad Gateway</h1></html>", HTML),
        "server_error",
        "account",
        None,
        "502",
    ),
    Row("503 of FastAPI", body(503, {"detail": "upstream down"}), "server_error", "account", None, "upstream down"),
    Row("500 that says timeout", error(500, "upstream request timeout"), "server_error", "account", None, "timeout"),
    Row("a reset connection", Drop(), "network", "account", None, "ECONNRESET"),
    Row("a reset stream", Drop("stream"), "network", "account", None, "ECONNRESET"),
    Row("a stream that breaks off", Respond("pong", cut=1), "network", "account", None, "ECONNRESET"),
    Row("407 of a proxy", error(407, "Proxy Authentication Required"), "network", "account", None, "407"),
    Row(
        "a block page of Cloudflare",
        body(403, "<html><title>Attention Required! | Cloudflare</title>Sorry, you have been blocked</html>", HTML),
        "network",
        "account",
        None,
        "403",
    ),
    Row(
        "a challenge page",
        body(403, "<html><title>Just a moment...</title></html>", HTML),
        "network",
        "account",
        None,
        "403",
    ),
    # the account's limits
    Row(
        "429", error(429, "Rate limit reached", "rate_limit_error"), "rate_limit", "account", "rate_limit", "Rate limit"
    ),
    Row("429 without words", body(429, "", "text/plain"), "rate_limit", "account", "rate_limit", "429"),
    Row(
        "429 with retry-after", error(429, "slow down", retry_after="7"), "rate_limit", "account", "rate_limit", "slow"
    ),
    Row(
        "429 retry-after a duration",
        error(429, "slow", retry_after="34s"),
        "rate_limit",
        "account",
        "rate_limit",
        "slow",
    ),
    Row(
        "429 retry-after an epoch",
        error(429, "slow", retry_after="1771404540"),
        "rate_limit",
        "account",
        "rate_limit",
        "slow",
    ),
    Row(
        "429 retry-after rubbish", error(429, "slow", retry_after="soon"), "rate_limit", "account", "rate_limit", "slow"
    ),
    Row("429 try again in", error(429, "Please try again in 20s."), "rate_limit", "account", "rate_limit", "20s"),
    Row(
        "429 of Google",
        body(
            429,
            {
                "error": {
                    "code": 429,
                    "status": "RESOURCE_EXHAUSTED",
                    "message": "Resource exhausted",
                    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}],
                }
            },
        ),
        "rate_limit",
        "account",
        "rate_limit",
        "exhausted",
    ),
    Row(
        "429 of Google in a list",
        body(429, [{"error": {"code": 429, "message": "Quota exceeded for metric: requests_per_minute"}}]),
        "rate_limit",
        "account",
        "rate_limit",
        "Quota exceeded",
    ),
    Row(
        "a session limit",
        error(400, "You've hit your session limit · resets 3pm"),
        "rate_limit",
        "account",
        "rate_limit",
        "resets 3pm",
    ),
    Row(
        "a usage limit",
        error(400, "You've hit your limit · resets 3pm (Europe/Berlin)"),
        "rate_limit",
        "account",
        "rate_limit",
        "limit",
    ),
    Row(
        "a five-hour limit",
        error(403, "5-hour limit reached ∙ resets 2am"),
        "rate_limit",
        "account",
        "rate_limit",
        "5-hour",
    ),
    Row(
        "Codex usage_limit_reached",
        error(429, "The usage limit has been reached", "usage_limit_reached"),
        "rate_limit",
        "account",
        "rate_limit",
        "usage limit",
    ),
    Row(
        "FreeUsageLimitError",
        error(402, "FreeUsageLimitError: try again later"),
        "rate_limit",
        "account",
        "rate_limit",
        "FreeUsage",
    ),
    Row("529", error(529, "Overloaded", "overloaded_error"), "overloaded", "account", "overloaded", "Overloaded"),
    Row(
        "503 overloaded",
        error(503, "The model is overloaded", "overloaded_error"),
        "overloaded",
        "account",
        "overloaded",
        "overloaded",
    ),
    # the account's money
    Row(
        "402", error(402, "Your credit balance is too low", "billing_error"), "billing", "account", "billing", "credit"
    ),
    Row("402 without words", body(402, "", "text/plain"), "billing", "account", "billing", "402"),
    Row(
        "insufficient_quota",
        error(429, "You exceeded your current quota", "insufficient_quota"),
        "billing",
        "account",
        "billing",
        "quota",
    ),
    Row(
        "billing hard limit as 400",
        error(400, "Billing hard limit has been reached"),
        "billing",
        "account",
        "billing",
        "hard limit",
    ),
    Row(
        "LiteLLM budget as 400",
        error(400, "Budget has been exceeded! Current cost: 10"),
        "billing",
        "account",
        "billing",
        "Budget",
    ),
    Row("LiteLLM budget as 429", error(429, "ExceededBudget: over budget"), "billing", "account", "billing", "Budget"),
    Row(
        "account not active",
        error(429, "Your account is not active, please check your billing"),
        "billing",
        "account",
        "billing",
        "not active",
    ),
    Row(
        "prepayment depleted",
        error(429, "Your prepayment credits are depleted."),
        "billing",
        "account",
        "billing",
        "depleted",
    ),
    Row(
        "a spend limit", error(400, "Spending limit reached for this key"), "billing", "account", "billing", "Spending"
    ),
    Row(
        "usage_not_included",
        error(403, "Your plan does not include this", "usage_not_included"),
        "billing",
        "account",
        "billing",
        "plan",
    ),
    Row("insufficient balance", error(400, "Insufficient Balance", "1113"), "billing", "account", "billing", "Balance"),
    Row(
        "Kimi out of balance",
        error(403, "Insufficient balance or no resource package"),
        "billing",
        "account",
        "billing",
        "balance",
    ),
    # the account's key
    Row("401", error(401, "invalid x-api-key", "authentication_error"), "auth", "account", "auth", "invalid"),
    Row("401 without words", body(401, "", "text/plain"), "auth", "account", "auth", "401"),
    Row("403 permission", error(403, "Permission denied", "permission_error"), "auth", "account", "auth", "Permission"),
    Row(
        "Google's bad key as 400",
        error(400, "API key not valid. Please pass a valid API key."),
        "auth",
        "account",
        "auth",
        "not valid",
    ),
    Row("incorrect key", error(401, "Incorrect API key provided: sk-..."), "auth", "account", "auth", "Incorrect"),
    Row(
        "a disabled organization as 400",
        error(400, "This organization has been disabled."),
        "auth_permanent",
        "account",
        "auth_permanent",
        "disabled",
    ),
    Row(
        "a restricted organization",
        error(400, "Organization has been restricted. Contact support", "organization_restricted"),
        "auth_permanent",
        "account",
        "auth_permanent",
        "restricted",
    ),
    Row(
        "a deactivated account",
        error(401, "The account has been deactivated", "account_deactivated"),
        "auth_permanent",
        "account",
        "auth_permanent",
        "deactivated",
    ),
    Row(
        "a revoked login",
        error(403, "OAuth token has been revoked"),
        "auth_permanent",
        "account",
        "auth_permanent",
        "revoked",
    ),
    Row(
        "a leaked key",
        error(403, "Your API key was reported as leaked."),
        "auth_permanent",
        "account",
        "auth_permanent",
        "leaked",
    ),
    # the request's or the model's: no account is asked the same thing again, none is marked
    Row(
        "400",
        error(400, "messages: at least one message is required", "invalid_request_error"),
        "format",
        "model",
        None,
        "at least one",
    ),
    Row("422", error(422, "unprocessable"), "format", "model", None, "unprocessable"),
    Row(
        "422 extra_forbidden",
        body(422, {"detail": [{"type": "extra_forbidden", "msg": "Extra inputs are not permitted"}]}),
        "format",
        "model",
        None,
        "Extra inputs",
    ),
    Row("405", error(405, "Method Not Allowed"), "format", "model", None, "405"),
    Row("415", error(415, "Unsupported media type"), "format", "model", None, "415"),
    Row("404 model", error(404, "model: crab-9", "not_found_error"), "model_not_found", "model", None, "crab-9"),
    Row("404 without words", body(404, "", "text/plain"), "model_not_found", "model", None, "404"),
    Row(
        "a retired model as 400",
        error(400, "The model `crab-1` has been deprecated and retired"),
        "model_not_found",
        "model",
        None,
        "retired",
    ),
    Row(
        "an unsupported model as 400",
        error(400, "Unsupported model: crab-1"),
        "model_not_found",
        "model",
        None,
        "Unsupported",
    ),
    Row(
        "model_decommissioned",
        error(400, "no longer here", "model_decommissioned"),
        "model_not_found",
        "model",
        None,
        "no longer",
    ),
    Row(
        "a redirect",
        Refuse(307, headers={"location": "http://127.0.0.1:9/v1"}, body=""),
        "model_not_found",
        "model",
        None,
        "not followed",
    ),
    Row("a login page", Raw("<html>login</html>", "text/html"), "server_error", "model", None, "text/html"),
    Row(
        "context overflow",
        error(400, "prompt is too long: 210000 tokens > 200000 maximum"),
        "context_overflow",
        "end",
        None,
        "too long",
    ),
    Row(
        "context_length_exceeded",
        error(400, "This model's maximum context length is 8192 tokens", "context_length_exceeded"),
        "context_overflow",
        "end",
        None,
        "maximum context",
    ),
    Row("413", error(413, "Request too large", "request_too_large"), "context_overflow", "end", None, "too large"),
    Row(
        "a content policy",
        error(400, "Your request was rejected by our safety system", "content_policy_violation"),
        "moderation",
        "end",
        None,
        "safety",
    ),
    Row(
        "Azure's filter",
        error(400, "The response was filtered due to Azure's content management policy", "content_filter"),
        "moderation",
        "end",
        None,
        "filtered",
    ),
    Row(
        "OpenRouter's moderation",
        error(403, "Your input was flagged for violence", "403"),
        "moderation",
        "end",
        None,
        "flagged",
    ),
    Row("451", error(451, "Unavailable For Legal Reasons"), "moderation", "end", None, "Legal"),
    # in other words, and in other languages
    Row(
        "a country that is not served",
        error(403, "Country, region, or territory not supported", "request_forbidden"),
        "network",
        "account",
        None,
        "Country",
    ),
    Row(
        "a location as 400",
        error(400, "User location is not supported for the API use."),
        "network",
        "account",
        None,
        "location",
    ),
    Row(
        "a model that the account may not use",
        error(403, "You don't have access to the model with the specified model ID."),
        "model_not_found",
        "model",
        None,
        "access",
    ),
    Row(
        "an unknown id of Bedrock",
        error(400, "The provided model identifier is invalid."),
        "model_not_found",
        "model",
        None,
        "identifier",
    ),
    Row("a limit in Chinese", error(429, "速率限制：请在30秒后重试"), "rate_limit", "account", "rate_limit", "30秒"),
    Row(
        "a limit in German",
        error(429, "Zu viele Anfragen, bitte in 30 Sekunden erneut versuchen"),
        "rate_limit",
        "account",
        "rate_limit",
        "30 Sekunden",
    ),
    Row(
        "a balance in Chinese",
        error(429, "余额不足或无可用资源包,请充值。"),
        "billing",
        "account",
        "billing",
        "余额不足",
    ),
    Row("a filter in Chinese", error(400, "输入内容可能包含不安全或敏感内容"), "moderation", "end", None, "敏感内容"),
    Row("too long in Chinese", error(400, "输入内容超过模型最大长度限制"), "context_overflow", "end", None, "长度"),
    Row(
        "too long for Google",
        error(400, "The input token count (1200000) exceeds the maximum number of tokens allowed"),
        "context_overflow",
        "end",
        None,
        "token count",
    ),
    Row(
        "too long for Bedrock",
        error(400, "Input is too long for requested model."),
        "context_overflow",
        "end",
        None,
        "too long",
    ),
    Row(
        "402 in details",
        body(402, {"detail": {"error": {"message": "Out of credits"}}}),
        "billing",
        "account",
        "billing",
        "402 Out of credits",
    ),
    Row("402 as a list", body(402, [{"error": "Payment Required"}]), "billing", "account", "billing", "Payment"),
    Row(
        "a suspended account that owes",
        error(429, "Your account is suspended", "exceeded_current_quota_error"),
        "billing",
        "account",
        "billing",
        "suspended",
    ),
    Row("a refused refresh", error(400, "invalid_grant"), "auth", "account", "auth", "invalid_grant"),
    *(
        Row(
            f"429 retry-after {text}",
            error(429, "slow", retry_after=text),
            "rate_limit",
            "account",
            "rate_limit",
            "slow",
        )
        for text in ("-5", "1e9", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT", "7 seconds", "")
    ),
)

# --- chat completions ----------------------------------------------------------------------------------------------

COMPLETIONS = (
    # scripts, not data: refused with their beginning; what JSON readers mend elsewhere is quotes, commas and fences
    Row("JSONP", sse(f"cb({json.dumps(PONG)});", f"cb({json.dumps(STOP)});"), "server_error", "model", None, "cb({"),
    Row(
        "a JSONP document",
        Raw(f"cb({json.dumps(_whole(content='pong'))});", JSON),
        "server_error",
        "model",
        None,
        "cb({",
    ),
    Row("unquoted keys", sse("{choices:[{delta:{content:'pong'}}]}"), "server_error", "model", None, "{choices:"),
    reply("a plain stream", sse(*OK)),
    reply("no [DONE]", sse(PONG, STOP)),
    reply("no finish reason, but [DONE]", sse(PONG, DONE)),
    reply(
        "usage as strings",
        sse(*OK[:2], {"choices": [], "usage": {"prompt_tokens": "12", "completion_tokens": "3"}}, DONE),
    ),
    reply(
        "usage as floats",
        sse(*OK[:2], {"choices": [], "usage": {"prompt_tokens": 12.0, "completion_tokens": 3.5}}, DONE),
    ),
    reply("usage null", sse(PONG, {**STOP, "usage": None}, DONE)),
    reply("usage of nulls", sse(PONG, {**STOP, "usage": {"prompt_tokens": None, "prompt_tokens_details": None}}, DONE)),
    reply("usage a list", sse(PONG, {**STOP, "usage": [1, 2]}, DONE)),
    reply("numeric ids", sse({**PONG, "id": 17, "created": "x"}, {**STOP, "id": 17}, DONE)),
    reply("ids null", sse({**PONG, "id": None, "model": None}, STOP, DONE)),
    reply("Azure's first chunk", sse({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, *OK)),
    reply("no choices at all", sse({"object": "chat.completion.chunk"}, *OK)),
    reply("choices null", sse({"choices": None}, *OK)),
    reply("content in parts", sse(delta(content=[{"type": "text", "text": "pong"}]), STOP, DONE)),
    reply(
        "Mistral's thinking parts",
        sse(
            delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
            delta(content=[{"type": "text", "text": "pong"}]),
            STOP,
            DONE,
        ),
    ),
    reply("reasoning_content first", sse(delta(reasoning_content="hm", content=None), *OK)),
    reply("reasoning first", sse(delta(reasoning="hm", content=""), *OK)),
    reply("reasoning_details", sse(delta(reasoning_details=[{"type": "reasoning.text", "text": "hm"}]), *OK)),
    reply("delta null", sse({"choices": [{"index": 0, "delta": None}]}, *OK)),
    reply(
        "message instead of delta", sse({"choices": [{"message": {"content": "pong"}, "finish_reason": "stop"}]}, DONE)
    ),
    reply(
        "legacy text",
        sse({"choices": [{"text": "pong", "index": 0}]}, {"choices": [{"text": "", "finish_reason": "stop"}]}, DONE),
    ),
    reply("a second choice", sse({"choices": [{"index": 1, "delta": {"content": "no"}}]}, *OK)),
    reply("upper-case finish", sse(PONG, chunk(None, "STOP"), DONE)),
    reply("an unknown finish", sse(PONG, chunk(None, "eos_token"), DONE)),
    reply("unknown events", sse({"type": "heartbeat"}, {"foo": 1}, *OK)),
    reply("an event that is no JSON", sse("not json", *OK)),
    reply("an empty event", sse("", *OK)),
    reply("comments", Raw(": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\r\n\r\n" + sse(*OK).body)),
    reply("lines end in CRLF", Raw(sse(*OK).body.replace("\n", "\r\n"))),
    reply("lines end in CR", Raw(sse(*OK).body.replace("\n", "\r"))),
    reply("no space after data", Raw(sse(*OK).body.replace("data: ", "data:"))),
    reply("a byte order mark", Raw("\ufeff" + sse(*OK).body)),
    reply("event, id and retry fields", Raw("event: message\nid: 1\nretry: 100\n" + sse(*OK).body)),
    reply("no blank line at the end", Raw(sse(*OK).body.rstrip("\n"))),
    reply(
        "two data lines", Raw('data: {"choices": [{"delta":\ndata: {"content": "pong"}}]}\n\n' + sse(STOP, DONE).body)
    ),
    reply("text/plain", sse(*OK, content_type="text/plain")),
    reply("no content type", sse(*OK, content_type="")),
    reply("octet-stream", sse(*OK, content_type="application/octet-stream")),
    reply("upper-case content type", sse(*OK, content_type="Text/Event-Stream; Charset=UTF-8")),
    reply("ndjson", Raw("\n".join(map(json.dumps, (PONG, STOP))) + "\n", "application/x-ndjson")),
    reply("a JSON answer", Raw(json.dumps(_whole(content="pong")), JSON)),
    reply("a JSON answer over many lines", Raw(json.dumps(_whole(content="pong"), indent=2), JSON)),
    reply("a JSON answer labelled a stream", Raw(json.dumps(_whole(content="pong")))),
    reply(
        "a JSON answer with content parts", Raw(json.dumps(_whole(content=[{"type": "text", "text": "pong"}])), JSON)
    ),
    reply("a length stop", sse(PONG, chunk(None, "length"), DONE)),
    reply(
        "text beside a tool call",
        sse(
            PONG,
            delta(tool_calls=[{"index": 0, "id": "t", "function": {"name": "read", "arguments": "{}"}}]),
            chunk(None, "tool_calls"),
            DONE,
        ),
    ),
    reply("a filter behind the text", sse(PONG, chunk(None, "content_filter"), DONE)),
    reply("a refusal in words", sse(delta(refusal="I cannot"), STOP, DONE), "I cannot"),
    reply("a reply piece by piece", Respond("pong", pieces=4, bytewise=True)),
    # failures inside of a reply, in every place that servers use
    Row(
        "error beside empty choices",
        sse({"choices": [], "error": {"code": 502, "message": "Worker limit reached"}}, DONE),
        "server_error",
        "account",
        None,
        "Worker limit",
    ),
    Row(
        "error of OpenRouter",
        sse({**chunk("", "error"), "error": {"code": 429, "message": "Rate limit exceeded upstream"}}),
        "rate_limit",
        "account",
        "rate_limit",
        "upstream",
    ),
    Row(
        "error inside of a choice",
        sse({"choices": [{"index": 0, "error": {"code": 429, "message": "Rate limit exceeded"}}]}),
        "rate_limit",
        "account",
        "rate_limit",
        "Rate limit",
    ),
    Row(
        "a bare error line",
        sse({"error": {"message": "insufficient balance", "code": "1113"}}),
        "billing",
        "account",
        "billing",
        "balance",
    ),
    Row("error as text", sse({"error": "rate limit exceeded"}), "rate_limit", "account", "rate_limit", "rate limit"),
    Row(
        "vLLM's error object",
        sse({"object": "error", "message": "Internal server error", "type": "InternalServerError", "code": 500}),
        "server_error",
        "account",
        None,
        "Internal",
    ),
    Row(
        "vLLM's error with status 400",
        body(
            400,
            {
                "object": "error",
                "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
                "code": 400,
            },
        ),
        "context_overflow",
        "end",
        None,
        "4096",
    ),
    Row(
        "llama.cpp's error line",
        Raw('error: {"code": 500, "message": "slot unavailable", "type": "server_error"}\n\n'),
        "server_error",
        "account",
        None,
        "slot",
    ),
    Row(
        "llama.cpp while loading",
        body(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
        "server_error",
        "account",
        None,
        "Loading",
    ),
    Row(
        "an event named error",
        Raw('event: error\ndata: {"message": "overloaded", "code": "overloaded_error"}\n\n'),
        "overloaded",
        "account",
        "overloaded",
        "overloaded",
    ),
    Row(
        "an error event in plain text",
        Raw("event: error\ndata: rate limit exceeded\n\n"),
        "rate_limit",
        "account",
        "rate_limit",
        "rate limit",
    ),
    Row(
        "FastAPI's detail in a stream",
        sse({"detail": "rate limit exceeded"}),
        "rate_limit",
        "account",
        "rate_limit",
        "rate limit",
    ),
    Row(
        "an error as a 200 answer",
        Raw('{"error": {"message": "rate limit exceeded", "code": "rate_limit"}}', JSON),
        "rate_limit",
        "account",
        "rate_limit",
        "rate limit",
    ),
    Row(
        "an error in the middle",
        sse(PONG, {"error": {"type": "overloaded_error", "message": "Overloaded"}}),
        "overloaded",
        "account",
        "overloaded",
        "Overloaded",
    ),
    Row(
        "half a reply with finish error",
        sse(PONG, chunk(None, "error"), DONE),
        "server_error",
        "account",
        None,
        "ended the reply",
    ),
    Row(
        "a server_error without status",
        sse({"error": {"type": "server_error", "message": "The server had an error"}}),
        "server_error",
        "account",
        None,
        "had an error",
    ),
    Row("cut before its first word", sse(chunk("")), "network", "account", None, "ended early"),
    Row("cut after half a word", sse(chunk("po")), "network", "account", None, "ended early"),
    Row("nothing at all", Raw(""), "network", "account", None, "ended early"),
    Row("only comments", Raw(": hm\n\n"), "network", "account", None, "ended early"),
    Row(
        "no JSON at all", Raw("data: x\n\ndata: y\n\ndata: z\n\ndata: a\n\n"), "server_error", "model", None, "not JSON"
    ),
    # complete, but no reply
    Row("an empty reply", sse(STOP, DONE), "empty_response", "model", None, "empty reply"),
    Row("only white space", sse(chunk(" \n"), STOP, DONE), "empty_response", "model", None, "empty reply"),
    Row(
        "thinking only", sse(delta(reasoning_content="hm"), STOP, DONE), "empty_response", "model", None, "empty reply"
    ),
    Row(
        "length before the first word",
        sse(delta(reasoning_content="hm"), chunk(None, "length"), DONE),
        "empty_response",
        "model",
        None,
        "token limit",
    ),
    Row("a filter alone", sse(chunk(None, "content_filter"), DONE), "moderation", "end", None, "refused the content"),
    Row(
        "Azure's filter alone",
        sse(
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {},
                        "finish_reason": "content_filter",
                        "content_filter_results": {"hate": {"filtered": True}},
                    }
                ]
            },
            DONE,
        ),
        "moderation",
        "end",
        None,
        "hate",
    ),
    Row(
        "tools only",
        sse(
            delta(tool_calls=[{"index": 0, "id": "t", "function": {"name": "read", "arguments": ""}}]),
            chunk(None, "tool_calls"),
            DONE,
        ),
        "tool_calls",
        "end",
        None,
        "read",
    ),
)

# --- Anthropic messages --------------------------------------------------------------------------------------------

START = {"type": "message_start", "message": {"id": "m1", "model": "crab-1", "usage": {"input_tokens": 12}}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "pong"}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
OVER = {"type": "message_stop"}
THINKS = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}
ALL = (START, BLOCK, TEXT, END, OVER)


def without_type(event: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in event.items() if name != "type"}


def named(*events: Mapping[str, object]) -> Raw:
    return Raw("".join(f"event: {event['type']}\ndata: {json.dumps(without_type(event))}\n\n" for event in events))


def stopped(reason: str) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}}


MESSAGES = (
    reply("a plain stream", sse(*ALL)),
    reply("no message_stop", sse(*ALL[:4])),
    reply("events without type", named(*ALL)),
    reply("pings between", sse(START, {"type": "ping"}, BLOCK, {"type": "ping"}, TEXT, END, OVER)),
    reply("thinking first", sse(START, THINKS, TEXT, END, OVER)),
    reply(
        "text in the block's start",
        sse(START, {"type": "content_block_start", "content_block": {"type": "text", "text": "pong"}}, END, OVER),
    ),
    reply(
        "usage as strings",
        sse(
            {"type": "message_start", "message": {"usage": {"input_tokens": "12"}}},
            TEXT,
            {**END, "usage": {"output_tokens": "3"}},
            OVER,
        ),
    ),
    reply("usage null", sse({"type": "message_start", "message": {"usage": None}}, TEXT, {**END, "usage": None}, OVER)),
    reply("numeric ids", sse({"type": "message_start", "message": {"id": 7, "model": 3}}, TEXT, END, OVER)),
    reply("no message_start", sse(TEXT, END, OVER)),
    reply("message null", sse({"type": "message_start", "message": None}, TEXT, END, OVER)),
    reply("unknown events", sse(START, {"type": "vendor.event", "x": 1}, TEXT, END, OVER)),
    reply(
        "a signature",
        sse(
            START,
            {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}},
            TEXT,
            END,
            OVER,
        ),
    ),
    reply("text/plain", sse(*ALL, content_type="text/plain")),
    reply(
        "a JSON answer",
        Raw(
            json.dumps(
                {
                    "type": "message",
                    "id": "m",
                    "role": "assistant",
                    "content": [{"type": "text", "text": "pong"}],
                    "stop_reason": "end_turn",
                }
            ),
            JSON,
        ),
    ),
    reply("a length stop", sse(START, TEXT, stopped("max_tokens"), OVER)),
    reply("a refusal behind the text", sse(START, TEXT, stopped("refusal"), OVER)),
    reply(
        "text beside a tool",
        sse(
            START,
            TEXT,
            {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "read"}},
            stopped("tool_use"),
            OVER,
        ),
    ),
    Row(
        "overloaded in the stream",
        sse(START, TEXT, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        "overloaded",
        "account",
        "overloaded",
        "Overloaded",
    ),
    Row(
        "a limit in the stream",
        sse(START, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}),
        "rate_limit",
        "account",
        "rate_limit",
        "slow down",
    ),
    Row(
        "api_error in the stream",
        sse(START, {"type": "error", "error": {"type": "api_error", "message": "Internal server error"}}),
        "server_error",
        "account",
        None,
        "Internal",
    ),
    Row(
        "timeout_error at once",
        sse(START, {"type": "error", "error": {"type": "timeout_error", "message": "Request timed out"}}),
        "server_error",
        "account",
        None,
        "timed out",
    ),
    Row("an error without words", sse(START, {"type": "error"}), "unknown", "account", None, "without details"),
    Row("an empty reply", sse(START, END, OVER), "empty_response", "model", None, "empty reply"),
    Row("thinking only", sse(START, THINKS, END, OVER), "empty_response", "model", None, "empty reply"),
    Row("a refusal alone", sse(START, stopped("refusal"), OVER), "moderation", "end", None, "refused the content"),
    Row(
        "tools only",
        sse(
            START,
            {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "read"}},
            stopped("tool_use"),
            OVER,
        ),
        "tool_calls",
        "end",
        None,
        "read",
    ),
    Row("cut behind its start", sse(START), "network", "account", None, "ended early"),
    Row(
        "extra usage for long contexts",
        error(429, "Extra usage is required for long context requests.", "rate_limit_error"),
        "rate_limit",
        "account",
        "rate_limit",
        "Extra usage",
    ),
)
