"""A client of Millrace in Python. Its package millrace_client is generated from openapi.json.

main.py COMMANDS-URL QUERIES-URL
"""

import json
import sys

from httpx_sse import connect_sse

from millrace_client import Client
from millrace_client.api.commands import send_command
from millrace_client.api.queries import get_user, list_users
from millrace_client.models import CommandSucceeded, CreateUser, CreateUserCommand, SendCommandResponse409, User, UserCreatedChange

commands = Client(base_url=sys.argv[1])
queries = Client(base_url=sys.argv[2])

# The position of any answer is a place in the log: changes behind this place are new.
before = list_users.sync_detailed(client=queries)
position = before.headers["Position"]

# Create Alice, and wait for the outcome.
create = CreateUserCommand(type_="createUser", payload=CreateUser(id=3, name="Alice"))
created = send_command.sync(client=commands, body=create, prefer="wait=10")
if not isinstance(created, CommandSucceeded):
    sys.exit(f"createUser: {created}")
print(f"created {created.stream}, version {created.version}")

# Read her after this write.
read = get_user.sync(client=queries, id=3, read_after=created.position)
if not isinstance(read, User):
    sys.exit(f"GET /users/3: {read}")
print(f"read {read.name}, version {read.version}")

# A rule says no: there is an Alice already.
again = send_command.sync(client=commands, body=create, prefer="wait=10")
if not isinstance(again, SendCommandResponse409):
    sys.exit(f"createUser again: {again}")
print(f"refused: {again.detail}")

# Follow the changes since the place above, up to the creation of Alice.
with connect_sse(queries.get_httpx_client(), "GET", "/changes", headers={"Last-Event-ID": position}) as changes:
    for event in changes.iter_sse():
        if event.event != "userCreated":
            continue
        change = UserCreatedChange.from_dict(json.loads(event.data))
        if change.stream == created.stream:
            print(f"change {event.event} of {change.stream}: {change.data.name}")
            break
