"""Small mutations of the scripts, in Lua and in SQL: each breaks one promise, and the simulation must notice."""

from __future__ import annotations

from dataclasses import dataclass

from load_tests.simulate.plan import Kind
from load_tests.simulate.run import run_seed
from load_tests.simulate.stores import Mutation


@dataclass(frozen=True, slots=True)
class Mutant:
    """One promise broken, in either store or in both."""

    name: str
    redis: Mutation | None = None
    sqlite: Mutation | None = None

    def on(self, store: Kind) -> Mutation | None:
        """The mutation for this store."""
        return self.redis if store == "redis" else self.sqlite


@dataclass(frozen=True, slots=True)
class Catch:
    """How far a mutant came. seed: that caught it, None: it survived; checks: that failed there."""

    name: str
    store: Kind
    seed: int | None
    checks: str


def hunt(name: str, store: Kind, seeds: int) -> Catch:
    """Run a mutant on seeds 0, 1, 2 … until some check fails."""
    mutation = next(m for m in MUTANTS if m.name == name).on(store)
    assert mutation is not None
    for seed in range(seeds):
        broken = run_seed(seed, store, mutation=mutation).broken
        if broken:
            return Catch(name, store, seed, ", ".join(broken))
    return Catch(name, store, None, "")


MUTANTS = (
    Mutant(
        "COMMIT looks for no duplicate",
        Mutation("commit.lua", "if n < wm or redis.call('HEXISTS', KEYS[3], n) == 1 then", "if false then"),
        Mutation(
            "log.py",
            'if unit.index < row["wm"] or _staged(db, unit.job, unit.index) is not None:\n        return',
            "if False:\n        return",
        ),
    ),
    Mutant(
        "COMMIT lets a staged unit be staged again",
        Mutation("commit.lua", " or redis.call('HEXISTS', KEYS[3], n) == 1", ""),
    ),  # on SQLite a primary key stands behind it
    Mutant(
        "COMMIT looks at no epoch",
        Mutation("commit.lua", "m[1] ~= ARGV[2] or ", ""),
        Mutation(
            "log.py",
            'if row["epoch"] != unit.epoch or row["state"] in ("cancelled", "failed"):\n        return',
            'if row["state"] in ("cancelled", "failed"):\n        return',
        ),
    ),
    Mutant(
        "COMMIT goes on after the terminal record",
        Mutation("commit.lua", " or m[2] == 'cancelled' or m[2] == 'failed'", ""),
        Mutation(
            "log.py",
            'if row["epoch"] != unit.epoch or row["state"] in ("cancelled", "failed"):\n        return',
            'if row["epoch"] != unit.epoch:\n        return',
        ),
    ),
    Mutant(
        "COMMIT takes the body of another unit",
        Mutation("commit.lua", "  body = string.sub(staged, at + size)\n", ""),
        Mutation("log.py", "(unit.job, unit.index, *made)", "(unit.job, max(wm, unit.index - 1), *made)"),
    ),
    Mutant(
        "COMMIT leaves what is staged",
        Mutation("commit.lua", "if not staged then break end", "do break end"),
        Mutation(
            "log.py",
            '        skipped += staged["e"] == "skip"\n',
            '        skipped += staged["e"] == "skip"\n        break\n',
        ),
    ),
    Mutant(
        "eos comes one unit early",
        Mutation("commit.lua", "and wm == total then", "and wm >= total - 1 then"),
        Mutation("log.py", 'wm == row["total"]', 'wm >= row["total"] - 1'),
    ),
    Mutant(
        "eos counts no engine time",
        Mutation("commit.lua", "audio_ms + duration, gen_ms + gen", "audio_ms + duration, gen_ms"),
        Mutation(
            "log.py", 'audio_ms + staged["duration"], gen_ms + staged["gen"]', 'audio_ms + staged["duration"], gen_ms'
        ),
    ),
    Mutant(
        "COMMIT does not renew retention",
        Mutation("commit.lua", "end\nkeep(KEYS, ttl)", "end"),
        Mutation("log.py", 'now + row["ttl"],\n', 'row["expires"],\n'),
    ),
    Mutant(
        "OPEN sets no retention",
        Mutation("open.lua", "keep(KEYS, tonumber(ARGV[9]))", ""),
        Mutation("log.py", "now, log.ttl_ms, now + log.ttl_ms,", "now, log.ttl_ms, now + 10**12,"),
    ),
    Mutant(
        "OPEN replaces a live log",
        Mutation("open.lua", "state == 'live' or ", ""),
        Mutation("log.py", 'else ("live", "done")', 'else ("done",)'),
    ),
    Mutant(
        "OPEN leaves what an expired incarnation left",
        Mutation("open.lua", "redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])", ""),
        Mutation("log.py", "            _forget(db, log.job)\n            db.execute(", "            db.execute("),
    ),
    Mutant(
        "CANCEL leaves what is staged",
        Mutation("cancel.lua", "redis.call('DEL', KEYS[3], KEYS[4])", ""),
        Mutation("log.py", 'for table in ("staged", "units"):', 'for table in ("units",):'),
    ),
    Mutant(
        "CANCEL writes no terminal record",
        Mutation("cancel.lua", "append(KEYS[2], seq, 'cancelled'", "tostring(KEYS[2]"),
    ),
    Mutant(
        "CLAIM leases for no time",
        Mutation(
            "lane/claim.lua", "redis.call('ZADD', RUN, now + ARGV[2], unit)", "redis.call('ZADD', RUN, now, unit)"
        ),
        Mutation("schedule.py", "(view.now + lease_ms, owner,", "(view.now, owner,"),
    ),
    Mutant(
        "CLAIM leases for ever",
        Mutation(
            "lane/claim.lua",
            "redis.call('ZADD', RUN, now + ARGV[2], unit)",
            "redis.call('ZADD', RUN, now + 1e12, unit)",
        ),
        Mutation("schedule.py", "(view.now + lease_ms, owner,", "(view.now + 10**12, owner,"),
    ),
    Mutant(
        "CLAIM reaps no lapsed lease",
        Mutation("lane/claim.lua", "do return_unit(unit) end", "do local _ = unit end"),
        Mutation("lane.py", "WHERE lane=? AND lease<=?", "WHERE lane=? AND lease<=? AND 0"),
    ),
    Mutant(
        "CLAIM counts no attempt",
        Mutation("lane/claim.lua", "redis.call('HINCRBY', ATTEMPTS, unit, 1)", "1"),
        Mutation("schedule.py", "attempts=attempts+1", "attempts=1"),
    ),
    Mutant(
        "CLAIM gives up one attempt early",
        Mutation("lane/claim.lua", "attempt > tonumber(ARGV[3])", "attempt >= tonumber(ARGV[3])"),
        Mutation("schedule.py", 'row["attempts"] > self._max_attempts', 'row["attempts"] >= self._max_attempts'),
    ),
    Mutant(
        "CLAIM takes every ticket for a redelivered one",
        Mutation("lane/claim.lua", "if ARGV[5] == '1' then", "if true then"),
        Mutation("schedule.py", "if redelivered and ticket else None", "if ticket else None"),
    ),
    Mutant(
        "CLAIM leaves the unit pending",
        Mutation("lane/claim.lua", "  unpend(unit, length, c)\n", ""),
    ),
    Mutant(
        "EXTEND says yes and renews nothing",
        Mutation("lane/extend.lua", "redis.call('ZADD', RUN, 'XX', now_ms() + ARGV[3], ARGV[1])\n", ""),
        Mutation(
            "schedule.py",
            'f"UPDATE due SET lease=? WHERE {MINE}"',
            'f"UPDATE due SET lease=max(0*?, lease) WHERE {MINE}"',
        ),
    ),
    Mutant(
        "GIVE BACK loses the unit",
        Mutation("lane/give_back.lua", "return_unit(ARGV[1])", "redis.call('ZREM', RUN, ARGV[1])"),
        Mutation(
            "schedule.py",
            "SET lease=NULL, owner='', ticket='', attempts=attempts-?",
            "SET lease=lease+1e12, attempts=attempts-?",
        ),
    ),
    Mutant(
        "GIVE BACK forgets the attempt",
        Mutation("lane/give_back.lua", "if ARGV[3] == '0' then", "if true then"),
        Mutation("schedule.py", "int(not attempted), lane", "1, lane"),
    ),
    Mutant(
        "a lapsed unit does not become pending",
        Mutation("lane/lane.lua", "  pend(unit, length, c)\n  place_due(cast, c)\n", ""),
    ),
    Mutant(
        "SUBMIT is not idempotent",
        Mutation(
            "lane/submit.lua",
            "redis.call('HSETNX', PLAN, unit, string.format('%d|%d', before, ARGV[i])) == 1",
            "redis.call('HSET', PLAN, unit, string.format('%d|%d', before, ARGV[i])) >= 0",
        ),
        Mutation("schedule.py", '"INSERT OR IGNORE INTO due', '"INSERT OR REPLACE INTO due'),
    ),
    Mutant(
        "RELEASE keeps the plan",
        Mutation("lane/release.lua", "    redis.call('HDEL', PLAN, unit)\n", ""),
        Mutation("lane.py", "is None:\n            for table in", "is None and not cast:\n            for table in"),
    ),
    Mutant(
        "RELEASE keeps the lease",
        Mutation("lane/release.lua", "    redis.call('ZREM', RUN, unit)\n", ""),
    ),
    Mutant(
        "RELEASE keeps the ticket's binding",
        Mutation("lane/release.lua", "redis.call('HDEL', BOUND, ticket)", "local _ = 0"),
    ),
    Mutant(
        "a cast that has ended is still listened to",
        Mutation("lane/lane.lua", "  redis.call('HDEL', EARS, cast)\n  redis.call('ZREM', LOOK, cast)\n", ""),
        Mutation("lane.py", 'for table in ("casts", "ears")', 'for table in ("casts",)'),
    ),
    Mutant(
        "OVERDUE hands out nothing",
        Mutation("lane/overdue.lua", "'-inf', now,", "'-inf', 0,"),
        Mutation("schedule.py", "WHERE lane=? AND at<=? ORDER", "WHERE lane=? AND at<=? AND 0 ORDER"),
    ),
)
