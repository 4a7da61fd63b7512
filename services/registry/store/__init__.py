"""The catalogue in a relational database, through SQLAlchemy: SQLite embedded, PostgreSQL beside it.

`tables` says what is kept, `migrations/` how a database comes to have it, `migrating` when that happens; `database`
is the connection, with what the two kinds of database need done differently; `sql` reads and writes.
"""
