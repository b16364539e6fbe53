"""Deterministic simulation of the protocol on virtual time: real front, shells and stores; see __main__."""
