"""What providers say when they fail, as OpenClaw 2026.8 and 2026.9 read it; older tables are reused where they agree.

Texts are matched lower-cased and trimmed, as in `phrase_tables`.
"""

from __future__ import annotations

from clawtop.core.failure import billing_tables as money
from clawtop.core.failure import phrase_tables as phrases
from clawtop.core.failure.phrases import Phrases, ordered, pattern

IMAGE = Phrases(
    literals=("image dimensions exceed max allowed size",),
    patterns=(ordered("image exceeds", r"image exceeds", r"mb", anywhere=True),),
)

IMAGE_UNSUPPORTED = Phrases(
    patterns=(
        pattern("image input", r"\bdoes not support image inputs?\b"),
        pattern("image input", r"\bunsupported image input\b"),
        pattern("no endpoints found", r"\bno endpoints found\b", r"\bsupport image input\b"),
    )
)

CLAUDE_CLI_LOGIN = Phrases(
    patterns=(
        pattern("not logged in", r"\bnot logged in\b\s*·\s*please run /login\b"),
        pattern(
            "failed to authenticate",
            r"\bfailed to authenticate:\s*oauth session expired and could not be refreshed\b",
        ),
    )
)

BROKEN_TRANSCRIPT = Phrases(patterns=(pattern("transcript", r"\binvalid session transcript entry\b"),))

SESSION_EXPIRED = Phrases(
    patterns=(
        pattern(
            "session|conversation",
            r"\b(?:(?:session|conversation) (?:not found|does not exist|expired|invalid)|no conversation found"
            r"|no such session|invalid session|(?:session|conversation) id not found)\b",
        ),
    )
)

MODEL_NOT_FOUND = Phrases(
    literals=phrases.MODEL_NOT_FOUND.literals,
    patterns=(
        pattern("router not found", r"\brouter not found\b"),
        pattern("model", r"model[\s_-]?not[\s_-]?found"),
        pattern("not found", r"\bmodel\b[^\n]{0,60}?\bnot found\b"),
        pattern("404", r"\b404\b", r"not[\s_-]?found"),
        pattern("not supported model", r"\bnot supported model\b"),
        pattern(
            "is not supported when using",
            r"\bmodel\b[^.]{0,120}?\bis not supported when using\b[^.]{0,80}?\bwith a chatgpt account\b",
        ),
        pattern("model:", r"model:\s*[a-z0-9._/-]", r"not[\s_-]?found"),
        pattern("is not found", r"(?<!\S)(?=\S*?models/\S)\S++ is not found"),
        pattern("does not exist", r"does not exist", r"model"),
        pattern("selected model", r"selected model", r"not[\s_-]?found"),
        pattern("deprecated", r"deprecated", r"model", r"(?:upgrade|transition) to"),
        pattern("stealth model", r"stealth model", r"find it here"),
        pattern("invalid model", r"\A(?![\s\S]*invalid model reference)[\s\S]*?invalid model"),
    ),
)

WORKERS_AI = Phrases(patterns=(ordered("workers_ai", r"\bworkers_ai\b", r"\bquota limit exceeded\b"),))
MODEL_NOT_READY = phrases.MODEL_NOT_READY
MODEL_RETIRED = phrases.MODEL_RETIRED

RATE_LIMIT = Phrases(
    literals=(
        "rate limit",
        "rate_limit",
        "too many requests",
        "too many concurrent requests",
        "model_cooldown",
        "exceeded your current quota",
        "usage limit",
        "tokens per minute",
        "tokens per day",
        "请求过于频繁",
        "调用频率",
        "频率限制",
        "配额不足",
        "配额已用尽",
        "额度不足",
        "额度已用尽",
    ),
    patterns=(
        pattern(
            "429",
            r"\A\s*429\b"
            r"|\b(?:https?|status(?:[ _-]?code)?|response(?:[ _-]?code)?|http(?:[ _-]?status)?)\b[\s:=#\"'(]{0,6}429\b"
            r"|[\"'](?:status|code)[\"']\s*:\s*429\b"
            r"|\b429\b[\s:)\].,-]{0,40}(?:rate[_ -]?limit(?:ed|ing)?|too many requests|resource has been exhausted"
            r"|quota(?:\s+(?:exceeded|exhausted|depleted|reached))?)\b",
        ),
        pattern("throttl", r"\bthrottl(?:ing_?exception|ing|ed)\b"),
        ordered("concurrency limit", r"\bconcurrency limit\b", r"\b(?:breached|reached)\b"),
        pattern("exhausted", r"\bresource[_ -]?exhausted\b"),
        pattern("exceeded", r"\bquota[_ -]?exceeded\b"),
        pattern("tpm", r"\btpm\b"),
    ),
)

OVERLOADED = Phrases(
    literals=(*phrases.OVERLOADED.literals, "访问量过大"),
    patterns=(
        pattern("at capacity", r"\b(?:selected\s+)?model\s+(?:is\s+)?at capacity\b"),
        pattern("unavailable", r"\bservice(?:[_ ]temporarily)?[_ ]unavailable\b"),
    ),
)

FINISHED_IN_ERROR = Phrases(patterns=(pattern("reason:", r"\b(?:finish_)?reason:\s*error\b"),))

SERVER_TEXT = Phrases(
    literals=(
        "an error occurred while processing",
        "internal server error",
        "internal_error",
        "server_error",
        "bad gateway",
        "gateway timeout",
        "upstream error",
        "upstream connect error",
        "connection reset",
        "内部错误",
        "服务器错误",
        "系统错误",
        "系统繁忙",
        "系统异常",
    )
)
HTTP_5XX = Phrases(patterns=(pattern("http", r"\bhttp\s+5\d\d\b"),))
STATUS_INTERNAL = r"\bstatus:\s*internal server error\b"
STATUS_INTERNAL_500 = Phrases(
    patterns=(pattern("internal server error", STATUS_INTERNAL, r"\bcode[\"']?\s*[:=]\s*500\b"),)
)

TIMEOUT = Phrases(
    literals=(
        "timeout",
        "timed out",
        "deadline exceeded",
        "connection error",
        "network error",
        "network request failed",
        "fetch failed",
        "socket hang up",
        "网络错误",
        "网络异常",
        "服务暂时不可用",
        "服务繁忙",
        "请求超时",
        "连接超时",
        "连接错误",
    ),
    patterns=(
        pattern("got status", r"\bgot status:\s*internal\b", r"\bcode[\"']?\s*[:=]\s*500\b"),
        pattern("internal", r"[\"']status[\"']\s*:\s*[\"']internal[\"']", r"[\"']code[\"']\s*:\s*500\b"),
        pattern("stream disconnected", r"\Astream disconnected before completion(?::|\Z)"),
        pattern("premature close", r"\Apremature close of server response while trying to fetch\b"),
        pattern(
            "stream ended",
            r"\A[\w -]{0,200}stream ended (?:before (?:message_?stop|(?:a )?terminal (?:finish reason|response event"
            r"|event))|without (?:a terminal )?finish[_ ]reason)[.!]?\Z",
        ),
        pattern("unresolved tool calls", r"\Aresponses stream ended with unresolved tool calls[.!]?\Z"),
        pattern(
            "econn|enet|ehost|epipe|eai_|enotfound|etime|esocket",
            r"\b(?:econn(?:refused|reset|aborted)|enet(?:unreach|reset)|ehost(?:unreach|down)|e(?:socket)?timedout|epipe"
            r"|enotfound|eai_again)\b",
        ),
        pattern("without sending", r"without sending (?:any )?chunk"),
        pattern("reason:", r"\b(?:finish_)?reason:\s*(?:abort|malformed_response|network_error)\b"),
        pattern("operation was aborted", r"\boperation was aborted\b"),
        pattern("stream", r"\bstream (?:was )?(?:closed|aborted)\b"),
        pattern(
            "und_err_",
            r"\bund_err_(?:socket|connect|headers?|body|req_content_length_mismatch|aborted|closed)\b",
        ),
        pattern("repeated internal retries", r"\brequest failed after repeated internal retries\b"),
    ),
)
WHOLE_TIMEOUTS = frozenset({"terminated", "stream_read_error", "request failed", "llm request failed."})

BILLING = Phrases(
    literals=(*money.BILLING.literals, "available balance", "out of budget"),
    patterns=(
        pattern(
            "402",
            r"[\"']?(?:status|code)[\"']?\s*[:=]\s*402\b|\bhttp\s*402\b|\berror(?:\s+code)?\s*[:=]?\s*402\b"
            r"|\A\s*402\s+payment|\b(?:got|returned|received)\s+(?:a\s+)?402\b(?!\s+records\b)",
        ),
        pattern("used", r"used\s+all\s+available\s+credits"),
        pattern("spend", r"spend(?:ing)?\s+limit"),
        pattern("usagelimiterror", r"\b(?:go|free)usagelimiterror\b"),
        pattern("insufficient", r"\binsufficient\s+\w+\s+balance\b"),
        pattern("more", r"requires?\s+more\s+credits"),
        pattern("invalidsubscription", r'"code"\s*:\s*"invalidsubscription"'),
        pattern("subscription", r"\bdoes not have a valid coding\s*plan subscription\b"),
        pattern("1311", r'"code"\s*:\s*1311\b'),
        ordered(
            "include", r"\bcurrent\s+subscription\s+plan\b", r"\b(?:does\s+not|doesn't|not)\b", r"\binclude\s+access\b"
        ),
        ordered("available", r"\bmodel\b", r"\bnot\s+available\b", r"\bcurrent\s+plan\b"),
        pattern(
            "billing|insufficient credit|http",
            r"\A(?:error[:\s-]+)?(?:billing(?:\s+error)?(?:[:\s-]|\Z)|insufficient credits?|http\s*402\b)",
            r"upgrade|credits|payment|purchase|subscription|plan",
        ),
    ),
)

AUTH_PERMANENT = Phrases(
    literals=phrases.AUTH_PERMANENT.literals,
    patterns=(
        pattern("key", r"api[_ ]?key[_ ]?(?:revoked|deactivated|deleted)"),
        pattern("deactivated", r"deactivated[_ ]workspace"),
    ),
)

AUTH = Phrases(
    literals=phrases.AUTH.literals,
    patterns=(
        pattern(
            "invalid|valid",
            r"invalid[_ ]?api[_ ]?key(?![a-z0-9])"
            r"|api[_ ]?key[_ ]?(?:is[_ ]?)?(?:invalid(?![a-z0-9])|not[_ ]?valid(?![a-z0-9]))",
        ),
        ordered("could not", r"could not (?:authenticate|validate)", r"api[_ ]?key|credentials"),
        pattern("401|403", r"\b40[13]\b"),
        ordered("token", r"\bfailed to (?:extract|parse|validate|decode)\b", r"\btoken\b"),
        pattern("1113", r'"code"\s*:\s*1113\b'),
        ordered("ak", r"当前\s*ak", r"违规请求|禁止访问"),
        ordered("ak", r"违规请求|禁止访问", r"当前\s*ak"),
        pattern("ce-011", r"\bce-011\b"),
    ),
)

FORMAT = Phrases(
    literals=phrases.FORMAT.literals,
    patterns=(
        ordered("tool call id was", r"tool call id was", r"must be"),
        ordered("agent harness", r"agent harness ", r" does not support ", r"provider is not one of"),
    ),
)

REPLAY_INVALID = Phrases(
    patterns=(
        ordered(
            "previous_response_id",
            r"\bprevious_response_id\b",
            r"\b(?:invalid|unknown|not found|does not exist|expired|mismatch)\b",
        ),
        ordered("tool_", r"\btool_(?:use|call)\.(?:input|arguments)\b", r"\b(?:missing|required)\b"),
        pattern("incorrect role information", r"\bincorrect role information\b"),
        pattern("roles must alternate", r"\broles must alternate\b"),
        pattern("input item id", r"\binput item id does not belong to this connection\b"),
    )
)
THINKING = Phrases(patterns=(pattern("thinking", r"\bthinking\b"),))
BAD_SIGNATURE = Phrases(
    patterns=(
        ordered("signature", r"\b(?:invalid|expired)\b", r"\bsignature\b"),
        ordered("signature", r"\bsignature\b", r"\b(?:invalid|expired)\b"),
    )
)
"""Together with `THINKING`: a reasoning block that the provider no longer takes back."""

# --- too long for the model ------------------------------------------------------------------------------------------

_CONFIGURED_SIZE = pattern(
    "configured context size", r"prompt has [\d,]+ tokens?, but the configured context size is [\d,]+ tokens?"
)

OVERFLOW_SAID = Phrases(
    literals=(*phrases.CONTEXT_OVERFLOW.literals, "context_overflow", "exceeds the models maximum context"),
    patterns=(
        _CONFIGURED_SIZE,
        ordered("invalid_argument", r"invalid_argument", r"maximum number of tokens", anywhere=True),
        ordered("input exceeds", r"input exceeds", r"maximum number of tokens", anywhere=True),
        pattern("ran out of", r"ran out of (?:room|space)", r"context window"),
        ordered("request size exceeds", r"request size exceeds", r"context window", anywhere=True),
        ordered("max_tokens", r"max_tokens", r"exceed", r"context", anywhere=True),
        ordered("input length", r"input length", r"exceed", r"context", anywhere=True),
        pattern("is longer than", r"input \([\d,]+\s*tokens?\) is longer than (?:the )?model'?s context length"),
        ordered("too large", r"413", r"too large", anywhere=True),
        pattern("exceeds the model limit", r"input length [\d,]+\s+tokens? exceeds the model limit"),
    ),
)
"""Said explicitly."""

OVERFLOW_OF_PROVIDER = Phrases(
    patterns=(
        pattern("input token count", r"\binput token count exceeds the maximum number of input tokens\b"),
        pattern("too long for this model", r"\binput is too long for this model\b"),
        pattern("maximum number of tokens", r"\binput exceeds the maximum number of tokens\b"),
        pattern("ollama error", r"\bollama error:\s*context length exceeded\b"),
        ordered("total token", r"\btotal tokens?", r"\bexceeds? (?:the )?(?:model(?:'s)? )?(?:max|limit)"),
        pattern(
            "context size",
            r"\b(?:(?:request|prompt) \(\d[\d,]*\s*tokens?\) exceeds (?:the )?available context size"
            r"|context size has been exceeded)\b",
        ),
        pattern("too long for", r"\binput (?:is )?too long for (?:the )?model\b"),
    )
)
"""Each used by one provider; checked if a text mentions sizes at all."""

OVERFLOW_LAST = Phrases(
    literals=(
        "prompt is too long",
        "request_too_large",
        "input is too long for requested model",
        "exceeds the context window",
        "reduce the length of the messages",
        "exceeds the available context size",
        "context size has been exceeded",
        "greater than the context length",
        "context window exceeds limit",
        "exceeded model token limit",
        "model_context_window_exceeded",
        "context_length_exceeded",
        "context length_exceeded",
        "context_length exceeded",
        "context length exceeded",
        "too many tokens",
        "token limit exceeded",
    ),
    patterns=(
        pattern("exceed context limit", r"input length and `?max_tokens`? exceed context limit: [\d,]+ \+ [\d,]+ > \d"),
        pattern(
            "maximum context length",
            r"exceeds (?:the )?(?:model'?s )?maximum context length(?: of [\d,]+ tokens?|\s*\([\d,]+\))"
            r"|maximum context length is \d+ tokens|too large for model with \d+ maximum context length",
        ),
        ordered("input token count", r"input token count", r"exceeds the maximum"),
        pattern("maximum prompt length", r"maximum prompt length is \d"),
        pattern("input length of", r"exceeds (?:the )?maximum allowed input length of [\d,]+ tokens?"),
        pattern("is longer than", r"input \(\d+ tokens\) is longer than the model'?s context length \(\d+ tokens\)"),
        pattern("exceeds the limit of", r"exceeds the limit of \d"),
        pattern("in request more than", r"tokens? in request more than max tokens? allowed"),
        pattern("prompt exceeds max", r"prompt exceeds max(?:imum)? length"),
        pattern("prompt too long", r"prompt too long; exceeded (?:max )?context length"),
        pattern("no body", r"\A413\s*(?:status code)?\s*\(no body\)"),
        _CONFIGURED_SIZE,
    ),
)
"""Checked last, if nothing else matched."""

SIZE_WORDS = Phrases(
    patterns=(
        pattern(
            "context|window|prompt|token|input|request|model",
            r"\b(?:context|window|prompt|tokens?|input|request|model)\b",
            r"\b(?:too\s+(?:large|long|many)|exceed(?:s|ed|ing)?|overflow|limit|maximum|max)\b",
        ),
    )
)
"""The text mentions sizes and limits."""

TPM = Phrases(literals=("tokens per minute",), patterns=(pattern("tpm", r"\btpm\b"),))
REASONING = Phrases(
    literals=("reasoning is mandatory", "reasoning is required", "requires reasoning"),
    patterns=(pattern("reasoning", r"reasoning", r"cannot be disabled"),),
)

API_ERROR_TRANSIENT = Phrases(
    literals=(
        "internal server error",
        "overload",
        "temporarily unavailable",
        "service unavailable",
        "unknown error",
        "server error",
        "bad gateway",
        "gateway timeout",
        "upstream error",
        "backend error",
        "try again later",
        "unexpected error",
    ),
    patterns=(ordered("temporarily", r"temporarily.", r"unable"),),
)

OAUTH_REFRESH = Phrases(
    literals=(
        "oauth token refresh failed",
        "access token could not be refreshed",
        "authentication session could not be refreshed automatically",
    ),
    patterns=(
        ordered(
            "claude-cli",
            r"\bclaude-cli\b.",
            r"\b(?:failed to authenticate|401\s+invalid authentication credentials)\b",
            anywhere=True,
        ),
    ),
)
OAUTH_REFRESH_FINAL = Phrases(
    literals=(
        *phrases.OAUTH_REFRESH_FINAL.literals,
        "refresh_token_expired",
        "token_invalidated",
        "sign_in_again",
        "log in again",
        "invalid_refresh_token",
    ),
    patterns=OAUTH_REFRESH.patterns,
)

POINTS_GONE = Phrases(
    patterns=(
        *money.POINTS_GONE.patterns,
        pattern("no available asset", r"^(?:error:\s*)?(?:http\s*)?402\s+no available asset for api access\b"),
    )
)

CERTIFICATE = Phrases(
    literals=(
        "certificate has expired",
        "certificate is not yet valid",
        "self-signed certificate",
        "self signed certificate",
        "unable to get local issuer certificate",
        "unable to verify the first certificate",
        "hostname mismatch",
    ),
    patterns=(
        pattern("altnames", r"hostname/ip does not match certificate(?:'s)? altnames"),
        ordered("altnames", r"host: .", r" is not in the cert(?:ificate)?(?:'s)? altnames"),
    ),
)
CERTIFICATE_CODES = frozenset(
    {
        "ERR_TLS_CERT_ALTNAME_INVALID",
        "HOSTNAME_MISMATCH",
        "CERT_CHAIN_TOO_LONG",
        "CERT_HAS_EXPIRED",
        "CERT_NOT_YET_VALID",
        "CERT_REJECTED",
        "CERT_REVOKED",
        "CERT_SIGNATURE_FAILURE",
        "CERT_UNTRUSTED",
        "CRL_HAS_EXPIRED",
        "CRL_NOT_YET_VALID",
        "CRL_SIGNATURE_FAILURE",
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "ERROR_IN_CERT_NOT_AFTER_FIELD",
        "ERROR_IN_CERT_NOT_BEFORE_FIELD",
        "ERROR_IN_CRL_LAST_UPDATE_FIELD",
        "ERROR_IN_CRL_NEXT_UPDATE_FIELD",
        "INVALID_CA",
        "INVALID_PURPOSE",
        "PATH_LENGTH_EXCEEDED",
        "SELF_SIGNED_CERT_IN_CHAIN",
        "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
        "UNABLE_TO_DECRYPT_CERT_SIGNATURE",
        "UNABLE_TO_DECRYPT_CRL_SIGNATURE",
        "UNABLE_TO_GET_CRL",
        "UNABLE_TO_GET_ISSUER_CERT",
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    }
)
