"""Names, countries and the ways that different tools spell them."""

from __future__ import annotations

FIRST = {
    "SE": ("Anna", "Elsa", "Maja", "Åsa", "Linnea", "Björn", "Erik", "Lars", "Oskar", "Göran"),
    "NO": ("Ingrid", "Nora", "Solveig", "Kari", "Silje", "Håkon", "Magnus", "Ola", "Sindre", "Øyvind"),
    "DK": ("Freja", "Ida", "Mette", "Sofie", "Astrid", "Anders", "Jens", "Mikkel", "Søren", "Rasmus"),
    "FI": ("Aino", "Eeva", "Helmi", "Kaisa", "Sanna", "Antti", "Eino", "Jukka", "Pekka", "Väinö"),
    "IS": ("Anna", "Birna", "Guðrún", "Katla", "Sigga", "Arnar", "Einar", "Gunnar", "Jón", "Þór"),
    "DE": ("Greta", "Hannah", "Jana", "Lena", "Ute", "Felix", "Jonas", "Karl", "Lukas", "Moritz"),
}
LAST = {
    "SE": ("Andersson", "Berg", "Dahl", "Ekström", "Lindqvist", "Nyström", "Sjöberg", "Åkesson"),
    "NO": ("Bakke", "Dahl", "Hansen", "Haugen", "Lie", "Moen", "Solberg", "Ødegård"),
    "DK": ("Christensen", "Holm", "Jensen", "Kjær", "Lund", "Møller", "Nielsen", "Sørensen"),
    "FI": ("Heikkinen", "Koskinen", "Laine", "Mäkinen", "Nieminen", "Saarinen", "Virtanen", "Ylönen"),
    "IS": ("Arnarsdóttir", "Einarsson", "Gunnarsson", "Jónsdóttir", "Ólafsson", "Sigurðardóttir", "Stefánsson", "Þórsdóttir"),
    "DE": ("Becker", "Fischer", "Hoffmann", "Koch", "Müller", "Schäfer", "Wagner", "Weber"),
}
SPELLINGS = {
    "SE": ("SE", "Sweden", "Sverige", "SWE", "sweden"),
    "NO": ("NO", "Norway", "Norge", "NOR", "norway"),
    "DK": ("DK", "Denmark", "Danmark", "DNK", "denmark"),
    "FI": ("FI", "Finland", "Suomi", "FIN", "finland"),
    "IS": ("IS", "Iceland", "Ísland", "ISL", "iceland"),
    "DE": ("DE", "Germany", "Deutschland", "DEU", "germany"),
}
"""The same country as the CRM, the billing tool and the product's export may spell it."""
LANGUAGE = {"SE": "sv", "NO": "nb", "DK": "da", "FI": "fi", "IS": "is", "DE": "de"}
CURRENCY = {"SE": "SEK", "NO": "NOK", "DK": "DKK", "FI": "EUR", "IS": "EUR", "DE": "EUR"}
RATES = {"EUR": 1.0, "SEK": 0.09, "NOK": 0.085, "DKK": 0.134}
"""What one unit of a currency is worth in euros; the demo's config states the same."""
NORDIC = ("SE", "FI", "DK", "NO", "IS")
INDUSTRIES = ("Fashion", "Food", "Furniture", "Outdoor", "Books", "Toys", "Beauty", "Electronics")
ROLES = ("Founder", "Marketing", "Operations", "Finance", "Developer", "Support")
LETTERS = str.maketrans("åäöøæðþáíóúýéü", "aaooadtaiouyeu")


def ascii_name(name: str) -> str:
    """Return *name* as the local part of an address would have it."""
    return name.lower().translate(LETTERS).replace("æ", "ae")
