"""What providers say about billing: no credit left, and plan limits that are worded the same way.

A temporary limit and an account without credit share a status (402) and half of their words. Matched and agreed
as `phrase_tables` says.
"""

from __future__ import annotations

from clawtop.core.failure.phrases import Phrases, pattern

BILLING = Phrases(
    literals=(
        "payment required",
        "insufficient credits",
        "insufficient_quota",
        "insufficient quota",
        "insufficient balance",
        "insufficient_balance",
        "insufficient usd or diem balance",
        "credit balance",
        "plans & billing",
        "extra usage is required",
        "out of extra usage",
        "draw from your extra usage",
        "余额不足",
        "欠费",
    ),
    patterns=(
        pattern("insufficient", r"\binsufficient\s+\w+\s+balance\b"),
        pattern("more", r"requires?\s+more\s+credits"),
        pattern("used all", r"used all\s+available credits"),
        pattern("spend", r"spend(?:ing)?\s+limit"),
        pattern(
            "billing|insufficient credit",
            r"\A(?:error[:\s-]+)?(?:billing[:\s-]|insufficient credit)",
            r"upgrade|credits|payment|plan|purchase|subscription",
        ),
    ),
)

ZAI_NO_RESOURCE = Phrases(patterns=(pattern("1311", r'"code"\s*:\s*1311\b'),))
"""Z.ai / BigModel business code: the plan holds no resource package for the model."""

HARD_402 = Phrases(
    patterns=(
        pattern(
            "402",
            r"""\bhttp\s*402\b|\berror(?:\s+code)?\s*[:=]?\s*402\b|^402\s+payment required\b"""
            r"""|\b(?:got|returned|received)\s+(?:a\s+)?402\b|(?:status|code)["']?\s*[:=]\s*402\b""",
        ),
    ),
)
"""Texts that clearly quote HTTP 402, Payment Required; a bare leading 402 does not."""

PAYMENT_402 = Phrases(patterns=(pattern("402", r"^402\s+payment"),))

POINTS_GONE = Phrases(patterns=(pattern("points", r"^(?:error:\s*)?(?:http\s*)?402\s+.*used up your points\b"),))

MONEY_GONE = Phrases(
    literals=(
        "insufficient credits",
        "insufficient quota",
        "insufficient balance",
        "credit balance",
        "plans & billing",
        "top up",
        "add more credits",
        "billing hard limit",
        "hard limit reached",
    ),
    patterns=(pattern("limit", r"upgrade (?:your )?plan|maximum allowed|subscription", r"limit"),),
)
"""Within a 402: only a payment helps."""

ALLOWANCE_REFILLS = Phrases(
    patterns=(
        pattern(
            "subscription quota limit", r"automatic quota refresh|rolling time window", r"subscription quota limit"
        ),
    ),
)
"""Within a 402: a subscription's allowance that renews by itself, whatever else is said."""

LIMIT_RESETS = Phrases(
    patterns=(
        pattern("reset", r"daily|weekly|monthly", r"limit", r"reset"),
        pattern("spend", r"spend(?:ing)? limit", r"daily|weekly|monthly|organization|workspace"),
        pattern(
            "organization|workspace", r"organization|workspace", r"limit", r"exceeded|reached|exhausted|billing period"
        ),
    ),
)
"""Within a 402: a limit of a period, an organization or a workspace, not missing credit."""

# --- oddities of one provider ------------------------------------------------------------------------------------

OPENROUTER_KEY_LIMIT = Phrases(
    patterns=(pattern("key", r"\b(?:api\s+key\s+budget|key)\s+limit\s+(?:exceeded|reached|hit)\b"),)
)

BILLING_AS_429: tuple[str, ...] = ("moonshot", "kimi")
"""Providers that answer 429 when the balance is empty; their billing texts outrank the status."""
