"""Gateware of xnorgrid: an XNOR-popcount systolic array and what feeds it.

The picture, outside in: an :mod:`.accelerator` is a :mod:`.link` (:mod:`.uart`, :mod:`.slip`,
:mod:`.framing` with :mod:`.frame_queue` and :mod:`.crc`, :mod:`.commander` with :mod:`.header`, :mod:`.word`
and :mod:`.report`) and a :mod:`.core`. In the core, the :mod:`.sequencer` (:mod:`.nest`, :mod:`.counters`)
gives a :mod:`.beat` each cycle to the :mod:`.datapath`: :mod:`.weights` (a :mod:`.row_memory` a tile row) and
:mod:`.activations` (a :mod:`.column_memory` a column) feed the :mod:`.array` of :mod:`.tile`, :mod:`.pe` and
:mod:`.popcount` and take back what the :mod:`.packer` makes of its results; :mod:`.host_access` goes beside.
A :mod:`.responder` answers the host's requests there and at the program.
:mod:`.memory` is made of each FPGA family's cells, :mod:`.inventory` lists them. :mod:`.config` and
:mod:`.protocol` are what host and gateware agree on.
"""
