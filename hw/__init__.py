"""Gateware of xnorgrid: an XNOR-popcount systolic array and what feeds it."""
