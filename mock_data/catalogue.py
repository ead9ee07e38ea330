"""The goods of the shop by category, with their variants and prices."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Good:
    """A good with several variants and a range of prices."""

    name: str
    low: float
    high: float
    """The ends of the range of prices, in the shop's currency."""
    variants: tuple[str, ...]


_COLOURS = ("black", "white", "grey", "blue", "red")
_SIZES = ("S", "M", "L", "XL")

CATALOGUE: dict[str, tuple[Good, ...]] = {
    "Gadgets": (
        Good("USB-C Charger", 12, 45, ("20 W", "45 W", "65 W")),
        Good("Headphones", 25, 280, _COLOURS),
        Good('27" Monitor', 150, 480, ("Full HD", "QHD", "4K")),
        Good("Keyboard", 20, 140, ("US layout", "German layout", "Spanish layout")),
        Good("Power Bank", 15, 70, ("5,000 mAh", "10,000 mAh", "20,000 mAh")),
    ),
    "Home": (
        Good("Desk Lamp, dimmable", 18, 120, _COLOURS),
        Good("Bookshelf", 60, 320, ("oak", "walnut", "white")),
        Good("Curtain", 15, 80, ("1.4 × 2.5 m", "2.0 × 2.5 m")),
        Good("Café Crème Set", 20, 60, ("2 cups", "4 cups", "6 cups")),
        Good("Wool Blanket", 30, 150, _COLOURS),
    ),
    "Garden": (
        Good("Leaf Rake", 10, 40, ("steel", "wood")),
        Good("Watering Can", 8, 45, ("5 l", "10 l")),
        Good("Hose, 20 m", 20, 70, ('1/2"', '3/4"')),
        Good("Garden Bench", 80, 390, ("teak", "acacia")),
        Good("Bird House", 9, 35, _COLOURS),
    ),
    "Toys": (
        Good("Puzzle", 8, 30, ("500 pieces", "1,000 pieces", "2,000 pieces")),
        Good("Toy Robot", 15, 90, _COLOURS),
        Good('Model Car 1/8"', 12, 60, _COLOURS),
        Good("Kite", 10, 50, ("single line", "stunt")),
        Good("Building Blocks", 12, 80, ("100 pieces", "250 pieces")),
    ),
    "Sports": (
        Good("Badminton Racket", 15, 160, ("light", "classic")),
        Good("Yoga Mat", 12, 70, ("4 mm", "6 mm")),
        Good("Football", 10, 60, ("size 4", "size 5")),
        Good("Running Jacket", 35, 180, _SIZES),
        Good("Jörg's Climbing Rope", 60, 220, ("40 m", "60 m", "80 m")),
    ),
    "Groceries": (
        Good("Olive Oil", 5, 25, ("0.5 l", "1 l")),
        Good("Espresso Beans", 6, 32, ("250 g", "500 g", "1 kg")),
        Good("Crème Brûlée Mix", 3, 9, ("2 portions", "4 portions")),
        Good("Honey", 4, 16, ("acacia", "forest", "heather")),
        Good("Green Tea", 3, 22, ("50 g", "100 g")),
    ),
}

GOODS = tuple((category, good) for category, goods in CATALOGUE.items() for good in goods)

PRICE_ENDINGS = (99, 99, 99, 95, 49, 0)
"""The cents of prices, each as often as shops use it."""
