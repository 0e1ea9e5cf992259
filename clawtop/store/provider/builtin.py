"""The providers that OpenClaw knows without configuration: their addresses and APIs (2026.5.20).

A credential goes to the base URL that the configuration gives a provider, or to the one of this table; a provider that
is in neither is never called. `MODEL_RULES`: providers whose models speak different apis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

COMPLETIONS = "openai-completions"
RESPONSES = "openai-responses"
MESSAGES = "anthropic-messages"
GOOGLE = "google-generative-ai"

BUILTIN: Mapping[str, tuple[str, str]] = {
    "amazon-bedrock": ("https://bedrock-runtime.{AWS_REGION}.amazonaws.com", "bedrock-converse-stream"),
    "anthropic": ("https://api.anthropic.com", MESSAGES),
    "cerebras": ("https://api.cerebras.ai/v1", COMPLETIONS),
    "chutes": ("https://llm.chutes.ai/v1", COMPLETIONS),
    "cloudflare-workers-ai": (
        "https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
        COMPLETIONS,
    ),
    "codex": ("https://chatgpt.com/backend-api", "openai-codex-responses"),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", COMPLETIONS),
    "deepseek": ("https://api.deepseek.com", COMPLETIONS),
    "fireworks": ("https://api.fireworks.ai/inference/v1", COMPLETIONS),
    "github-copilot": ("https://api.individual.githubcopilot.com", COMPLETIONS),
    "google": ("https://generativelanguage.googleapis.com/v1beta", GOOGLE),
    "google-vertex": ("https://aiplatform.googleapis.com", "google-vertex"),
    "groq": ("https://api.groq.com/openai/v1", COMPLETIONS),
    "huggingface": ("https://router.huggingface.co/v1", COMPLETIONS),
    "kilocode": ("https://api.kilo.ai/api/gateway", COMPLETIONS),
    "kimi": ("https://api.kimi.com/coding", MESSAGES),
    "kimi-coding": ("https://api.kimi.com/coding", MESSAGES),
    "litellm": ("http://localhost:4000", COMPLETIONS),
    "lmstudio": ("http://localhost:1234/v1", COMPLETIONS),
    "minimax": ("https://api.minimax.io/anthropic", MESSAGES),
    "minimax-cn": ("https://api.minimaxi.com/anthropic", MESSAGES),
    "minimax-portal": ("https://api.minimax.io/anthropic", MESSAGES),
    "mistral": ("https://api.mistral.ai/v1", COMPLETIONS),
    "modelstudio": ("https://coding-intl.dashscope.aliyuncs.com/v1", COMPLETIONS),
    "moonshot": ("https://api.moonshot.ai/v1", COMPLETIONS),
    "moonshotai": ("https://api.moonshot.ai/v1", COMPLETIONS),
    "moonshotai-cn": ("https://api.moonshot.cn/v1", COMPLETIONS),
    "nvidia": ("https://integrate.api.nvidia.com/v1", COMPLETIONS),
    "ollama": ("http://127.0.0.1:11434", "ollama"),
    "openai": ("https://api.openai.com/v1", RESPONSES),
    "openai-codex": ("https://chatgpt.com/backend-api", "openai-codex-responses"),
    "opencode": ("https://opencode.ai/zen/v1", COMPLETIONS),
    "opencode-go": ("https://opencode.ai/zen/go/v1", COMPLETIONS),
    "openrouter": ("https://openrouter.ai/api/v1", COMPLETIONS),
    "perplexity": ("https://api.perplexity.ai", COMPLETIONS),
    "qianfan": ("https://qianfan.baidubce.com/v2", COMPLETIONS),
    "qwen": ("https://coding-intl.dashscope.aliyuncs.com/v1", COMPLETIONS),
    "sglang": ("http://127.0.0.1:30000/v1", COMPLETIONS),
    "stepfun": ("https://api.stepfun.ai/v1", COMPLETIONS),
    "stepfun-plan": ("https://api.stepfun.ai/step_plan/v1", COMPLETIONS),
    "synthetic": ("https://api.synthetic.new/anthropic", MESSAGES),
    "together": ("https://api.together.xyz/v1", COMPLETIONS),
    "venice": ("https://api.venice.ai/api/v1", COMPLETIONS),
    "vercel-ai-gateway": ("https://ai-gateway.vercel.sh", MESSAGES),
    "vllm": ("http://127.0.0.1:8000/v1", COMPLETIONS),
    "volcengine": ("https://ark.cn-beijing.volces.com/api/v3", COMPLETIONS),
    "byteplus": ("https://ark.ap-southeast.bytepluses.com/api/v3", COMPLETIONS),
    "xai": ("https://api.x.ai/v1", COMPLETIONS),
    "xiaomi": ("https://api.xiaomimimo.com/v1", COMPLETIONS),
    "zai": ("https://api.z.ai/api/paas/v4", COMPLETIONS),
}

OWN_HOST_ONLY = frozenset({RESPONSES, "openai-codex-responses"})
"""Apis that a built-in provider speaks at its own address; a configured address without an `api` is a compatible one,
and those speak chat completions."""


ENV_KEYS: Mapping[str, tuple[str, ...]] = {
    "amazon-bedrock": ("AWS_BEARER_TOKEN_BEDROCK",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "azure-openai-responses": ("AZURE_OPENAI_API_KEY",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "google-vertex": ("GOOGLE_CLOUD_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "huggingface": ("HF_TOKEN", "HUGGINGFACE_HUB_TOKEN"),
    "kilocode": ("KILOCODE_API_KEY",),
    "kimi-coding": ("KIMI_API_KEY", "KIMICODE_API_KEY"),
    "litellm": ("LITELLM_API_KEY",),
    "minimax": ("MINIMAX_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "moonshot": ("MOONSHOT_API_KEY",),
    "nvidia": ("NVIDIA_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "opencode": ("OPENCODE_API_KEY", "OPENCODE_ZEN_API_KEY"),
    "openrouter": ("OPENROUTER_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "venice": ("VENICE_API_KEY",),
    "vercel-ai-gateway": ("AI_GATEWAY_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "xiaomi": ("XIAOMI_API_KEY",),
    "zai": ("ZAI_API_KEY", "Z_AI_API_KEY"),
}
"""The environment variable with a provider's own key, for runs without an auth profile."""


class ModelRule(NamedTuple):
    """Models whose id begins with one of `prefixes` speak `api`, at `base_url` where that differs."""

    prefixes: tuple[str, ...]
    api: str
    base_url: str | None = None


MODEL_RULES: Mapping[str, tuple[ModelRule, ...]] = {
    "github-copilot": (
        ModelRule(("claude-",), MESSAGES),
        ModelRule(("gpt-5", "o1", "o3", "o4"), RESPONSES),
    ),
    "opencode": (
        ModelRule(("claude-",), MESSAGES, "https://opencode.ai/zen"),
        ModelRule(("gpt-5",), RESPONSES),
        ModelRule(("gemini-",), GOOGLE),
    ),
}
