"""Board tops, one short file a board."""
