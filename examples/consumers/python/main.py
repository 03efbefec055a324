"""Keeps the names of all users in a table, in SQLite.

The row of a user has the version of the user's last event, and changes together with it in one transaction. So a
repeated event changes nothing, and a crash loses nothing.
"""

import json
import sqlite3
import sys

from kafka import KafkaConsumer


def take(table, headers, body):
    """Applies an event, unless the event was there before."""
    stream, version, kind = headers["ce_subject"], int(headers["ce_version"]), headers["ce_type"]
    with table:  # one transaction
        row = table.execute("SELECT version, name FROM users WHERE stream = ?", [stream]).fetchone()
        last, name = row or (0, "")
        if version <= last:
            return False  # a repeat
        if kind in ("userCreated", "userRenamed"):
            name = json.loads(body)["name"]
        elif kind == "userDeleted":
            name = ""
        table.execute("INSERT OR REPLACE INTO users VALUES (?, ?, ?)", [stream, version, name])
    print(f'{stream}, version {version}: {kind} "{name}"', flush=True)
    return True


def main(broker, topic, file, events):
    table = sqlite3.connect(file)
    table.execute("CREATE TABLE IF NOT EXISTS users (stream TEXT PRIMARY KEY, version INTEGER, name TEXT)")
    consumer = KafkaConsumer(
        topic, bootstrap_servers=broker, group_id="names", auto_offset_reset="earliest", enable_auto_commit=False
    )
    for message in consumer:
        headers = {key: value.decode() for key, value in message.headers}
        if take(table, headers, message.value):
            events -= 1
        consumer.commit()
        if events == 0:
            break
    consumer.close()


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
