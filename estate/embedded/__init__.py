"""Servers that the demo and the tests start on this machine in the place of production's."""
