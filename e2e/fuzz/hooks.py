"""Runs inside schemathesis: keeps the ground under its feet, and counts.

What ends or weakens a thing that the other calls need goes to a doomed one instead; a doomed one may be met again, as repeating a
delete is fine. Values that schemathesis made itself are never touched.
"""

import atexit
import collections
import itertools
import json
import os
from pathlib import Path

import schemathesis

FOLDER = Path(os.environ["GUILDHALL_FUZZ"])
GROUND = json.loads((FOLDER / "ground.json").read_text())
DESTROYS = {
    "SpaceService_DeleteSpace": ("spaceId", "spaces"),
    "ChannelService_DeleteChannel": ("channelId", "channels"),
    "MessageService_DeleteMessage": ("messageId", "messages"),
    "SessionService_EndSession": ("sessionId", "sessions"),
}
# The role of the person who calls stays, as does the friends' membership of the team that others look at.
DEMOTES = {"SpaceService_UpdateMember", "SpaceService_RemoveMember"}

# Rules that look beyond the request and so cannot stand in its schema: what fits the schema may be refused for these.
BEYOND = {
    "not a token that this list gave out",
    "not a message of this channel",
    "must name somebody else",
    "no such user",
    "is not the present password",
}

doomed = {kind: itertools.cycle(GROUND[kind]["doomed"]) for kind in ("spaces", "channels", "messages", "sessions")}
counts = collections.defaultdict(collections.Counter)


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = operation_id(case)
    given = case.path_parameters or {}
    if operation in DESTROYS:
        field, kind = DESTROYS[operation]
        if given.get(field) in GROUND[kind]["kept"]:
            given[field] = next(doomed[kind])
    if operation in DEMOTES and given.get("spaceId") in GROUND["spaces"]["kept"]:
        if str(given.get("userId")).lower() in ("me", GROUND["me"]):
            given["spaceId"] = next(doomed["spaces"])


@schemathesis.hook
def after_call(context, case, response):
    counts[operation_id(case)][response.status_code] += 1


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if response is None or response.status_code != 400 or failure.title != "Schema-valid request rejected":
        return True
    problem = json.loads(response.content)
    if problem.get("reason") == "REASON_PASSWORD_WEAK":
        return False
    return not {error["description"] for error in problem["errors"]} <= BEYOND


def operation_id(case):
    return case.operation.definition.raw.get("operationId", case.operation.label)


@atexit.register
def write():
    (FOLDER / "counts.json").write_text(json.dumps(counts))
