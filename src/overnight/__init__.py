"""overnight: a persistent queue for paid generation APIs.

Data flows one way: manifest, store, engine, provider, artifacts. Start reading at
:mod:`overnight.lifecycle`, the table that everything else obeys.
"""

__version__ = "0.1.0"
