"""Devices that take commands: their clocks, acknowledgements, and the rosters that some of them hold."""
