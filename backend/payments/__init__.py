"""Paying: the conversation with the payment provider, in words that fit any provider."""
