"""What providers by name answer, in their own words, and what the engine makes of it (see `behaviours`)."""

from __future__ import annotations

from clawtop.demo.provider import Act
from tests.engine.behaviours import HTML, Row, body, error


def limited(name: str, act: Act, reads: str) -> Row:
    return Row(name, act, "rate_limit", "account", "rate_limit", reads)


def unpaid(name: str, act: Act, reads: str) -> Row:
    return Row(name, act, "billing", "account", "billing", reads)


def broken(name: str, act: Act, reads: str) -> Row:
    return Row(name, act, "server_error", "account", None, reads)


def wrong(name: str, act: Act, reads: str) -> Row:
    return Row(name, act, "format", "model", None, reads)


def unknown_model(name: str, act: Act, reads: str) -> Row:
    return Row(name, act, "model_not_found", "model", None, reads)


def too_long(name: str, act: Act, reads: str) -> Row:
    return Row(name, act, "context_overflow", "end", None, reads)


def rejected(name: str, act: Act, reads: str) -> Row:
    return Row(name, act, "auth", "account", "auth", reads)


BY_PROVIDER = (
    limited(
        "Bedrock throttles",
        body(400, {"__type": "ThrottlingException", "message": "Too many requests, please wait before trying again."}),
        "Too many requests",
    ),
    broken("Bedrock is away", body(503, {"__type": "ServiceUnavailableException", "message": "unable"}), "unable"),
    limited(
        "Bedrock's model is not ready",
        body(429, {"__type": "ModelNotReadyException", "message": "Model is not ready for inference."}),
        "not ready",
    ),
    wrong(
        "Anthropic: an image too large",
        error(400, "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum", "invalid_request_error"),
        "5 MB",
    ),
    wrong(
        "Anthropic: an image too wide",
        error(400, "image dimensions exceed max allowed size: 8000 pixels", "invalid_request_error"),
        "8000 pixels",
    ),
    wrong("Anthropic: a tool's schema", error(400, "tools.0.custom.input_schema: JSON schema is invalid"), "schema"),
    wrong("Anthropic: roles out of order", error(400, "messages: roles must alternate"), "alternate"),
    wrong(
        "Anthropic: an output limit too high",
        error(400, "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens"),
        "8192",
    ),
    unpaid(
        "Anthropic: no credit as 400",
        error(400, "Your credit balance is too low to access the Anthropic API.", "invalid_request_error"),
        "credit balance",
    ),
    limited(
        "Anthropic: tokens per minute",
        error(429, "This request would exceed your organization's rate limit of 30,000 input tokens per minute"),
        "per minute",
    ),
    rejected("Anthropic: an expired login", error(401, "OAuth token has expired.", "authentication_error"), "expired"),
    rejected(
        "Anthropic: a login without the scope",
        error(403, "OAuth token does not meet scope requirement user:inference", "permission_error"),
        "scope",
    ),
    rejected(
        "Anthropic: a subscription's token",
        error(
            400, "This credential is only authorized for use with Claude Code and cannot be used for other requests."
        ),
        "only authorized",
    ),
    unpaid(
        "OpenRouter: a key's limit",
        body(403, {"error": {"message": "Key limit exceeded (total limit).", "code": 403}}),
        "Key limit",
    ),
    broken("OpenRouter: its provider failed", body(502, {"error": {"message": "Provider returned error"}}), "Provider"),
    unpaid("OpenRouter: credits", error(402, "Insufficient credits. Add more using the dashboard"), "credits"),
    broken(
        "OpenAI: an error while processing",
        error(500, "The server had an error processing your request. (request id req_1)", "server_error"),
        "req_1",
    ),
    broken("OpenAI: an unknown error", error(500, "An unknown error occurred"), "unknown error"),
    limited(
        "OpenAI: tokens per minute",
        error(429, "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000. Please try again in 4s."),
        "TPM",
    ),
    limited(
        "OpenAI: more than the tokens of a minute",
        error(429, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000."),
        "too large",
    ),
    unknown_model(
        "OpenAI: an organization that is not verified",
        error(403, "Your organization must be verified to use the model `o3`.", "invalid_request_error"),
        "verified",
    ),
    unknown_model(
        "Codex: a model of another plan",
        body(400, {"detail": "The 'gpt-5-codex' model is not supported when using Codex with a ChatGPT account."}),
        "not supported",
    ),
    unpaid("Codex: a workspace that is gone", body(402, {"detail": {"code": "deactivated_workspace"}}), "workspace"),
    unknown_model(
        "Copilot: a model it has not",
        body(400, {"error": {"message": "The requested model is not supported.", "code": "model_not_supported"}}),
        "not supported",
    ),
    unpaid(
        "Copilot: its allowance",
        body(
            402, {"error": {"message": "You have exceeded your premium request allowance.", "code": "quota_exceeded"}}
        ),
        "allowance",
    ),
    unpaid(
        "xAI: a spending limit",
        body(403, {"code": "permission", "error": "Your team has reached its monthly spending limit."}),
        "spending limit",
    ),
    unpaid("Qwen: arrears", body(400, {"error": {"code": "Arrearage", "message": "Access denied"}}), "denied"),
    limited("Qwen: its rate", body(429, {"code": "Throttling.RateQuota", "message": "rate limit exceeded"}), "limit"),
    limited("Zhipu: its rate", body(429, {"error": {"code": "1302", "message": "您的账户已达到速率限制"}}), "速率限制"),
    unpaid("Zhipu: its balance", body(429, {"error": {"code": "1113", "message": "余额不足,请充值。"}}), "余额不足"),
    unpaid(
        "MiniMax: its balance",
        body(200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        "insufficient balance",
    ),
    limited(
        "MiniMax: its rate",
        body(200, {"base_resp": {"status_code": 1002, "status_msg": "rate limit exceeded"}}),
        "rate limit",
    ),
    rejected("MiniMax: its key", body(200, {"base_resp": {"status_code": 1004, "status_msg": "login fail"}}), "login"),
    limited("Cohere: a trial key", body(429, {"message": "You are using a Trial key, limited to 10 calls"}), "Trial"),
    limited(
        "Mistral: a tier's capacity",
        body(429, {"message": "Service tier capacity exceeded", "type": "service_tier_capacity_exceeded"}),
        "capacity",
    ),
    Row(
        "Groq: flex capacity",
        body(498, {"error": {"message": "Flex tier capacity exceeded", "type": "capacity_exceeded"}}),
        "overloaded",
        "account",
        "overloaded",
        "capacity",
    ),
    limited(
        "Cerebras: tokens of a day",
        body(429, {"message": "Tokens per day limit exceeded", "code": "token_quota_exceeded"}),
        "per day",
    ),
    Row(
        "Fireworks: a suspended account",
        body(412, {"error": {"message": "Account crab is suspended, possibly due to failure to pay past invoices."}}),
        "auth_permanent",
        "account",
        "auth_permanent",
        "suspended",
    ),
    unpaid("Nvidia: credits", body(402, {"detail": "Cloud credits expired - Please contact NVIDIA"}), "credits"),
    too_long(
        "GitHub Models: a body too large",
        body(413, {"error": {"code": "tokens_limit_reached", "message": "Request body too large for gpt-4o model."}}),
        "too large",
    ),
    limited(
        "Azure: its rate",
        body(429, {"error": {"code": "429", "message": "exceeded token rate limit. Please retry after 6 seconds."}}),
        "retry after 6",
    ),
    unknown_model(
        "Azure: a deployment that is not there",
        body(404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}),
        "deployment",
    ),
    Row(
        "Vertex: an API that is off",
        body(403, {"error": {"message": "Vertex AI API has not been used in project 1 before or it is disabled."}}),
        "auth_permanent",
        "account",
        "auth_permanent",
        "disabled",
    ),
    Row(
        "Gemini: overloaded",
        body(503, {"error": {"message": "The model is overloaded.", "status": "UNAVAILABLE"}}),
        "overloaded",
        "account",
        "overloaded",
        "overloaded",
    ),
    unknown_model(
        "Ollama: not pulled", body(404, {"error": "model 'crab' not found, try pulling it first"}), "pulling"
    ),
    unknown_model("LM Studio: none loaded", body(404, {"error": {"message": "No models loaded."}}), "No models"),
    too_long(
        "llama.cpp: a context too small",
        body(400, {"error": {"message": "the request exceeds it", "type": "exceed_context_size_error", "n_ctx": 4096}}),
        "exceeds",
    ),
    too_long(
        "TGI: too long",
        body(
            422,
            {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", "error_type": "validation"},
        ),
        "4096",
    ),
    limited("TGI: overloaded", body(429, {"error": "Model is overloaded", "error_type": "overloaded"}), "overloaded"),
    broken(
        "Hugging Face: still loading",
        body(503, {"error": "Model crab-1 is currently loading", "estimated_time": 20.0}),
        "loading",
    ),
    broken(
        "Envoy: no upstream",
        body(500, "upstream connect error or disconnect/reset before headers", "text/plain"),
        "upstream",
    ),
    broken("nginx: 504", body(504, "<html>504 Gateway Time-out</html>", HTML), "504"),
    broken("nginx: 408", body(408, "<html>408 Request Time-out</html>", HTML), "408"),
    too_long("nginx: 413", body(413, "<html><h1>413 Request Entity Too Large</h1></html>", HTML), "413"),
    limited("a concurrency limit", error(429, "Concurrency limit exceeded for account"), "Concurrency"),
    limited("a weekly limit", error(429, "Weekly limit reached. Resets in 2 days"), "Weekly"),
    limited("a daily limit as 402", error(402, "Daily usage limit reached; try again tomorrow"), "tomorrow"),
    unpaid("no credit as 401", error(401, "Your credit balance is too low to access the API"), "credit balance"),
    unpaid("a card that is declined", error(402, "Payment required: your card was declined"), "declined"),
    too_long("too long as 404", error(404, "The input exceeds the context length of this model"), "context length"),
    broken("501", error(501, "Not implemented"), "501"),
    wrong("418", error(418, "I'm a teapot"), "418"),
    limited("429 retry-after-ms", error(429, "slow", retry_after_ms="1500"), "slow"),
    broken("500 that must not be retried", error(500, "broken", x_should_retry="false"), "broken"),
)
