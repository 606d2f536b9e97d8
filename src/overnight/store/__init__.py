"""The job table: the only room that knows SQL.

``tables`` is the schema, ``migrations`` moves a database to it, ``database`` opens one,
``writer`` is the one thread that writes, ``loading`` brings a manifest's jobs in, ``queue`` holds
every guarded transition, ``leases`` says which worker may write, ``views`` reads for people, and
``rows`` is what a read gives back. ``reading`` opens a database without SQLAlchemy, for the
commands that only read; ``statements`` are what those ask.
"""
