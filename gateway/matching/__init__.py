"""Faces at the door: from photographs to templates, and from a track of frames to a person."""
