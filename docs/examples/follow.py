"""Follow a store's personas; a restart of this program, or of the API, loses nothing.

The place is kept in a file: it is written after an assignment was dealt with, never before.
"""

import os
import sys
from pathlib import Path

from simpersona_client import Gap, PersonaClient

STORE, PLACE = "acme", Path(sys.argv[1])

with PersonaClient(os.environ["PERSONA_URL"], os.environ["PERSONA_KEY"]) as client:
    after = PLACE.read_text() if PLACE.exists() else None
    for told in client.follow(STORE, after=after):
        if isinstance(told, Gap):
            print("some assignments are lost: ask for the personas that matter", flush=True)
        else:
            said = told.assignment
            print(f"{said.buyer} is {said.type or said.token} ({said.reason})", flush=True)
        PLACE.write_text(told.id)
