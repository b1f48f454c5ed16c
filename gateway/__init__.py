"""The box on the estate's LAN: door events in, answers out, faces kept in its vault."""

import os

# Matching would otherwise start a thread for each core: several times slower for galleries of this size,
# and taken from the broker's time. numpy reads it when it is first imported, which is after this.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
