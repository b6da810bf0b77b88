"""What German shops call fields and events; `words` takes these after the English names.

Written as `words.words_of` spells a name: in lower case, "ä" as "ae", "ß" as "ss", signs as blanks.
"""

from __future__ import annotations

from typing import Final

from feature_store.contract.events import EventType

TIME: Final = (
    "zeitpunkt", "zeitstempel", "ereigniszeit", "datum uhrzeit", "datum und uhrzeit", "datumzeit", "zeit",
    "bestelldatum", "bestellzeitpunkt", "erstellt am", "datum",
)  # fmt: skip
ANONYMOUS: Final = ("besucher id", "besuchernummer", "besucher", "cookie kennung", "geraete id")
USER: Final = (
    "kundennummer", "kunden nummer", "kunden nr", "kundennr", "kd nr", "kdnr", "kunden id", "kunde",
    "nutzer id", "benutzer id", "nutzer", "benutzer", "kennung",
)  # fmt: skip
SESSION: Final = ("sitzungs id", "sitzungsnummer", "sitzung", "besuchs id", "besuch")
EVENT: Final = (
    "ereignisname", "ereignistyp", "ereignisart", "ereignis", "aktionstyp", "aktion", "aktivitaet", "vorgang",
    "typ", "art",
)  # fmt: skip
EVENT_ID: Final = ("ereignis id", "ereignisnummer", "vorgangsnummer")
ORDER: Final = (
    "bestellnummer", "bestell nummer", "bestell nr", "bestellnr", "bestell id", "auftragsnummer",
    "auftrags nr", "auftragsnr", "rechnungsnummer", "rechnungs nr", "belegnummer", "beleg nr",
)  # fmt: skip
PRODUCT: Final = (
    "artikelnummer", "artikel nummer", "artikel nr", "artikelnr", "art nr", "artnr", "artikel id",
    "produktnummer", "produkt nummer", "produkt nr", "produktnr", "produkt id", "artikelcode",
    "artikel", "produkt", "artikelbezeichnung", "artikelname", "produktname",
)  # fmt: skip
PRODUCT_IN_LINE: Final = ("nummer", "bezeichnung")
CATEGORY: Final = (
    "kategorie", "produktkategorie", "artikelkategorie", "warengruppe", "artikelgruppe", "produktgruppe",
    "kategoriename", "abteilung", "rubrik",
)  # fmt: skip
BRAND: Final = ("marke", "hersteller", "markenname", "lieferant")
PRICE: Final = (
    "preis", "einzelpreis", "stueckpreis", "verkaufspreis", "artikelpreis", "produktpreis", "vk preis",
    "preis brutto", "bruttopreis", "einzelpreis brutto",
)  # fmt: skip
VALUE: Final = (
    "gesamtbetrag", "gesamtsumme", "gesamtpreis", "bestellwert", "bestellsumme", "rechnungsbetrag",
    "auftragswert", "warenwert", "warenkorbwert", "gesamt", "summe", "umsatz", "betrag", "wert",
)  # fmt: skip
CURRENCY: Final = ("waehrung", "waehrungscode")
QUANTITY: Final = ("menge", "anzahl", "stueckzahl", "stueck")
QUERY: Final = ("suchbegriff", "suchwort", "suchanfrage", "suchtext", "suche")
USER_AGENT: Final = ("browserkennung",)
ADDRESS: Final = ("seiten url", "seitenadresse", "seitenpfad", "seite", "pfad")

EXACT: Final[dict[str, EventType]] = {
    "produktansicht": "product_view", "artikelansicht": "product_view", "produktaufruf": "product_view",
    "artikelaufruf": "product_view", "produktseite": "product_view", "artikelseite": "product_view",
    "produktdetailseite": "product_view", "artikeldetailseite": "product_view", "klick": "product_view",
    "seitenaufruf": "page_view", "seitenansicht": "page_view", "startseite": "page_view",
    "kategorieansicht": "list_view", "kategorieseite": "list_view", "kategorieaufruf": "list_view",
    "listenansicht": "list_view", "kategorie": "list_view",
    "warenkorb": "add_to_cart", "warenkorbansicht": "view_cart", "warenkorbaufruf": "view_cart",
    "kasse": "begin_checkout", "zur kasse": "begin_checkout", "bestellvorgang": "begin_checkout",
    "zahlung": "add_payment_info", "zahlungsart": "add_payment_info", "zahlungsdaten": "add_payment_info",
    "bestellung": "purchase", "bestellt": "purchase", "kauf": "purchase", "gekauft": "purchase",
    "verkauf": "purchase", "auftrag": "purchase", "kaufabschluss": "purchase", "transaktion": "purchase",
    "suche": "search", "suchanfrage": "search", "gesucht": "search",
    "registrierung": "sign_up", "registriert": "sign_up", "konto erstellt": "sign_up",
    "newsletter anmeldung": "sign_up", "anmeldung": "login", "angemeldet": "login", "eingeloggt": "login",
}  # fmt: skip
_SEEN: Final = r"(angesehen|ansehen|ansicht|angeklickt|aufgerufen|aufruf|geoeffnet|betrachtet)"
MEANINGS: Final[tuple[tuple[EventType, str], ...]] = (
    ("add_payment_info", r"(?=.*\bzahl\w*\b)(?=.*\b(gewaehlt|ausgewaehlt|angegeben|eingegeben)\b)"),
    (
        "remove_from_cart",
        r"(?=.*\bwarenkorb\b)(?=.*\b(entfernt|entfernen|geloescht|loeschen|aus dem)\b)",
    ),
    (
        "add_to_cart",
        r"(?=.*\bwarenkorb\b)(?=.*\b(hinzugefuegt|hinzufuegen|in den|im|gelegt|legen|zum)\b)",
    ),
    ("view_cart", rf"(?=.*\bwarenkorb\b)(?=.*\b{_SEEN}\b)"),
    (
        "begin_checkout",
        r"(?=.*\b(kasse|bestellvorgang|checkout)\b)(?=.*\b(gestartet|start|begonnen|geoeffnet|aufgerufen)\b)",
    ),
    (
        "purchase",
        (
            r"(?=.*\b(bestellung|bestellvorgang|kauf|auftrag)\b)(?=.*\b(abgeschlossen|aufgegeben|"
            r"abgeschickt|abgesendet|bestaetigt|bezahlt|erfolgreich|eingegangen|erstellt)\b)"
        ),
    ),
    ("list_view", rf"(?=.*\b(kategorie|liste|produktliste|artikelliste)\b)(?=.*\b{_SEEN}\b)"),
    ("product_view", rf"(?=.*\b(produkt|artikel|detailseite)\b)(?=.*\b{_SEEN}\b)"),
    ("page_view", rf"(?=.*\bseite\b)(?=.*\b{_SEEN}\b)"),
)
REFUNDS: Final = (
    r"storno|storniert|stornierung|retoure|erstattet|erstattung|rueckerstattung|rueckgabe|gutschrift"
)
NOTHING_OF_OURS: Final = (
    r"abgebrochen|abbruch|fehlgeschlagen|fehler|merkliste|wunschliste|wunschzettel|bewertung|bewertet|"
    r"gutschein|versand|versendet|abgelehnt"
)
