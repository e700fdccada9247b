"""The gateware on boards: bitstreams, reports of them, and estimates before anything is built.

A :mod:`.board` is an FPGA of :mod:`.devices` with pins and a clock; :mod:`.top` ties them to the accelerator,
and :mod:`.build` runs the tools. :mod:`.estimate` rests on what :mod:`.fit` made of real builds.
"""
