"""What a completion worker measures, beside workers.metrics. `upstream` is a name of the configuration."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160)
_RATES = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 500, 1000)

TTFT_SECONDS = Histogram(
    "castline_llm_ttft_seconds", "From a request to its first token", ["upstream"], buckets=_SECONDS
)
TOKENS = Counter("castline_llm_tokens_total", "Tokens written, as upstreams count them, else chunks", ["upstream"])
TOKENS_PER_SECOND = Histogram(
    "castline_llm_tokens_per_second", "Of a completion, after its first token", ["upstream"], buckets=_RATES
)
FAILURES = Counter("castline_llm_failures_total", "Attempts an upstream has failed", ["upstream", "kind"])
IN_FLIGHT = Gauge("castline_llm_in_flight", "Completions an upstream is at", ["upstream"])
COOLDOWN_SECONDS = Gauge("castline_llm_cooldown_seconds", "How much longer an upstream goes last", ["upstream"])
