"""What every store does alike, whatever keeps its rows."""
