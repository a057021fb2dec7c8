"""The care navigator's tools: typed functions on a local SQLite file.

The file is named by the environment variable `CARE_NAVIGATOR_DB`.
Without it, it is `clinics.sqlite3` beside this module.
It is created and filled with a few clinics on first use.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypedDict

CLINICS = (
    ("C-1", "cardiology", "Vienna", "Heart Centre Vienna"),
    ("C-2", "dermatology", "Vienna", "Skin Practice Prater"),
    ("C-3", "cardiology", "Lyon", "Cardio Lyon"),
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS clinics (
    clinic_id TEXT PRIMARY KEY, speciality TEXT NOT NULL, city TEXT NOT NULL, name TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS appointments (
    appointment_id INTEGER PRIMARY KEY, clinic_id TEXT NOT NULL REFERENCES clinics,
    patient_id TEXT NOT NULL, day TEXT NOT NULL CHECK (day GLOB '????-??-??')
) STRICT;
"""


class Clinic(TypedDict):
    """A clinic as the navigator sees it."""

    clinic_id: str
    name: str


class Found(TypedDict):
    """The clinics of a speciality in a city."""

    clinics: list[Clinic]


class Booked(TypedDict):
    """An appointment that was booked."""

    appointment_id: int
    clinic_id: str
    day: str


def _database() -> sqlite3.Connection:
    path = Path(os.environ.get("CARE_NAVIGATOR_DB") or Path(__file__).with_name("clinics.sqlite3"))
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(f"BEGIN IMMEDIATE;{SCHEMA}COMMIT;")
    connection.executemany("INSERT OR IGNORE INTO clinics VALUES (?, ?, ?, ?)", CLINICS)
    return connection


def find_clinic(speciality: str, city: str) -> Found:
    """Find clinics of a speciality in a city.

    Args:
        speciality: The medical speciality, for example cardiology.
        city: The city.
    """
    with closing(_database()) as connection:
        rows = connection.execute(
            "SELECT clinic_id, name FROM clinics"
            " WHERE speciality = lower(?) AND lower(city) = lower(?) ORDER BY clinic_id",
            (speciality, city),
        ).fetchall()
    return Found(clinics=[Clinic(clinic_id=row[0], name=row[1]) for row in rows])


def book_appointment(clinic_id: str, patient_id: str, day: str) -> Booked:
    """Book an appointment for a patient at a clinic.

    Args:
        clinic_id: The clinic's id, for example C-1.
        patient_id: The patient's id, for example P-100.
        day: The day as YYYY-MM-DD.
    """
    with closing(_database()) as connection:
        row = connection.execute(
            "INSERT INTO appointments (clinic_id, patient_id, day) VALUES (?, ?, ?) RETURNING appointment_id",
            (clinic_id, patient_id, day),
        ).fetchone()
    return Booked(appointment_id=row[0], clinic_id=clinic_id, day=day)
