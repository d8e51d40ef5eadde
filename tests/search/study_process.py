"""A process of `test_studies.py`: python study_process.py WHAT STORAGE JOURNAL NAME COUNT."""

import sys
import time
from pathlib import Path

from sweep.errors import ConfigError
from sweep.search.studies import open_studies


def main(what, storage, journal, name, count):
    book = open_studies(storage or None, Path(journal))
    try:
        study = book.study(name, {"model": "digits"}, resume=True)
    except ConfigError as error:
        print(error)
        return
    for n in range(1, int(count) + 1):
        number = study.begin({"samples_per_query": n, "query_count": 0})
        if what == "hang":
            print("begun", number, flush=True)
            time.sleep(60)
        study.finish(number, n, {"result": "VALID"}, -0.5)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
