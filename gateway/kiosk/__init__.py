"""Enrolment on the estate's LAN: a page and an interface served by the box itself."""
