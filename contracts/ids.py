"""Ids: keyed content addresses of recipes, and the epochs that fence incarnations of one log.

An id names the recipe, not the bytes: two renders of one sentence differ (the model draws random numbers).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets

from contracts.jobs import SpeechRecipe, TranscriptRecipe

ID_BYTES = 12
"""96 bits: 16 base64url characters."""

JOB_ID = re.compile(r"[A-Za-z0-9_-]{16}")


def log_id(secret: bytes, tenant: str, recipe: SpeechRecipe | TranscriptRecipe, content: str) -> str:
    """The id of the log this recipe makes, scoped by tenant: 16 base64url characters.

    content: the text that is spoken, or the SHA-256 of the recording that is heard.
    Keyed, so that nobody can test a guess of somebody's text without the server's secret.
    """
    fields = {"tenant": tenant, **recipe.model_dump(exclude={"completion"}), "text": content}
    canonical = json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return _keyed(secret, canonical)


def keyed_id(secret: bytes, purpose: str, tenant: str, content: str) -> str:
    """An id that a text of a client's decides, scoped by purpose and tenant: 16 base64url characters."""
    canonical = json.dumps([purpose, tenant, content], ensure_ascii=True, separators=(",", ":"))
    return _keyed(secret, canonical)


def new_id() -> str:
    """An id for a log that no recipe names: 16 base64url characters."""
    return secrets.token_urlsafe(ID_BYTES)


def new_epoch() -> str:
    """A name for one incarnation of a log: 8 hexadecimal characters."""
    return secrets.token_hex(4)


def new_worker_id(pool: str) -> str:
    """A name for one start of one worker process; never reused, so a dead one can not be mistaken for a live one."""
    return f"{pool}-{secrets.token_hex(4)}"


def client_id(secret: bytes, tenant: str, address: str) -> str:
    """Whose turn a cast counts as: the tenant, or without one the address it came from; 16 base64url characters."""
    name = f"tenant:{tenant}" if tenant else f"address:{address}"
    return _keyed(secret, name)


def _keyed(secret: bytes, name: str) -> str:
    return base64.urlsafe_b64encode(hmac.new(secret, name.encode(), hashlib.sha256).digest()[:ID_BYTES]).decode()
