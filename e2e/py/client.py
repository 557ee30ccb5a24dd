"""grpcio tells the story: two people sign up, talk, see each other live, lose the line and catch up.

    python client.py 127.0.0.1:8080 FOLDER_OF_STUBS

Once on the stream Open and once on Watch. Prints a line a check, in the form that e2e/run counts.
"""

import sys
import threading
import time
import traceback
import uuid

hall, stubs = sys.argv[1:]
sys.path.insert(0, stubs)

import grpc
from guildhall.auth.v1 import account_service_pb2 as accounts, session_service_pb2 as sessions
from guildhall.auth.v1 import space_pb2, space_service_pb2 as spaces
from guildhall.chat.v1 import channel_service_pb2 as channels, message_service_pb2 as messages
from guildhall.live.v1 import frame_pb2, start_service_pb2 as starts

from line import Line
from person import OpenFeed, Person, WatchFeed, reason

PASSWORD = "a bench by the river, 1926"
# The hall shows somebody as offline 10 s after the last stream ended.
LEAVING = 20


class Story:
    """The steps stand in the order in which `tell` tells them; each leaves to the next what it found."""

    def __init__(self, wire, feed):
        self.wire, self.feed, self.tag = wire, feed, uuid.uuid4().hex[:8]
        self.line = Line(hall)
        self.alice, self.bob = Person("alice", hall), Person("bob", self.line.address)

    def tell(self):
        steps = [self.register, self.refresh, self.direct, self.team, self.go_live, self.talk, self.change, self.read,
                 self.type, self.away, self.lose_an_answer, self.lose_the_line, self.come_back, self.start, self.remove,
                 self.leave, self.sign_out]
        for step in steps:
            if step == self.away and self.feed.say is None:
                continue
            try:
                step()
            except Exception:
                print(f"FAIL  {self.wire}: {step.__doc__}\n{traceback.format_exc()}", flush=True)
                return False
            print(f"ok    {self.wire}: {step.__doc__}", flush=True)
        return True

    def register(self):
        """two people register, and a taken name is named"""
        for person in (self.alice, self.bob):
            account = person.sign_in(person.accounts.Register, self.form(person.name))
            person.id = account.user.id
            assert account.user.username == f"{person.name}-{self.tag}"
        again = self.form("alice")
        again.email = "other-" + again.email
        refused(self.bob, self.bob.accounts.Register, again, grpc.StatusCode.ALREADY_EXISTS, "REASON_USERNAME_TAKEN")

    def refresh(self):
        """bob signs in again and refreshes"""
        request = sessions.LoginRequest(username=f"BOB-{self.tag}", password=PASSWORD)
        self.bob.sign_in(self.bob.sessions.Login, request)
        self.bob.sign_in(self.bob.sessions.Refresh, sessions.RefreshRequest(refresh_token=self.bob.refresh_token))
        assert self.bob.call(self.bob.accounts.GetMe, accounts.GetMeRequest()).account.user.id == self.bob.id

    def direct(self):
        """a direct conversation is the same whoever opens it"""
        alice, bob = self.alice, self.bob
        opened = [person.call(person.channels.OpenDirect, channels.OpenDirectRequest(user_ids=[other.id])).channel.id
                  for person, other in ((alice, bob), (bob, alice))]
        assert opened[0] == opened[1]
        self.talks = opened[0]

    def team(self):
        """alice makes a team with two channels, bob finds them"""
        request = spaces.CreateSpaceRequest(
            kind=space_pb2.SPACE_KIND_TEAM, name="Bridge builders", member_ids=[self.bob.id], key=str(uuid.uuid4()))
        self.space = self.alice.call(self.alice.spaces.CreateSpace, request).space
        assert self.space.my_role == space_pb2.SPACE_ROLE_OWNER
        self.general, self.plans = self.make("general"), self.make("plans")
        found = self.bob.call(self.bob.channels.ListChannels, channels.ListChannelsRequest()).channels
        assert {state.channel.id for state in found} == {self.talks, self.general, self.plans}

    def go_live(self):
        """both go live; alice sees bob come"""
        self.hers = self.feed(self.alice, self.wish(self.bob))
        self.hers.picture.frame("bob is not there", presence(self.bob, frame_pb2.PRESENCE_STATE_OFFLINE))
        self.his = self.feed(self.bob, self.wish(self.alice))
        for feed in (self.hers, self.his):
            ready = feed.picture.frame("ready", lambda frame: frame.HasField("ready")).ready
            assert {head.channel_id for head in ready.heads} == {self.talks, self.general, self.plans}
        self.hers.picture.frame("bob is there", presence(self.bob, frame_pb2.PRESENCE_STATE_ONLINE))

    def talk(self):
        """each sees what the other posts"""
        for sender, reader, channel, text in (
            (self.alice, self.his, self.talks, "Bob, are you there?"),
            (self.bob, self.hers, self.talks, "I am. 👋 Ça va, Αλίκη?"),
            (self.bob, self.hers, self.general, "Good morning"),
            (self.alice, self.his, self.general, "Good morning, everybody"),
        ):
            self.last = sender.post(channel, text)
            assert reader.picture.frame(text, of(self.last)).message == self.last

    def change(self):
        """edits and deletions are seen"""
        at = {"channel_id": self.general, "message_id": self.last.id}
        edited = self.alice.call(self.alice.messages.EditMessage, messages.EditMessageRequest(text="Good night", **at)).message
        assert self.his.picture.frame("the edit", of(edited)).message.text == "Good night"
        request = messages.EditMessageRequest(text="Never", **at)
        refused(self.bob, self.bob.messages.EditMessage, request, grpc.StatusCode.PERMISSION_DENIED, "REASON_NOT_AUTHOR")
        self.alice.call(self.alice.messages.DeleteMessage, messages.DeleteMessageRequest(**at))
        tombstone = self.his.picture.frame("the tombstone", lambda frame: frame.message.HasField("deleted_at")).message
        assert (tombstone.id, tombstone.text) == (self.last.id, "")

    def read(self):
        """bob reads, alice sees how far"""
        posted = self.alice.post(self.general, "Who brings the rope?")
        request = channels.MarkReadRequest(channel_id=self.general, message_id=posted.id)
        mark = self.bob.call(self.bob.channels.MarkRead, request)
        assert (mark.read_seq, mark.unread_count) == (posted.seq, 0)
        self.hers.picture.frame("the read mark", lambda frame: (
            frame.read_moved.user_id == self.bob.id and frame.read_moved.to_seq == posted.seq))

    def type(self):
        """alice sees bob type"""
        self.his.type(self.general)
        self.hers.picture.frame("typing", lambda frame: (
            frame.typing.user_id == self.bob.id and frame.typing.channel_id == self.general))

    def away(self):
        """alice sees bob go away and come back"""
        for state in (frame_pb2.PRESENCE_STATE_AWAY, frame_pb2.PRESENCE_STATE_ONLINE):
            start = len(self.hers.picture.frames)
            self.his.say(presence=frame_pb2.Presence(state=state))
            self.hers.picture.frame("presence", presence(self.bob, state), start)

    def lose_an_answer(self):
        """a post whose answer is lost stands once when it is repeated"""
        key, answers = str(uuid.uuid4()), []

        def post():
            try:
                answers.append(self.bob.post(self.talks, "Did you get this?", key))
            except grpc.RpcError:
                pass

        self.line.deafen()
        first = threading.Thread(target=post)
        first.start()
        heard = self.hers.picture.frame("the post", lambda frame: frame.message.key == key).message
        self.line.cut()
        self.line.mend()
        first.join()
        answers.append(insist(lambda: self.bob.post(self.talks, "Did you get this?", key)))
        assert {message.id for message in answers} == {heard.id}
        self.catch_up()
        assert [message.key for message in self.his.picture.messages(self.talks)].count(key) == 1

    def lose_the_line(self):
        """bob loses the line; alice posts, edits, deletes, makes a channel"""
        self.line.cut()
        posted = [self.alice.post(self.general if count % 3 else self.talks, f"while you were away, {count}")
                  for count in range(30)]
        for message in posted[:3]:
            request = messages.EditMessageRequest(channel_id=message.channel_id, message_id=message.id, text="never mind")
            self.alice.call(self.alice.messages.EditMessage, request)
        for message in posted[2:6]:
            request = messages.DeleteMessageRequest(channel_id=message.channel_id, message_id=message.id)
            self.alice.call(self.alice.messages.DeleteMessage, request)
        self.late = self.make("late")
        self.alice.post(self.late, "made while bob was away")

    def come_back(self):
        """bob comes back and lacks nothing, and goes on live"""
        self.line.mend()
        self.catch_up()
        for channel in (self.talks, self.general, self.plans, self.late):
            self.agrees(self.bob, channel, self.his.picture)
        assert self.his.picture.holes == []
        welcome = self.alice.post(self.late, "Welcome back")
        self.his.picture.frame("live again", of(welcome))
        self.agrees(self.alice, self.general, self.hers.picture)

    def start(self):
        """opening the app tells the same in one trip"""
        start = self.bob.call(self.bob.starts.Start, starts.StartRequest(channel_id=self.general))
        assert start.account.user.id == self.bob.id and len(start.channels) == 4
        assert list(start.history.messages) == self.his.picture.messages(self.general)[-50:]
        assert {user.id for user in start.users} == {self.alice.id, self.bob.id}

    def remove(self):
        """who is removed from the team hears and reads no more of it"""
        request = spaces.RemoveMemberRequest(space_id=self.space.id, user_id=self.bob.id)
        self.alice.call(self.alice.spaces.RemoveMember, request)
        self.his.picture.frame("gone", lambda frame: frame.HasField("gone") and frame.channel_id == self.general)
        start = len(self.his.picture.frames)
        self.alice.post(self.general, "Just us now")
        self.his.picture.frame("what is still bob's", of(self.alice.post(self.talks, "Still here?")))
        assert not [frame for frame in self.his.picture.frames[start:] if frame.message.channel_id == self.general]
        request = messages.ListMessagesRequest(channel_id=self.general)
        refused(self.bob, self.bob.messages.ListMessages, request, grpc.StatusCode.NOT_FOUND, "REASON_NOT_FOUND")

    def leave(self):
        """alice sees bob leave"""
        start = len(self.hers.picture.frames)
        self.his.close()
        offline = presence(self.bob, frame_pb2.PRESENCE_STATE_OFFLINE)
        self.hers.picture.frame("bob is offline", offline, start, LEAVING)

    def sign_out(self):
        """signing out ends the stream and the session"""
        self.alice.call(self.alice.sessions.Logout, sessions.LogoutRequest())
        self.hers.picture.until("the end of the stream", lambda: self.hers.picture.ended)
        request = accounts.GetMeRequest()
        refused(self.alice, self.alice.accounts.GetMe, request, grpc.StatusCode.UNAUTHENTICATED, "REASON_SESSION_ENDED")

    # What the steps share

    def form(self, name):
        return accounts.RegisterRequest(
            username=f"{name}-{self.tag}", email=f"{name}-{self.tag}@example.org", password=PASSWORD, display_name=name)

    def make(self, name):
        request = channels.CreateChannelRequest(space_id=self.space.id, name=name, key=str(uuid.uuid4()))
        return self.alice.call(self.alice.channels.CreateChannel, request).channel.id

    def wish(self, other):
        return {"typing_channel_ids": [self.general], "presence_user_ids": [other.id]}

    def catch_up(self):
        """Comes back with what is known, until everything is there that the heads promise. New channels are loaded."""
        picture = self.his.picture
        start, known = len(picture.frames), set(picture.seen)
        self.his = self.his.again()
        ready = picture.frame("ready again", lambda frame: frame.HasField("ready"), start).ready
        for head in ready.heads:
            if head.channel_id not in known:
                picture.keep(self.history(self.bob, head.channel_id).messages)
            picture.until(f"change {head.rev}", lambda: picture.seen[head.channel_id] >= head.rev)

    def history(self, person, channel):
        request = messages.ListMessagesRequest(channel_id=channel, limit=100)
        return person.call(person.messages.ListMessages, request)

    def agrees(self, person, channel, picture):
        """The picture holds what the hall stores, without a gap."""
        page = self.history(person, channel)
        assert not page.has_older
        assert [message.seq for message in page.messages] == list(range(1, len(page.messages) + 1))
        assert picture.messages(channel) == list(page.messages)


def presence(person, state):
    return lambda frame: frame.presence.user_id == person.id and frame.presence.state == state


def of(posted):
    return lambda frame: frame.message.id == posted.id and frame.rev == posted.rev


def refused(person, rpc, request, code, why):
    try:
        answer = person.call(rpc, request)
    except grpc.RpcError as error:
        assert (error.code(), reason(error)) == (code, why), error
    else:
        raise AssertionError(f"expected {code}, was answered {answer}")


def insist(act):
    """A line that was just mended may refuse for a moment."""
    for _ in range(20):
        try:
            return act()
        except grpc.RpcError:
            time.sleep(0.25)
    return act()


told = [Story("grpcio, Open", OpenFeed).tell(), Story("grpcio, Watch", WatchFeed).tell()]
sys.stdout.flush()
sys.exit(0 if all(told) else 1)
