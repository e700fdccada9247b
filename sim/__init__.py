"""Everything that runs the gateware without a board, and the integer model that judges it."""
