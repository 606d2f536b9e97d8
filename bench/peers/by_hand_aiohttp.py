"""The script of :mod:`bench.peers.by_hand`, from somebody who knows what httpx costs."""

from bench.calls import over_aiohttp
from bench.peers.by_hand import main

if __name__ == "__main__":
    main(over_aiohttp)
