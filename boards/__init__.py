"""The gateware on FPGA families: what it costs there."""
