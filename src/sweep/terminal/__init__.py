from sweep.terminal.certificate import show_search, show_searches
from sweep.terminal.grid import show_grid, show_single
from sweep.terminal.search import SearchWatcher
from sweep.terminal.tables import aligned, console, print_table
from sweep.terminal.watch import Watcher, progress_bar
from sweep.terminal.words import duration, ms

__all__ = [
    "SearchWatcher",
    "Watcher",
    "aligned",
    "console",
    "duration",
    "ms",
    "print_table",
    "progress_bar",
    "show_grid",
    "show_search",
    "show_searches",
    "show_single",
]
