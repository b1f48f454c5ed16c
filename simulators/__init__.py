"""Stand-ins that people run: doors, the payment channel, and the story of the demo."""
