"""Gateware of xnorgrid: an XNOR-popcount systolic array and what feeds it.

The picture, outside in: an :mod:`.accelerator` is a :mod:`.link` (:mod:`.uart`, :mod:`.slip`,
:mod:`.framing`, :mod:`.commander`) and a :mod:`.core`. In the core, the :mod:`.sequencer` (:mod:`.nest`,
:mod:`.counters`) gives a :mod:`.beat` each cycle to :mod:`.weights` and :mod:`.activations`, which feed the
:mod:`.array` of :mod:`.tile`, :mod:`.pe` and :mod:`.popcount` and take back what the :mod:`.packer` makes of
its results. :mod:`.config` and :mod:`.protocol` are what host and gateware agree on.
"""
