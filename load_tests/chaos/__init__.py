"""Real processes under faults: kills, a bad network, readers that do not read, sentences that kill their engine.

__main__   command line
plan       how much of what, and the run of all phases
stage      servers, fronts and workers of one system, watched over
load       casts that are posted throughout, each with a reader that lives through everything
nemesis    the faults
proxy      a TCP proxy that makes a network bad
frozen     readers that never read
poison     sentences that abort their engine
checker    what the readers saw against what they must have seen
report     all of it in words
"""
