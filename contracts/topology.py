"""Names and arguments of queues, exchanges and keys. Both sides import them; nothing else spells one."""

from __future__ import annotations

from contracts.units import Lane

DEFAULT_SPEECH_MODEL = "kokoro"
DEFAULT_HEARING_MODEL = "whisper"
HEARING_MODELS = (DEFAULT_HEARING_MODEL, "echo")
"""echo: a test sound of words, made of a hash."""

MAX_ATTEMPTS = 5
"""A unit handed out this often without a verdict is dead: with 1 % of attempts lost, one innocent unit in 10**10."""

TICKET_DELIVERY_LIMIT = 1_000
"""Large: a redelivered ticket is at the head of the queue and takes every hit of a kill loop; a lost one is healed."""

MAX_TICKETS = 1_000_000
DEAD_TTL_MS = 7 * 24 * 3_600_000
DEAD_DELIVERY_LIMIT = 1_000_000
"""Every look at a dead letter counts: with the default of RabbitMQ 4, the twentieth would lose it."""


LLM_LANE = Lane("llm")
"""Where completions are written, whatever their model: a worker knows all aliases."""


def speech_lane(model: str) -> Lane:
    """The lane of a speech model. Workers of one lane can do all of its units."""
    return Lane("tts") if model == DEFAULT_SPEECH_MODEL else Lane(f"tts.{model}")


def transcript_lane(model: str) -> Lane:
    """The lane of a hearing model."""
    return Lane("stt") if model == DEFAULT_HEARING_MODEL else Lane(f"stt.{model}")


def cut_lane(lane: Lane) -> Lane:
    """Where recordings are cut for a lane of transcripts: a worker does both, and one does not wait for the other."""
    return Lane(f"{lane}.cut")


def live_lane(lane: Lane) -> Lane:
    """Where is heard what somebody says now: it does not wait behind a piece of 30 s of a recording."""
    return Lane(f"{lane}.live")


def cut_job(job: str) -> str:
    """The log of the cutting of a transcript's recording; not readable through the front."""
    return f"{job}-cut"


def interim_job(job: str) -> str:
    """The log of what is being said in a live transcript, one unit, made anew again and again; not readable either."""
    return f"{job}-now"


def queue_name(lane: Lane) -> str:
    """`tts` -> `tts.jobs`, `tts.tone` -> `tts.jobs.tone`."""
    kind, _, rest = lane.partition(".")
    return f"{kind}.jobs.{rest}" if rest else f"{kind}.jobs"


def queue_lane(name: str) -> Lane | None:
    """Inverse of queue_name; None for the name of no job queue."""
    kind, jobs, rest = name.partition(".jobs")
    if not kind or not jobs or (rest and not rest.startswith(".")):
        return None
    return Lane(kind + rest)


def dead_queue_name(lane: Lane) -> str:
    """`tts.tone` -> `tts.dead`: one queue of dead letters per kind of job."""
    return f"{lane.partition('.')[0]}.dead"


def cancel_queue_name(lane: Lane, worker: str, connect: int) -> str:
    """Exclusive to the worker's n-th connection for a lane (1 is the first): cancellations for it."""
    return f"cancel.{lane}.{worker}.{connect}"


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
# Whoever looks at dead letters takes them and gives them back, and that counts as a delivery.
DEAD_QUEUE_ARGUMENTS: dict[str, str | int] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DEAD_DELIVERY_LIMIT,
    "x-message-ttl": DEAD_TTL_MS,
}


LANE_KEYS = {
    "due": "ZSET cast -> when its first pending unit is wanted, ms; started casts",
    "waiting": "ZSET client -> rank of its next waiting cast",
    "queue": "ZSET client|tier|created|cast, by name; casts not started",
    "pending": "ZSET cast:index padded, by name; units not handed out",
    "run": "ZSET unit -> lease expiry, ms",
    "plan": "HASH unit -> estimated ms before it|its own",
    "held": "HASH unit -> owner|ticket",
    "attempts": "HASH unit -> times handed out",
    "bound": "HASH ticket -> unit it was used for",
    "casts": "HASH cast -> its state, packed",
    "left": "HASH cast -> units the log has not decided",
    "clients": "HASH client -> running casts|when it was last served, ms",
    "ears": "HASH cast -> who listens",
    "look": "ZSET cast -> when who listens must be looked at again, ms",
    "fleet": "HASH worker -> known until, ms|its speed|speed of one slot",
    "sums": "HASH: speed of the fleet, estimated audio pending",
    "expected": "ZSET job -> when a janitor looks whether it has ended, ms",
}
"""What a lane's scheduler keeps, in the order in which every one of its scripts gets the keys."""


def lane_keys(namespace: str, lane: Lane) -> list[str]:
    """Redis keys of a lane's scheduler, all in one hash slot, in the order of LANE_KEYS."""
    return [lane_key(namespace, lane, name) for name in LANE_KEYS]


def lane_key(namespace: str, lane: Lane, name: str) -> str:
    """One key of a lane. Beside LANE_KEYS: `workers` (HASH id -> JSON)."""
    return f"{namespace}{{q:{lane}}}:{name}"


def log_keys(namespace: str, job: str) -> dict[str, str]:
    """Redis keys of a log, all in one hash slot, and its pub/sub channel.

    meta: HASH; log: STREAM, id = (seq + 1)-0; staged: HASH index -> record committed out of order;
    units: HASH index -> text.
    """
    tag = f"{namespace}c:{{{job}}}"
    return {"meta": f"{tag}:m", "log": f"{tag}:log", "staged": f"{tag}:st", "units": f"{tag}:u", "bell": f"{tag}:bell"}


def blob_key(namespace: str, name: str) -> str:
    """HASH part -> bytes."""
    return f"{namespace}b:{{{name}}}"


def blob_of(job: str, epoch: str) -> str:
    """Name of the blob that has what is to be heard for a transcript."""
    return f"{job}.{epoch}"
