"""What is there before fuzzing begins: a person with a team, channels, messages and sessions, so that calls meet real things.

Ids are `kept` or `doomed`: calls that destroy meet doomed ones only (hooks.py sees to it), so that the kept ones stay for all others.
"""

import uuid

PASSWORD = "a bench by the river, 1926"
NAME = "fuzz"
# How many of each kind may be destroyed. A refresh token is good for one use.
DOOMED = 40
# Names that nobody has yet; whoever registers by chance only mostly meets a password that is too common.
NEWCOMERS = 400


def prepare(hall):
    """Makes it all. The answer can be written as JSON: token, dictionaries of values, and what hooks.py has to know."""
    me = register(hall, NAME)
    friends = [register(hall, f"friend{number}") for number in range(3)]
    others = [register(hall, f"other{number}") for number in range(3)]
    token, ids = me["accessToken"], [friend["account"]["user"]["id"] for friend in friends]

    def post(path, **body):
        return hall.call("POST", path, body, token)[1]

    def space(name):
        return post("/spaces", kind="SPACE_KIND_TEAM", name=name, memberIds=ids, key=key())["space"]["id"]

    def channel(space, name):
        return post(f"/spaces/{space}/channels", name=name, key=key())["channel"]["id"]

    def message(channel, text):
        return post(f"/channels/{channel}/messages", text=text, key=key())["message"]["id"]

    spaces = {"kept": [space("kept")], "doomed": [space(f"doomed {number}") for number in range(DOOMED)]}
    team = spaces["kept"][0]
    channels = {
        "kept": [channel(team, f"kept {number}") for number in range(2)],
        "doomed": [channel(team, f"doomed {number}") for number in range(DOOMED)],
    }
    place = channels["kept"][0]
    messages = {
        "kept": [message(place, f"kept {number}") for number in range(20)],
        "doomed": [message(place, f"doomed {number}") for number in range(DOOMED)],
    }
    post("/channels/direct", userIds=ids[:1])

    again = [sign_in(hall) for _ in range(DOOMED)]
    sessions = hall.call("GET", "/auth/sessions?pageSize=100", token=token)[1]["sessions"]
    mine = {session["current"]: session["id"] for session in sessions}[True]
    return {
        "token": token,
        "me": me["account"]["user"]["id"],
        "friends": ids,
        "spaces": spaces,
        "channels": channels,
        "messages": messages,
        "sessions": {"kept": [mine], "doomed": [session["id"] for session in sessions if not session["current"]]},
        "refresh": [answer["refreshToken"] for answer in again],
        "strangers": [other["account"]["user"]["id"] for other in others],
    }


def settings(ground):
    """Settings of schemathesis: how it signs in, and which values it draws four times out of five."""
    people = [*ground["friends"], *ground["strangers"]]
    dictionaries = {
        "spaces": ground["spaces"]["kept"],
        # Messages stand in the first channel: the other one would give 404 for each.
        "channels": ground["channels"]["kept"][:1],
        "messages": ground["messages"]["kept"],
        "sessions": ground["sessions"]["doomed"],
        "people": people,
        "names": [NAME],
        "addresses": [address(NAME)],
        "passwords": [PASSWORD],
        "refresh": ground["refresh"],
        "newcomers": [f"newcomer{number}" for number in range(NEWCOMERS)],
        "new addresses": [address(f"newcomer{number}") for number in range(NEWCOMERS)],
    }
    bound = {
        "path.spaceId": "spaces",
        "path.channelId": "channels",
        "path.messageId": "messages",
        "path.sessionId": "sessions",
        "path.userId": "people",
        "body.userId": "people",
        "body.userIds[*]": "people",
        "query.userIds[*]": "people",
        "body.memberIds[*]": "people",
        "body.messageId": "messages",
        "body.channelId": "channels",
        "body.refreshToken": "refresh",
    }
    own = {
        "AccountService_Register": {
            "body.username": "newcomers", "body.email": "new addresses", "body.password": "passwords",
        },
        "SessionService_Login": {"body.username": "names", "body.email": "addresses", "body.password": "passwords"},
        "AccountService_ChangePassword": {"body.currentPassword": "passwords"},
    }
    yield 'hooks = "hooks.py"'
    yield from ("[auth.openapi.bearer]", f'bearer = "{ground["token"]}"')
    for name, values in dictionaries.items():
        yield from (f'[dictionaries."{name}"]', f"values = {values!r}")
    yield "[parameters]"
    yield from bindings(bound)
    for operation, entries in own.items():
        yield from ("[[operations]]", f'include-operation-id = "{operation}"', "[operations.parameters]", *bindings(entries))


def bindings(entries):
    for where, dictionary in entries.items():
        yield f'"{where}" = {{ dictionary = "{dictionary}", probability = 0.8 }}'


def register(hall, name):
    form = {"username": name, "email": address(name), "password": PASSWORD}
    return hall.call("POST", "/auth/register", form)[1]


def sign_in(hall):
    return hall.call("POST", "/auth/login", {"username": NAME, "password": PASSWORD})[1]


def address(name):
    return f"{name}@example.org"


def key():
    return str(uuid.uuid4())
