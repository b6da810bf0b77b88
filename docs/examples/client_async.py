"""Ask about many shoppers at once, and draw a population, with asyncio."""

import asyncio
import os

from simpersona_client import Absent, AsyncPersonaClient

STORE = "acme"


async def main() -> None:
    """One connection pool, several requests under way."""
    async with AsyncPersonaClient(os.environ["PERSONA_URL"], os.environ["PERSONA_KEY"]) as client:
        found, shares, sample = await asyncio.gather(
            client.personas(STORE, ["customer-1", "customer-2"]),
            client.distribution(STORE),
            client.sample(STORE, 5, seed=7),
        )
    for number, answer in enumerate(found, start=1):
        said = answer.reason if isinstance(answer, Absent) else answer.token
        print(f"customer-{number}: {said}")
    for kind in shares.types:
        print(f"{kind.name}: {kind.reference:.0%} of the buyers in training")
    print(f"five shoppers of this store: {' '.join(sample.tokens)}")


asyncio.run(main())
