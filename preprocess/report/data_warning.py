"""A warning about the data, and the words for numbers and shares in it."""

import dataclasses

SHOWN = 5  # of a warning's items on the screen


@dataclasses.dataclass(frozen=True)
class DataWarning:
    """One warning. kind: a name for report.json; items: what it is about, worst first; advice: the way out."""

    kind: str
    text: str
    items: tuple[str, ...] = ()
    advice: str = ''

    @property
    def line(self) -> str:
        """As one line with the worst items."""
        shown = ', '.join(self.items[:SHOWN])
        more = f' and {len(self.items) - SHOWN:,} more' if len(self.items) > SHOWN else ''
        return f'{self.text}{": " if shown else ""}{shown}{more}{"; " if self.advice else ""}{self.advice}'


def counted(number: int, what: str) -> str:
    """A number of things: 1 object, 2 objects, 3 classes."""
    plural = f'{what}es' if what.endswith('s') else f'{what}s'
    return f'{number:,} {what if number == 1 else plural}'


def percent(part: float, whole: float) -> str:
    """A share: 3.1 %, 54 %."""
    share = 100 * part / max(whole, 1)
    return f'{share:.1f} %' if share < 10 else f'{share:.0f} %'
