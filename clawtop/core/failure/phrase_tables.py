"""What providers say when they fail, as tables of phrases: one table per class, one place per provider's oddity.

Texts are matched lower-cased and trimmed. The tables agree with OpenClaw 2026.5.20, which is what the conformance
vectors hold; `rules` holds the order in which they are checked. Billing phrases are in `billing_tables`.
"""

from __future__ import annotations

from clawtop.core.failure.phrases import Phrases, ordered, pattern
from clawtop.patterns import regex

IMAGE = Phrases(
    literals=("image dimensions exceed max allowed size",),
    patterns=(pattern("image exceeds", r"image exceeds", r"mb"),),
)
"""An image that is too large is the request's fault: it has no failover class."""

SESSION_EXPIRED = Phrases(
    literals=(
        *(f"{what} {state}" for what in ("session", "conversation") for state in ("not found", "expired", "invalid")),
        *(f"{what} does not exist" for what in ("session", "conversation")),
        *(f"{what} id not found" for what in ("session", "conversation")),
        "no such session",
        "invalid session",
        "no conversation found",
    ),
)

MODEL_NOT_FOUND = Phrases(
    literals=("unknown model", "is not a valid model id", "no endpoints found for", "not_found_error"),
    patterns=(
        pattern("invalid model", r"\A(?![\s\S]*invalid model reference)[\s\S]*?invalid model"),
        pattern("model", r"model[\s_-]?not[\s_-]?found"),
        pattern("does not exist", r"does not exist", r"model"),
        pattern("deprecated", r"deprecated", r"model", r"upgrade to|transition to"),
        pattern("is not found", r"(?<!\S)(?=\S*?models/\S)\S++ is not found"),
        pattern("model:", r"model:\s*[a-z0-9_-]", r"not[\s_-]?found"),
        pattern("router not", r"\brouter not found\b"),
        pattern("404", r"\b404\b", r"not[\s_-]?found"),
    ),
)

MODEL_RETIRED = Phrases(literals=("model_is_deactivated", "model_deactivated", "model has been deactivated"))

CONTEXT_OVERFLOW = Phrases(
    literals=(
        "request_too_large",
        "request exceeds the maximum size",
        "context length exceeded",
        "maximum context length",
        "prompt is too long",
        "prompt too long",
        "context overflow:",
        "context_window_exceeded",
        "exceed context limit",
        "exceeds model context window",
        "exceeds the model's maximum context",
        "model token limit",
        "上下文过长",
        "上下文超出",
        "上下文长度超",
        "超出最大上下文",
        "请压缩上下文",
    ),
    patterns=(
        pattern("request size exceeds", r"request size exceeds", r"context (?:window|length)"),
        pattern("413", r"413", r"too large"),
        pattern("exceed", r"max_tokens|input length", r"exceed", r"context"),
        ordered("total token", r"\btotal tokens?\b", r"\bexceeds? (?:the )?(?:model )?(?:max|limit)"),
        pattern("available context", r"\brequest \([\d,]+\s?tokens?\) exceeds (?:the )?available context size\b"),
        pattern("input token count", r"\binput token count exceeds the maximum number of input tokens\b"),
        pattern("invalid_argument", r"maximum number of tokens", r"invalid_argument"),
        pattern("input exceeds", r"input exceeds", r"maximum number of tokens"),
        pattern("too long for", r"\binput (?:is too long for (?:(?:the|this) )?|too long for (?:the )?)model\b"),
    ),
)
"""Not a failure of the provider: the caller compacts. Never read into texts about token rates or forced reasoning."""

NOT_CONTEXT_OVERFLOW = Phrases(
    literals=("tokens per minute",),
    patterns=(
        pattern("tpm", r"\btpm\b"),
        pattern(
            "reasoning",
            r"reasoning is (?:mandatory|required)|requires reasoning|reasoning cannot be disabled",
        ),
    ),
)

RATE_LIMIT = Phrases(
    literals=(
        "rate limit",
        "rate_limit",
        "429",
        "too many requests",
        "too many concurrent requests",
        "usage limit",
        "quota exceeded",
        "exceeded your current quota",
        "resource has been exhausted",
        "resource_exhausted",
        "throttled",
        "throttling",
        "tokens per minute",
        "tokens per day",
        "model_cooldown",
        "请求过于频繁",
        "调用频率",
        "频率限制",
        "配额不足",
        "配额已用尽",
        "额度不足",
        "额度已用尽",
    ),
    patterns=(pattern("tpm", r"\btpm\b"),),
)

PERIODIC_LIMIT = Phrases(
    patterns=(pattern("ly ", r"\b(?:daily|weekly|monthly)(?:[/-](?:daily|weekly|monthly))* (?:usage )?limits?\b"),),
)

PROVIDER_LIMIT = Phrases(
    patterns=(
        pattern("concurrency", r"\bconcurrency limit (?:has been )?reached\b"),
        ordered("workers_ai", r"\bworkers_ai\b", r"\bquota (?:limit )?exceeded\b"),
    ),
)
"""Limits as single providers word them (such as Cloudflare Workers AI); checked after everything else."""

OVERLOADED = Phrases(
    literals=("overloaded", "high demand", "high load", "当前负载过高", "服务过载"),
    patterns=(
        pattern("at capacity", r"\bmodel\s+(?:is\s+)?at capacity\b"),
        ordered("unavailable", r"service[ _]unavailable", r"overload|capacity|high_demand"),
        ordered("unavailable", r"overload|capacity|high_demand", r"service[ _]unavailable"),
    ),
)

MODEL_NOT_READY = Phrases(patterns=(pattern("modelnotready", r"\bmodelnotreadyexception\b"),))

ZAI_BAD_TOKEN = Phrases(patterns=(pattern("1113", r'"code"\s*:\s*1113\b'),))

SERVER_ERROR_FIELD = Phrases(literals=('"type":"server_error"', '"code":"server_error"'))
"""OpenAI's structured form; the bare words are a transient server text."""

SERVER_TEXT = Phrases(
    literals=(
        "an error occurred while processing",
        "internal_server_error",
        "internal_error",
        "server_error",
        "service_unavailable",
        "service temporarily unavailable",
        "bad gateway",
        "gateway timeout",
        "upstream error",
        "upstream connect error",
        "connection reset",
        "系统错误",
        "系统异常",
        "系统繁忙",
        "系统内部错误",
        "内部错误",
        "内部服务器错误",
        "服务器错误",
        "服务器内部错误",
    ),
    patterns=(
        pattern(
            "internal server error",
            r"(?<!\bstatus: )(?<!\bstatus:)internal server error|\Astatus:\s?internal server error\Z",
        ),
        pattern("http", r"\bhttp\s+5\d\d\b"),
    ),
)

OPENAI_PROCESSING = Phrases(literals=("an error occurred while processing your request",))

OPENAI_SIGNED = Phrases(
    literals=("help.openai.com",), patterns=(pattern("request", r"request[\s_-]?id:?\s*[\w-]{8,}"),)
)
"""OpenAI's apology names its help centre or the request's id; it is then transient, whatever else it says."""

API_ERROR_TRANSIENT = Phrases(
    literals=(
        "server error",
        "internal_error",
        "server_error",
        "unexpected error",
        "unknown error",
        "temporarily unavailable",
        "service unavailable",
        "service_unavailable",
        "bad gateway",
        "gateway timeout",
        "upstream error",
        "upstream connect error",
        "backend error",
        "try again later",
        "overload",
    ),
)
"""Anthropic's catch-all `api_error` says anything at all; with these words it is worth a retry."""

OAUTH_REFRESH = Phrases(literals=("oauth token refresh failed", "access token could not be refreshed"))

OAUTH_REFRESH_FINAL = Phrases(
    literals=(
        "invalid_grant",
        "revoked",
        "refresh_token_reused",
        "invalid refresh token",
        "sign in again",
        "signing in again",
    )
)
"""The refresh token itself is invalid: only a new login helps."""

AUTH_PERMANENT = Phrases(
    literals=(
        "key has been disabled",
        "key has been revoked",
        "account has been deactivated",
        "not allowed for this organization",
    ),
    patterns=(pattern("key", r"api[ _]?key[ _]?(?:revoked|deleted|deactivated)"),),
)

AUTH = Phrases(
    literals=(
        "incorrect api key",
        "invalid token",
        "authentication",
        "re-authenticate",
        "oauth token refresh failed",
        "unauthorized",
        "forbidden",
        "access denied",
        "insufficient permission",
        "missing scope:",
        "missing scopes:",
        "permission_error",
        "expired",
        "no credentials found",
        "no api key found",
        "认证失败",
        "鉴权失败",
        "密钥无效",
        "apikey 无效",
        "无权访问",
    ),
    patterns=(
        pattern("invalid", r"invalid[ _]?api[ _]?key"),
        pattern("401|403", r"\b40[13]\b"),
        ordered("could not", r"could not (?:authenticate|validate)", r"api[ _]?key|credentials"),
        ordered("failed to", r"\bfailed to (?:extract|parse|decode|validate)\b", r"\btoken\b"),
        *ZAI_BAD_TOKEN.patterns,
    ),
)

FORMAT = Phrases(
    literals=(
        "invalid request format",
        "string should match pattern",
        "tool_use.id",
        "tool_use_id",
        "conversation must end with a user message",
        "does not support assistant message prefill",
    ),
)

TIMEOUT = Phrases(
    literals=(
        "timeout",
        "timed out",
        "deadline exceeded",
        "service unavailable",
        "connection error",
        "network error",
        "network request failed",
        "fetch failed",
        "socket hang up",
        "连接超时",
        "请求超时",
        "连接错误",
        "网络错误",
        "网络异常",
        "服务繁忙",
        "服务暂时不可用",
    ),
    patterns=(
        pattern(
            "econn|enet|ehost|epipe|eai_|enotfound|etime|esocket|und_err",
            r"\b(?:econnreset|econnrefused|econnaborted|enetunreach|enetreset|ehostunreach|ehostdown|epipe|eai_again"
            r"|enotfound|etimedout|esockettimedout|und_err_(?:socket|connect|headers|body|closed|aborted))\b",
        ),
        pattern("without sending", r"without sending (?:any )?chunk"),
        pattern("stream", r"\bstream (?:was )?(?:closed|aborted)\b"),
        pattern("operation was", r"\boperation was aborted\b"),
        pattern("reason:", r"\b(?:finish_)?reason:\s*(?:abort|error|malformed_response|network_error)\b"),
        pattern("reason: ", r"\bunhandled stop reason: timeout\b"),
        pattern("got status", r"\bgot status:\s*internal\b", r"""code["']?\s*:\s*500\b"""),
        pattern('"internal"', r'"status"\s*:\s*"internal"', r'"code"\s*:\s*500\b'),
    ),
)

WHOLE_TIMEOUTS = frozenset({"terminated", "request failed"})

WHOLE_UNKNOWNS = frozenset({"an unknown error occurred", "an unknown error occurred."})

WHOLE_NO_DETAILS = frozenset({"unknown error (no error details in response)"})
"""Texts that count only if nothing else matched."""

ABORTED_REQUEST = regex(r"request was aborted|request aborted")
"""An AbortError with this text is a timeout in the client library, not an abort by the user."""

OPENROUTER_UPSTREAM = Phrases(literals=("provider returned error",))
