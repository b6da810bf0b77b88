"""Send a shopper's events, then ask who they are."""

import os
import time
import uuid

from simpersona_client import NoPersonaError, PersonaClient

STORE, SHOPPER = "acme", f"customer-{uuid.uuid4().hex[:8]}"


def event(kind: str) -> dict[str, object]:
    """An event of the contract; event_id is what makes a second sending harmless."""
    now_ms = time.time_ns() // 1_000_000
    return {"event_id": uuid.uuid4().hex, "buyer": SHOPPER, "type": kind, "timestamp": now_ms}


with PersonaClient(os.environ["PERSONA_URL"], os.environ["PERSONA_KEY"]) as client:
    try:
        client.persona(STORE, SHOPPER)
    except NoPersonaError as error:
        print(f"before the first click: {error.kind}")
    receipt = client.send([event("page_view"), event("product_view"), event("add_to_cart")])
    print(f"{receipt.accepted} events accepted")
    while (persona := client.persona(STORE, SHOPPER)).early:  # the store's prior, for some milliseconds
        time.sleep(0.05)
    print(f"{persona.token}, type {persona.type}, confidence {persona.confidence}")
    card = client.card(persona.code)
    print(f"{card.buyers} buyers of the training history had this code")
