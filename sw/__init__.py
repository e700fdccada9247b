"""Binary neural networks on an FPGA, bit for bit equal to PyTorch."""
