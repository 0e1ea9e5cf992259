"""Provider codes and phrases that the engine treats differently; `engine_reason` says how they count."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from clawtop.core.model import FailureReason

TEXT_LIMIT = 4096

CODES: Mapping[str, FailureReason] = MappingProxyType(
    {
        code: reason
        for reason, codes in (
            (FailureReason.MODERATION, "content_policy_violation moderation_blocked responsibleaipolicyviolation"),
            (FailureReason.MODERATION, "content_filter data_inspection_failed datainspectionfailed"),
            (FailureReason.CONTEXT_OVERFLOW, "context_length_exceeded context_window_exceeded request_too_large"),
            (FailureReason.CONTEXT_OVERFLOW, "exceed_context_size_error string_above_max_length"),
            (FailureReason.MODEL_NOT_FOUND, "model_not_found model_not_available model_decommissioned"),
            (FailureReason.MODEL_NOT_FOUND, "unsupported_model resourcenotfoundexception"),
            (FailureReason.BILLING, "insufficient_quota billing_hard_limit_reached billing_not_active budget_exceeded"),
            (FailureReason.BILLING, "exceeded_current_quota_error allocationquota.freetieronly"),
            (FailureReason.BILLING, "usage_not_included insufficient_balance arrearage credits_exhausted"),
            (FailureReason.RATE_LIMIT, "usage_limit_reached rate_limit_exceeded freeusagelimiterror"),
            (FailureReason.RATE_LIMIT, "throttling.ratequota throttling.burstrate appidqpsoverflow"),
            (FailureReason.RATE_LIMIT, "throttlingexception toomanyrequestsexception"),
            (FailureReason.OVERLOADED, "capacity_exceeded"),
            (FailureReason.AUTH, "invalid_api_key api_key_invalid unauthenticated unrecognizedclientexception"),
            (FailureReason.AUTH_PERMANENT, "account_deactivated account_suspended organization_restricted"),
            (FailureReason.SERVER_ERROR, "server_error internal_error internal_server_error api_error internal"),
            (FailureReason.SERVER_ERROR, "unavailable service_unavailable bad_gateway upstream_error"),
            (FailureReason.SERVER_ERROR, "internalserverexception modelstreamerrorexception"),
        )
        for code in codes.split()
    }
)
"""Error codes and types, in lower case. A code for a server error counts only without a status."""

_MODEL = r"\bmodels?\b[^.\n]{0,120}?"

WORDS: tuple[tuple[FailureReason, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern))
    for reason, pattern in (
        (
            FailureReason.NETWORK,
            r"attention required! \| cloudflare|sorry, you have been blocked|<title>just a moment|cf-chl|cf_chl"
            r"|enable javascript and cookies to continue|proxy authentication required"
            r"|(?:country|region|territory|location)[^.\n]{0,40} not supported|unsupported_country_region"
            r"|unsupported countries|not available in your (?:country|region)",
        ),
        (
            FailureReason.MODERATION,
            r"input was flagged|flagged (?:as|for|by)|content (?:management )?policy|usage policies|safety system"
            r"|prohibited content|content[_ ]filter|inappropriate content|blocked by (?:content|safety|guardrail)"
            r"|(?:input|output) (?:new_)?sensitive|敏感内容|不安全|违规内容",
        ),
        (
            FailureReason.CONTEXT_OVERFLOW,
            r"input token count[^\n]{0,40}exceeds|(?:input|prompt) is too long"
            r"|reduce the length of the (?:messages|prompt)|maximum prompt length"
            r"|range of input length should be|prompt exceeds max(?:imum)? length|context window exceeds"
            r"|exceeds? the (?:model'?s? )?(?:available |maximum )?context (?:window|size|length)"
            r"|exceeds the model context|tokens in the prompt cannot exceed|max_new_tokens`? must be <="
            r"|trying to keep the first \d{1,9} tokens|prompt token count of \d{1,9} exceeds|must be at least 1, got -"
            r"|超长|(?:输入|上下文)[^。\n]{0,20}(?:超过|超出|过长)",
        ),
        (
            FailureReason.AUTH_PERMANENT,
            r"(?:organization|account|workspace|project)[^.\n]{0,40} (?:has been |is |was )?"
            r"(?:disabled|deactivated|suspended|banned|terminated|restricted)"
            r"|(?:key|token|login|credential)s?[^.\n]{0,40} (?:has been |was |is |were )?"
            r"(?:revoked|leaked|reported as leaked)",
        ),
        (
            FailureReason.BILLING,
            r"billing hard limit|budget has been exceeded|exceededbudget|exceeded budget"
            r"|insufficient[_ ](?:quota|balance|funds|credits?)|(?:out of|not enough) (?:credits?|funds)\b"
            r"|account is not active|prepa(?:id|yment)[^.\n]{0,40}(?:depleted|exhausted)"
            r"|credits?[^.\n]{0,30}(?:depleted|exhausted)"
            r"|key limit exceeded|spend(?:ing)?[ _-](?:limit|block)"
            r"|(?:plan|subscription) (?:does not|doesn't) include|arrears"
            r"|free tier[^.\n]{0,40}exhausted|余额不足|欠费",
        ),
        (
            FailureReason.AUTH,
            r"api key not valid|api_key_invalid|(?:invalid|incorrect|missing) api[_ -]?key|login fail"
            r"|\binvalid_grant\b|credential is only authorized for",
        ),
        (
            FailureReason.RATE_LIMIT,
            r"hit your (?:\w+ ){0,2}limit|(?<!\d)\d{1,9}[- ]hour limit reached|(?:usage|session|weekly) limit reached"
            r"|limit reached[^\n]{0,40}resets|freeusagelimiterror|usage_limit_reached"
            r"|rate[- ]limit(?:ed|s)? (?:is |was |has been )?(?:exceeded|reached|hit)|too many requests"
            r"|<code>slowdown</code>|quota exceeded for (?:quota )?metric"
            r"|速率限制|请求(?:频率|过于频繁)|频率(?:限制|过高)|限流|qps ?overflow",
        ),
        (
            FailureReason.MODEL_NOT_FOUND,
            _MODEL + r"(?:not found|not exist|not supported|is not available|retired|decommissioned|deprecated)"
            r"|(?:unknown|unsupported|invalid) model\b|no such model|unexpected endpoint or method"
            r"|model identifier is invalid|must be verified to use the model"
            r"|access to the model\b|on-demand throughput isn.t supported",
        ),
        (FailureReason.FORMAT, r"extra_forbidden|extra inputs are not permitted|\binvalid params\b"),
        (
            FailureReason.SERVER_ERROR,
            r"\bmodel has crashed|\b(?:cuda|gpu|device) (?:ran )?out of memory|runner (?:process )?has terminated"
            r"|failed during generation",
        ),
    )
)
"""Matched against the lower-cased text; the first match counts. OpenClaw reads these differently, or not at all.
"""
