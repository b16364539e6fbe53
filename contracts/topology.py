"""Names and arguments of queues, exchanges and keys. Both sides import them; nothing else spells one."""

from __future__ import annotations

from contracts.units import Lane

DEFAULT_SPEECH_MODEL = "kokoro"

MAX_ATTEMPTS = 5
"""A unit handed out this often without a verdict is dead: with 1 % of attempts lost, one innocent unit in 10**10."""

TICKET_DELIVERY_LIMIT = 1_000
"""Large: a redelivered ticket is at the head of the queue and takes every hit of a kill loop; a lost one is healed."""

MAX_TICKETS = 1_000_000
DEAD_TTL_MS = 7 * 24 * 3_600_000


def speech_lane(model: str) -> Lane:
    """The lane of a speech model. Workers of one lane can do all of its units."""
    return Lane("tts") if model == DEFAULT_SPEECH_MODEL else Lane(f"tts.{model}")


def queue_name(lane: Lane) -> str:
    """`tts` -> `tts.jobs`, `tts.tone` -> `tts.jobs.tone`."""
    kind, _, rest = lane.partition(".")
    return f"{kind}.jobs.{rest}" if rest else f"{kind}.jobs"


def dead_queue_name(lane: Lane) -> str:
    """`tts.tone` -> `tts.dead`: one queue of dead letters per kind of job."""
    return f"{lane.partition('.')[0]}.dead"


DEAD_EXCHANGE = "castline.dead"
CANCEL_EXCHANGE = "castline.cancel"

# A quorum queue survives the loss of a node. The delivery limit must be an argument: its default differs by broker
# version (none, then 20), and a policy of -1 was ignored by some. at-least-once dead lettering needs reject-publish.
JOB_QUEUE_ARGUMENTS: dict[str, str | int] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": TICKET_DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD_EXCHANGE,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-max-length": MAX_TICKETS,
}
DEAD_QUEUE_ARGUMENTS: dict[str, str | int] = {"x-queue-type": "quorum", "x-message-ttl": DEAD_TTL_MS}


def lane_keys(namespace: str, lane: Lane) -> dict[str, str]:
    """Redis keys of a lane, all in one hash slot.

    due: ZSET unit -> deadline ms; run: ZSET unit -> lease expiry ms; info: HASH unit -> "deadline|owner|ticket";
    attempts: HASH unit -> times handed out; bound: HASH ticket -> unit it was used for; workers: HASH id -> JSON.
    """
    tag = f"{namespace}{{q:{lane}}}"
    return {
        "due": f"{tag}:due",
        "run": f"{tag}:run",
        "info": f"{tag}:info",
        "attempts": f"{tag}:try",
        "bound": f"{tag}:bound",
        "workers": f"{tag}:workers",
    }


def log_keys(namespace: str, job: str) -> dict[str, str]:
    """Redis keys of a log, all in one hash slot, and its pub/sub channel.

    meta: HASH; log: STREAM, id = (seq + 1)-0; staged: HASH index -> record committed out of order;
    units: HASH index -> text.
    """
    tag = f"{namespace}c:{{{job}}}"
    return {"meta": f"{tag}:m", "log": f"{tag}:log", "staged": f"{tag}:st", "units": f"{tag}:u", "bell": f"{tag}:bell"}
