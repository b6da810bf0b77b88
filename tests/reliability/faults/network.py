"""A network that is cut, or half open, between the workers and a server."""

from __future__ import annotations

from tests.reliability.faults.fault import Fault
from tests.reliability.proxy import Proxy
from tests.reliability.trial import Trial


class NetworkCut(Fault):
    """Connections are reset, new ones refused."""

    name = "network cut"
    meaning = (
        "connections of all workers to Kafka, to the store, or to both (as the seed draws) are reset and "
        "refused for 1 to 15 s; from the moment the network is whole"
    )

    def arrange(self, trial: Trial) -> None:
        """Put the workers behind proxies."""
        store = Proxy(trial.rig.valkey.port)
        trial.stack.callback(store.close)
        trial.settings["store_url"] = f"redis://127.0.0.1:{store.port}/0"
        trial.environment["SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS"] = trial.kafka.behind_proxy
        links = {"Kafka": [trial.kafka.proxy], "store": [store], "both": [trial.kafka.proxy, store]}
        which = trial.draw.choice(list(links))
        trial.what.append(f"link: {which}")
        self._links = links[which]

    def strike(self, trial: Trial) -> None:
        for link in self._links:
            self._break(link)
        trial.outage(1, 15)
        for link in self._links:
            link.heal()

    def _break(self, link: Proxy) -> None:
        link.cut()


class HalfOpenNetwork(NetworkCut):
    """Connections stay open, and nothing gets through."""

    name = "network half open"
    meaning = (
        "connections of all workers to Kafka, to the store, or to both stay open, and what is sent on them "
        "is lost, for 1 to 15 s; then new ones work and the old ones stay dead; from that moment"
    )
    seconds = 75

    def _break(self, link: Proxy) -> None:
        link.leave_half_open()
