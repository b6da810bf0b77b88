"""The first part of evaluation.md: what types and codes are useful for, and whether what is said is true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from studies.encoder.useful.cells import GROUPS, LEAST_JUDGED, LEAST_SHOWN, SAMPLES
from studies.encoder.useful.contenders import CODE, FORECAST, OURS, TYPE, WITH_COUNTS
from studies.encoder.useful.references import ALL, COUNTS, GRID, GRID_KMEANS, LLOYD, RULES
from studies.page import header

Figures = Mapping[str, Any]
_BOLD: Final = (TYPE, CODE, FORECAST, WITH_COUNTS)
_PER_SHOP: Final = (
    TYPE,
    CODE,
    WITH_COUNTS,
    RULES[3],
    GRID_KMEANS,
    f"logistic, {COUNTS}, per shop",
    f"logistic, {ALL}, per shop",
    f"boosting, {ALL}, per shop",
)


def useful(report: Figures) -> Iterator[str]:
    """The whole part."""
    part = report["useful"]
    yield from _headline(part)
    yield from _own(part)
    yield from _truth(part)
    yield from _probabilities(part)
    yield from _unseen(part)
    if "time" in part:
        yield from _later(part)
    if "generated" in part:
        yield from _generated(part)
    yield from _opened(part)


def bars_of(part: Figures) -> list[Figures]:
    """Every bar of the part."""
    bars = list(part["own"]["bars"])
    for unseen in part["unseen"].values():
        bars += unseen["bars"]
    return bars + list(part.get("generated", {}).get("bars", []))


def _headline(part: Figures) -> Iterator[str]:
    bars = bars_of(part)
    judged = [bar for bar in bars if bar["won"] is not None]
    won = sum(bar["won"] for bar in judged)
    seeds = part["own"]["seeds"]
    yield "## Useful? What types and codes say of what comes\n"
    yield (
        f"**{won} of {len(judged)} bars are won** ({len(bars) - len(judged)} more are not judged: fewer than "
        f"{LEAST_JUDGED} positives). {'One seed' if seeds == 1 else f'{seeds} seeds'} of training.\n"
    )
    yield (
        f"AUC within shop, at events 1, 3, 5 and 10 of a session. `rest`: a first cart, checkout or purchase "
        f"later in the session, at events 3, 5 and 10; `leaves`: the session ends before 1 or 3 more events; "
        f"`next session`: a cart or a purchase in it; `returns` within 14 days. The mean over the cells of a "
        f"shop (those with {LEAST_SHOWN} of both kinds), then over shops. [..] the 95 % interval: buyers "
        f"drawn shop by shop, shops drawn anew ({SAMPLES} draws, the same for all). Types, codes, rules "
        f"and tables speak by the rate of learned buyers with them (docs/adr/0057). `per shop` and `pooled` "
        f"say what a model was fitted on; of the product embeddings it gets 24 principal components. Lift: "
        f"the rate among the tenth with the highest scores, per rate of all. Bars are judged with shops "
        f"drawn anew; `same shops` is the interval where they are not.\n"
    )
    yield header("where", "bar, by the low end", "AUC apart", "half width", "same shops", "positives", "")
    for bar in bars:
        value = bar["value"]
        verdict = {True: "won", False: "**missed**", None: "not judged"}[bar["won"]]
        width = (value["high"] - value["low"]) / 2
        yield (
            f"| {bar['where']} | {bar['asked']} | {_apart(value)} | {width:.3f} | "
            f"{_ends(value['same shops'])} | {value['positives']:,} | {verdict} |"
        )
    yield ""


def _own(part: Figures) -> Iterator[str]:
    own = part["own"]
    rows = part["rows"]
    yield "### Shops that it was trained on, other buyers\n"
    yield header("shop", "buyers learned from", "buyers judged", "their sessions")
    for store, sides in rows.items():
        yield (
            f"| {store} | {sides['buyers learned']:,} | {sides['buyers judged']:,} | "
            f"{sides['sessions judged']:,} |"
        )
    yield ""
    yield from _contenders(own["contenders"])
    yield "Shop by shop, AUC of the rest of the session and of leaving:\n"
    yield from _by_shop(own["shops"])
    yield from _cells(own["cells"])


def _contenders(contenders: Figures) -> Iterator[str]:
    groups = [group for group in GROUPS if any(one["auc"][group] for one in contenders.values())]
    yield header("who says it", *groups, "lift, rest", "log loss", "ECE, excess")
    for name in _in_order(contenders):
        one = contenders[name]
        cells = [_value(one["auc"][group], interval=group in ("rest", "leaves")) for group in groups]
        lift = one["lift"]["rest"]
        shown = f"**{name}**" if name in _BOLD else name
        yield (
            f"| {shown} | {' | '.join(cells)} | {'-' if lift is None else format(lift['value'], '.2f')} | "
            f"{_number(one['log_loss'])} | {_number(one['ece'])} |"
        )
    yield ""


def _in_order(contenders: Figures) -> list[str]:
    first = [name for name in (*OURS, *RULES, GRID, GRID_KMEANS, LLOYD) if name in contenders]
    return first + sorted(set(contenders) - set(first))


def _by_shop(shops: Figures) -> Iterator[str]:
    yield header("shop", "", *_PER_SHOP)
    for store, contenders in shops.items():
        for group in ("rest", "leaves"):
            cells = [_value(contenders[name][group]) if name in contenders else "-" for name in _PER_SHOP]
            yield f"| {store} | {group} | {' | '.join(cells)} |"
    yield ""


def _cells(cells: Sequence[Figures]) -> Iterator[str]:
    shown = (CODE, GRID_KMEANS, f"logistic, {COUNTS}, per shop", f"boosting, {ALL}, per shop")
    yield "<details><summary>Every cell</summary>\n"
    yield header("shop", "event", "outcome", "rows", "positives", *shown)
    for cell in cells:
        few = "" if cell["judged"] else " (few)"
        values = " | ".join(_number(cell["auc"].get(name)) for name in shown)
        yield (
            f"| {cell['shop']} | {cell['event']} | {cell['outcome']} | {cell['rows']:,} | "
            f"{cell['positives']:,}{few} | {values} |"
        )
    yield "\n</details>\n"


def _truth(part: Figures) -> Iterator[str]:
    yield "### True? What the names of types claim\n"
    yield (
        "All judged states, the worst seed: of the states whose type claims a fact, the share for which it "
        "is so (precision); of the states of which it is so, the share whose type claims it (recall). "
        "`denied`: of the states of buyers who bought, the share whose type claims less. The bar is 99 %.\n"
    )
    scopes = [("", part["truth"]), *((" (unseen)", one["truth"]) for one in part["unseen"].values())]
    facts = ("has bought", "has carted", "returning")
    yield header("shop", *(f"{fact}: precision, recall %" for fact in facts), "denied %")
    for suffix, seeds in scopes:
        for store in seeds[0]:
            if seeds[0][store]["rows"] == 0:
                continue
            cells = []
            for fact in facts:
                ends = [
                    _percent([seed[store][fact][what] for seed in seeds]) for what in ("precision", "recall")
                ]
                cells.append(", ".join(ends))
            denied = [seed[store]["denied"] for seed in seeds if seed[store]["denied"] is not None]
            most = f"{100 * max(denied):.1f}" if denied else "-"
            yield f"| {store}{suffix} | {' | '.join(cells)} | {most} |"
    yield ""


def _percent(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * min(known):.1f}" if known else "-"


def _probabilities(part: Figures) -> Iterator[str]:
    yield "### How sure? The stated probability of a forecast\n"
    yield (
        "Of the type that is foreseen for the end of the session, at events 1, 3, 5 and 10, before any "
        "calibration by the shop's own sessions. ECE: 10 bins of equal mass; excess: less its mean where "
        "every stated probability is right. Kappa at event 3, beside that of the type of the moment. Means "
        "over seeds. The bar is an excess of .02 on shops it was trained on, .04 on unseen ones after 500 "
        "ended sessions.\n"
    )
    yield header("shop", "states", "right %", "stated %", "Brier", "ECE", "excess", "kappa", "of the moment")
    unseen = ((" (unseen)", one["probabilities"]) for one in part["unseen"].values())
    scopes = [("", part["probabilities"]), *unseen]
    for suffix, seeds in scopes:
        for store in seeds[0]:
            if suffix and store == "all":
                continue
            mean = {
                name: sum(seed[store][name] or 0.0 for seed in seeds) / len(seeds) for name in seeds[0][store]
            }
            yield (
                f"| {store}{suffix} | {mean['rows']:,.0f} | {100 * mean['right']:.1f} | "
                f"{100 * mean['stated']:.1f} | {mean['brier']:.3f} | {mean['ece']:.3f} | "
                f"{mean['excess']:.3f} | {mean['kappa @3']:.2f} | "
                f"{mean['kappa @3 of the type of the moment']:.2f} |"
            )
    yield ""


def _unseen(part: Figures) -> Iterator[str]:
    for where, one in part["unseen"].items():
        yield f"### {where}: trained on the other shops\n"
        yield (
            "Rates, tables and models from the shop's own learned sessions; `lent`: rates from the other "
            "shops alone, as a shop has them on its first day.\n"
        )
        yield from _contenders(one["contenders"])
        lent = [
            f"{name} {_value(one['lent'][name]['auc']['rest'])}"
            for name in (TYPE, CODE)
            if name in one["lent"]
        ]
        yield f"Lent, rest: {', '.join(lent)}.\n"


def _later(part: Figures) -> Iterator[str]:
    yield "### The future: trained on the past\n"
    yield (
        "Each shop's first 60 % of rows by time are learned from, sessions that began after that are judged, "
        f"whoever's they are. Shops: {', '.join(part['time']['shops'])}.\n"
    )
    yield from _contenders(part["time"]["contenders"])
    yield from _by_shop(part["time"]["shops"])


def _generated(part: Figures) -> Iterator[str]:
    yield "### Generated shops\n"
    yield from _contenders(part["generated"]["contenders"])
    yield from _by_shop(part["generated"]["shops"])


def _opened(part: Figures) -> Iterator[str]:
    choice = part["choice"]
    seconds = part["seconds"]
    yield "### What was opened when\n"
    yield (
        f"{choice['rule'][0].upper()}{choice['rule'][1:]}. Trainings planned and written down: "
        f"{len(seconds)} ({sum(seconds) / 60:.0f} minutes in all). Fixed {choice['fixed_at']}; judged buyers "
        f"first opened {choice['opened_at']}. The tasks: {'; '.join(part['tasks'])}.\n"
    )


def _apart(value: Figures) -> str:
    return f"{value['value']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]"


def _ends(ends: Sequence[float]) -> str:
    return f"[{ends[0]:+.3f}, {ends[1]:+.3f}]"


def _value(value: Figures | None, *, interval: bool = False) -> str:
    if value is None:
        return "-"
    text = f"{value['value']:.3f}"
    return f"{text} [{value['low']:.3f}, {value['high']:.3f}]" if interval else text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
