"""How long each kind of data stays, what people may ask for, evidence, and what an authority is told."""
