"""The tables of the page, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from studies.page import header

Figures = Mapping[str, Any]

_CONTENDERS: Final = {
    "matched": "**agents, matching token**",
    "mismatched": "token of a random shopper of the store",
    "other_stratum": "token of another stratum",
    "opposite_stratum": "token of the farthest stratum",
    "no_token": "no token",
    "text_profile": "a line of words in place of a token",
    "rows_from_codes": "rows begun at the codes' vectors",
    "rows_at_random": "rows begun at random",
    "without_plan": "a model without a plan",
    "not_held": "plan written, but not held to it",
    "never_buys": "never buys",
    "always_buys": "always buys",
    "cart_never_buys": "fills a cart, never buys",
    "base_rate": "base rate",
    "strata_mean": "constant at the strata's mean",
    "markov_store": "Markov, a store",
    "markov_code": "Markov, a code",
    "markov_planned": "Markov, a code, held to the plan of a training session of the code",
    "replay": "replay of a training session of the code",
    "lookup": "look-up by stratum (is told it)",
}
_PAPER: Final = {"matched": "78.7", "mismatched": "57.5"}
_TITLES: Final = {"in_store": "In-store", "held_out": "Held-out stores"}


def percent(figure: Figures, *, factor: float = 100.0, digits: int = 1) -> str:
    """Value [interval]."""
    if figure.get("value") is None:
        return "-"
    value = f"{factor * figure['value']:.{digits}f}"
    if figure.get("low") is None:
        return value
    return f"{value} [{factor * figure['low']:.{digits}f}, {factor * figure['high']:.{digits}f}]"


def circular(report: Figures) -> Iterator[str]:
    """Part a."""
    yield "## a. Expressiveness (circular: the token knows everything the buyer did)\n"
    yield (
        "ARA %: how near the agents' rates of carts and purchases come to the real ones, by stratum of the "
        "buyer, mean over strata, then stores. Goals are neutral. All contenders play in the same "
        "storefronts. Held out, encoder and model never saw the store, and the prompt does not name it; its "
        "baselines know the other stores only. The paper's figures are of other data: a bar, not a "
        "comparison.\n"
    )
    yield (
        "Agents that plan are held to their plan. What that is worth by itself is shown by the chain of the "
        "code, held to the plan of a training session of the code, and by agents that write a plan and are "
        "not held to it, as under vLLM or transformers. The line of words says the stratum itself, as the "
        "look-up does.\n"
    )
    settings = [name for name in _TITLES if name in report]
    yield header("", *(_TITLES[name] for name in settings), "paper, held out")
    for key, title in _CONTENDERS.items():
        found = [report[name]["ara"].get(key) for name in settings]
        if any(found):
            cells = " | ".join(percent(one) if one else "" for one in found)
            yield f"| {title} | {cells} | {_PAPER.get(key, '')} |"
    yield ""
    for name in settings:
        yield from _setting(_TITLES[name], report[name])


def _setting(title: str, part: Figures) -> Iterator[str]:
    seeds = ", ".join(map(str, part["seeds"]))
    yield f"### {title}: {part['sessions']:,} sessions of {part['buyers']:,} buyers, seeds {seeds}\n"
    each = "; ".join(
        f"{name} {', '.join(f'{100 * value:.1f}' for value in values)}"
        for name, values in part["seeds_of"].items()
    )
    yield f"ARA % by seed: {each}.\n"
    over = part["interval_by_store"]
    yield (
        f"Stores drawn anew: matched {percent(over['matched'])}, mismatched {percent(over['mismatched'])}. "
        f"Matched less mismatched {percent(part['over_mismatched'])} points, less Markov a code "
        f"{percent(part['over_markov_code'])} points. Share of gain, (matched - random) / (replay - random): "
        f"{percent(part['share_of_gain'], factor=1.0, digits=2)}. Worst store's error: matched "
        f"{percent(part['worst_store_error']['matched'])} %, Markov a code "
        f"{percent(part['worst_store_error']['markov_code'])} %.\n"
    )
    names = [n for n in ("matched", "mismatched", "no_token", "markov_code", "replay") if n in part["ara"]]
    yield header("store", *(_CONTENDERS[name] for name in names), "share of gain")
    for store, found in part["by_store"].items():
        gain = percent(part["share_of_gain_by_store"][store], factor=1.0, digits=2)
        yield f"| {store} | {' | '.join(percent(found[name]) for name in names)} | {gain} |"
    yield "\nCarts and purchases, % of the sessions of a store's stratum:\n"
    yield header("store, stratum", "sessions", "real", *(_CONTENDERS[name] for name in names))
    for cell, found in part["strata"].items():
        rates = found["rates"]
        rate_cells = [" / ".join(f"{100 * rate:.0f}" for rate in rates[name]) for name in ("real", *names)]
        yield f"| {cell} | {found['sessions']} | {' | '.join(rate_cells)} |"
    yield (
        "\nLog-likelihood of an action, nats, neutral goals; of a model that plans a lower bound (plans "
        "with the session's own aims only):\n"
    )
    likelihood = part["likelihood"]
    yield header("", "mean", "model less it")
    for name, figure in likelihood["an action"].items():
        less = likelihood.get("model less", {}).get(name)
        cells = percent(figure, factor=1.0, digits=3), percent(less, factor=1.0, digits=3) if less else ""
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def prediction(report: Figures) -> Iterator[str]:
    """Part b."""
    titles = {
        "early": "Token from the first three events, none of them of the funnel; the rest is simulated",
        "before": "Token from earlier sessions",
    }
    predictions = report.get("prediction", {})
    if predictions:
        yield "## b. Prediction (leak-free)\n"
        yield (
            "Strata are quarters of a forecast made before the session (gradient boosting, fitted on "
            "training buyers), within each store. Spread kept: slope of the contender's rates on the real "
            "ones over the quarters; 1 keeps all of it, 0 none. ARA says nothing here: the base rate alone "
            "is near. Log-likelihoods of a model that plans are lower bounds. The early agents also read the "
            "three actions, so a shuffled token need not fall to 0.\n"
        )
    for kind, part in predictions.items():
        seeds = ", ".join(map(str, part["seeds"]))
        yield f"### {titles[kind]}\n"
        yield (
            f"{part['sessions']:,} test sessions, {part['with cart']} with a cart, {part['with purchase']} "
            f"with a purchase; seeds {seeds}.\n"
        )
        yield header(
            "", "spread kept, cart", "spread kept, purchase", "log-likelihood a session", "model less it"
        )
        kept = part["spread_kept"]
        likelihood, less = part["log-likelihood a session"], part["model less"]
        for name in kept["cart"]:
            cells = [percent(kept[action][name], factor=1.0, digits=2) for action in ("cart", "purchase")]
            cells += [
                percent(of[name], factor=1.0, digits=3) if name in of else "" for of in (likelihood, less)
            ]
            yield f"| {name} | {' | '.join(cells)} |"
        over = ", ".join(
            f"{action} {percent(figure, factor=1.0, digits=2)}"
            for action, figure in part["over_shuffled"].items()
        )
        yield f"\nSpread kept, model less shuffled token: {over}.\n"


def goals(report: Figures) -> Iterator[str]:
    """Part c."""
    schedules = report.get("goals", {})
    if any("wrong" in found for found in schedules.values()):
        yield "## c. Goals\n"
        yield (
            "In-store, matching tokens. A wrong goal says an intent that the session did not have: does the "
            "model follow it, or the token? Schedules have the same traces and the same number of steps.\n"
        )
        columns = ("ARA %, neutral goal", "explicit", "wrong", "wrong goal: did as the token", "as the goal")
        yield header("schedule (seeds)", *columns, "worst store's error %, neutral", "explicit")
        for schedule, found in schedules.items():
            yield f"| {schedule} ({', '.join(map(str, found['seeds']))}) | {' | '.join(_goal_cells(found))} |"
        yield "\nThe paper: worst store's error 28.5 % with two stages, 71.3 % with one.\n"
    failed = report.get("failed_runs", {})
    if "token" in failed:
        yield "### Failed runs and goal tasks\n"
        yield (
            "Explicit goals that ask for a cart, a checkout or a purchase. Failed: the goal was not "
            "fulfilled (left, limit, invalid, loop). The paper's token had 66 % fewer failed runs; its "
            "tasks: cart 91.4, checkout 76.9, purchase 59.3 %.\n"
        )
        tasks = list(failed["tasks"]["token"])
        yield header("", "failed %", *(f"{task} done %" for task in tasks), "neutral goal: came less far %")
        for name in ("token", "no_token"):
            cells = [percent(failed[name]), *(percent(failed["tasks"][name][task]) for task in tasks)]
            cells.append(percent(failed["short_of_the_session"][name]))
            yield f"| {name.replace('_', ' ')} | {' | '.join(cells)} |"
        yield (
            f"\nFewer failed runs with the token: {percent(failed['fewer'])} %. With neutral goals, where "
            f"only the token can say what is wanted, fewer that came less far than the session: "
            f"{percent(failed['fewer_short'])} %.\n"
        )
        yield (
            "Agents that plan are held to their plan: they cannot leave while an aim that they planned is "
            "open. That lowers both columns of failed runs; what is left is mostly a plan that misread the "
            "goal. How runs ended, %:\n"
        )
        ends = failed["ends"]
        yield header("", *ends["token"]["neutral"])
        for name in ("token", "no_token"):
            for goal in ("neutral", "explicit"):
                shares = " | ".join(percent(share) for share in ends[name][goal].values())
                yield f"| {name.replace('_', ' ')}, {goal} goal | {shares} |"
        yield ""


def _goal_cells(found: Figures) -> list[str]:
    cells = [percent(found[g]["ara"]) if g in found else "" for g in ("neutral", "explicit", "wrong")]
    wrong = found.get("wrong", {})
    for name in ("did what the session did", "did what the goal said"):
        cells.append(percent(wrong[name]) if name in wrong else "")
    for goal in ("neutral", "explicit"):
        cells.append(percent(found[goal]["worst_store_error"]) if goal in found else "")
    return cells


def populations(report: Figures) -> Iterator[str]:
    """Part d."""
    if "distribution" not in report:
        return
    yield "## d. Distribution\n"
    yield (
        "In-store, mean over stores. Distances are to the real test sessions; replay shows how near other "
        "real sessions come. novelty: share of sessions that no training session of the store equals. "
        "between_codes: share of the variance of what is done that lies between codes; near 0 everybody is "
        "the average buyer.\n"
    )
    found = report["distribution"]
    columns = list(next(iter(found.values())))
    yield header("", *columns)
    for name, row in found.items():
        yield f"| {name} | {' | '.join(percent(row[c], factor=1.0, digits=3) for c in columns)} |"
    yield "\nSeconds to the first cart, of sessions with one; replay is of training sessions of the codes:\n"
    yield header("", "sessions", "a quarter", "half", "three quarters")
    for name, one in report.get("time_to_cart", {}).items():
        quartiles = " | ".join(percent(second, factor=1.0, digits=0) for second in one["quartiles"])
        yield f"| {name} | {one['sessions']} | {quartiles} |"
    yield ""


def loop(report: Figures) -> Iterator[str]:
    """Part e."""
    if "loop" not in report:
        return
    part = report["loop"]
    on_actions = part["on_actions"]
    yield "## e. The loop\n"
    yield (
        "A code goes into an agent; its session is encoded; is it the same code? First, by an encoder on "
        f"the session's actions alone ({on_actions['codes']} codes, eight types; seeds "
        f"{', '.join(map(str, on_actions['seeds']))}): replaying a training session of the code returns it "
        f"by construction, so novelty stands beside: {percent(on_actions['novelty'])} % of the agents' "
        "sessions equal no training session.\n"
    )
    yield header("", "code %", "type %")
    for name in on_actions["code"]:
        yield f"| {name} | {percent(on_actions['code'][name])} | {percent(on_actions['type'][name])} |"
    live = part.get("live_path")
    if live:
        yield (
            f"\nThen by the fold and the encoder that serve: {live['runs']:,} simulated sessions as events "
            "of the contract, encoded by the encoder whose codes went in. `simpersona llm loop` sends such "
            "sessions through Kafka and workers and compares code by code. These codes know a buyer's "
            "products and other sessions, so not even real sessions (replay) return all of them. The chain "
            "of the code plays in the same storefront.\n"
        )
        yield header("", "code %", "type %")
        for name in ("simulated", "markov_code", "replay"):
            kinds = [percent(live[kind][name]) if live[kind] else "-" for kind in ("code", "type")]
            yield f"| {name} | {' | '.join(kinds)} |"
        chances = [f"{100 * live[kind]['chance']:.1f}" if live[kind] else "-" for kind in ("code", "type")]
        yield f"| chance | {' | '.join(chances)} |"
    yield ""


def examples(report: Figures) -> Iterator[str]:
    """Simulated sessions next to real ones."""
    if not report.get("examples"):
        return
    yield "## Ten simulated sessions beside ten real ones of the same code\n"
    yield header("store", "stratum", "code", "real", "its plan", "simulated", "end")
    for one in report["examples"]:
        real, simulated = (", ".join(one[side]) for side in ("real", "simulated"))
        cells = [one["store"], one["stratum"], one["code"], real, one["plan"], simulated, one["end"]]
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""
