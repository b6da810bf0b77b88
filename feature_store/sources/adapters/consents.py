"""What vendors' payloads say of a shopper's consent (docs/adr/0061): a statement, or nothing.

Consent that is absent is no statement. Only consent to measuring and to profiles counts here: consent to the
sale of data is about other parties.
"""

from __future__ import annotations

from typing import Any, Final

from feature_store.sources.adapters.common import Json, get

_OURS: Final = ("analytic", "measur", "performance", "statistic", "personal", "profil")
"""Parts of the names that shops give categories of consent in Segment, which has no names of its own."""
_YES: Final = frozenset({"yes", "true", "granted", "1"})
_NO: Final = frozenset({"no", "false", "denied", "0"})


def segment_consent(message: Json, batch: Json) -> bool | None:
    """context.consent.categoryPreferences: false if one for measuring or profiles is, or if all are."""
    preferences = get(message, "context", "consent", "categoryPreferences")
    if preferences is None:
        preferences = get(batch, "context", "consent", "categoryPreferences")
    if not isinstance(preferences, dict):
        return None
    answers = {str(name).lower(): _answer(value) for name, value in preferences.items()}
    known = {name: answer for name, answer in answers.items() if answer is not None}
    ours = [answer for name, answer in known.items() if any(part in name for part in _OURS)]
    if ours:
        return all(ours)
    return False if known and not any(known.values()) else None


def shopify_consent(payload: Json) -> bool | None:
    """customerPrivacy of a Web Pixel, as the pixel sends it beside the event or in `init`, or in the event
    visitorConsentCollected."""
    for path in (("customerPrivacy",), ("init", "customerPrivacy"), ("data", "customerPrivacy")):
        answer = _answer(get(payload, *path, "analyticsProcessingAllowed"))
        if answer is not None:
            return answer
    return None


def ga4_consent(payload: Json) -> bool | None:
    """`consent` of the Measurement Protocol: analytics_storage where a sender has it; else who does not want
    personal advertising (ad_personalization) wants no persona either. Who wants it has stated nothing."""
    answer = _answer(get(payload, "consent", "analytics_storage"))
    if answer is None and _answer(get(payload, "consent", "ad_personalization")) is False:
        return False
    return answer


def ga4_row_consent(row: Any) -> bool | None:
    """privacy_info.analytics_storage of a row of the export, nested or flat."""
    nested = _answer(row.at("privacy_info", "analytics_storage"))
    return _answer(row.at("privacy_info_analytics_storage")) if nested is None else nested


def stated(value: Json) -> bool | None:
    """What a member `consent` of an event of the contract says."""
    return _answer(value)


def _answer(value: Json) -> bool | None:
    """Yes or no; None for what is neither."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, str | int) else ""
    return True if text in _YES else False if text in _NO else None
