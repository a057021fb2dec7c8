"""The refund desk's tools: typed functions on a local SQLite file.

The file is named by the environment variable `REFUND_DESK_DB`, else it is `desk.sqlite3` beside this module.
It is created and filled with a few orders on first use.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypedDict

ORDERS = (
    ("A-1001", "Ines Vogel", "tea pot", 40, "delivered", "DE02120300000000202051"),
    ("A-1002", "Luca Conti", "laptop", 900, "delivered", "IT60X0542811101000000123456"),
    ("A-1003", "Marta Nowak", "kitchen", 9000, "delivered", "PL61109010140000071219812874"),
    ("A-1004", "Jonas Berg", "desk lamp", 45, "lost", "SE4550000000058398257466"),
    ("M-2001", "Eva Lindt", "second-hand bicycle", 150, "delivered", "AT611904300234573201"),
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY, customer TEXT NOT NULL, item TEXT NOT NULL,
    paid INTEGER NOT NULL CHECK (paid > 0), status TEXT NOT NULL, iban TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS refunds (
    refund_id INTEGER PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders,
    amount INTEGER NOT NULL CHECK (amount > 0), reason TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS escalations (
    escalation_id INTEGER PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders, note TEXT NOT NULL
) STRICT;
"""


class Order(TypedDict):
    """An order as the desk sees it; amounts in whole euros."""

    order_id: str
    customer: str
    item: str
    paid: int
    refunded: int
    status: str
    iban: str


class Refunded(TypedDict):
    """A refund that was made; amounts in whole euros."""

    refund_id: int
    order_id: str
    amount: int
    left: int


class Escalated(TypedDict):
    """A hand-over to a person."""

    escalation_id: int
    order_id: str


def _database() -> sqlite3.Connection:
    path = Path(os.environ.get("REFUND_DESK_DB") or Path(__file__).with_name("desk.sqlite3"))
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(f"BEGIN IMMEDIATE;{SCHEMA}COMMIT;")
    connection.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?, ?)", ORDERS)
    return connection


def _order(connection: sqlite3.Connection, order_id: str) -> Order:
    row = connection.execute(
        "SELECT order_id, customer, item, paid, status, iban,"
        " (SELECT coalesce(sum(amount), 0) FROM refunds WHERE refunds.order_id = orders.order_id)"
        " FROM orders WHERE order_id = ?",
        (order_id,),
    ).fetchone()
    if row is None:
        raise ValueError(f"there is no order `{order_id}`")
    order_id, customer, item, paid, status, iban, refunded = row
    return Order(
        order_id=order_id,
        customer=customer,
        item=item,
        paid=paid,
        refunded=refunded,
        status=status,
        iban=iban,
    )


def lookup_order(order_id: str) -> Order:
    """Look up an order by its order id: amount paid in euros, status and item.

    Args:
        order_id: order id, such as A-1001
    """
    with closing(_database()) as connection:
        return _order(connection, order_id)


def refund(order_id: str, amount: int, reason: str) -> Refunded:
    """Refund an order.

    Args:
        order_id: order id, such as A-1001
        amount: euros to refund
        reason: why, a few words
    """
    with closing(_database()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        order = _order(connection, order_id)
        left = order["paid"] - order["refunded"]
        if amount > left:
            raise ValueError(f"order `{order_id}` has only {left} euros left to refund")
        row = connection.execute(
            "INSERT INTO refunds (order_id, amount, reason) VALUES (?, ?, ?) RETURNING refund_id",
            (order_id, amount, reason),
        ).fetchone()
        connection.execute("COMMIT")
        return Refunded(refund_id=row[0], order_id=order_id, amount=amount, left=left - amount)


def escalate(order_id: str, note: str) -> Escalated:
    """Hand an order over to a human colleague.

    Args:
        order_id: order id, such as A-1001
        note: what the colleague should know
    """
    with closing(_database()) as connection:
        _order(connection, order_id)
        row = connection.execute(
            "INSERT INTO escalations (order_id, note) VALUES (?, ?) RETURNING escalation_id", (order_id, note)
        ).fetchone()
        return Escalated(escalation_id=row[0], order_id=order_id)
