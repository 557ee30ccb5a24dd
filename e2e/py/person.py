"""Somebody with grpcio: gRPC over HTTP/2 by the stubs of grpcio-tools, unary calls and the streams Open and Watch."""

import itertools
import queue
import threading
import uuid

import grpc
from google.rpc import error_details_pb2, status_pb2
from guildhall.auth.v1 import account_service_pb2_grpc, session_service_pb2_grpc, space_service_pb2_grpc
from guildhall.chat.v1 import channel_service_pb2_grpc, message_service_pb2, message_service_pb2_grpc
from guildhall.live.v1 import frame_pb2, live_service_pb2, live_service_pb2_grpc, start_service_pb2_grpc

from picture import Picture

OPTIONS = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.min_reconnect_backoff_ms", 200),
           ("grpc.max_reconnect_backoff_ms", 500)]
DEADLINE = 10


class Person:
    """A name, an id once signed in, the stubs of every service, and tokens."""

    def __init__(self, name, address):
        self.name, self.id, self.access, self.refresh_token = name, None, None, None
        channel = grpc.insecure_channel(address, OPTIONS)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(channel)
        self.sessions = session_service_pb2_grpc.SessionServiceStub(channel)
        self.spaces = space_service_pb2_grpc.SpaceServiceStub(channel)
        self.channels = channel_service_pb2_grpc.ChannelServiceStub(channel)
        self.messages = message_service_pb2_grpc.MessageServiceStub(channel)
        self.lives = live_service_pb2_grpc.LiveServiceStub(channel)
        self.starts = start_service_pb2_grpc.StartServiceStub(channel)

    def call(self, rpc, request):
        """One call, with the person's token; waits while the connection comes back."""
        return rpc(request, metadata=self.bearer(), timeout=DEADLINE, wait_for_ready=True)

    def sign_in(self, rpc, request):
        answer = self.call(rpc, request)
        self.access, self.refresh_token = answer.access_token, answer.refresh_token
        return answer.account

    def post(self, channel, text, key=None):
        request = message_service_pb2.PostMessageRequest(channel_id=channel, text=text, key=key or str(uuid.uuid4()))
        return self.call(self.messages.PostMessage, request).message

    def bearer(self):
        return [("authorization", f"Bearer {self.access}")] if self.access else []


class OpenFeed:
    """The feed both ways: frames come into `picture`, `say` sends one."""

    def __init__(self, person, wish, picture=None):
        self.person, self.wish, self.picture = person, wish, picture or Picture()
        self.picture.ended = False
        self.ids, self.said = itertools.count(1), queue.SimpleQueue()
        self.say(hello=frame_pb2.Hello(subscribe=come_back_with(wish, self.picture)))
        self.stream = person.lives.Open(iter(self.said.get, None), metadata=person.bearer(), wait_for_ready=True)
        read(self.stream, self.picture)

    def say(self, **body):
        self.said.put(live_service_pb2.OpenRequest(frame=frame_pb2.ClientFrame(id=next(self.ids), **body)))

    def type(self, channel):
        self.say(typing=frame_pb2.Typing(channel_id=channel))

    def again(self):
        """Comes back with what is known."""
        return OpenFeed(self.person, self.wish, self.picture)

    def close(self):
        self.said.put(None)
        self.stream.cancel()


class WatchFeed:
    """The feed one way; what a client has to say goes by calls."""

    say = None

    def __init__(self, person, wish, picture=None):
        self.person, self.wish, self.picture = person, wish, picture or Picture()
        self.picture.ended = False
        request = live_service_pb2.WatchRequest(subscribe=come_back_with(wish, self.picture))
        self.stream = person.lives.Watch(request, metadata=person.bearer(), wait_for_ready=True)
        read(self.stream, self.picture)

    def type(self, channel):
        self.person.call(self.person.lives.SendTyping, live_service_pb2.SendTypingRequest(channel_id=channel))

    def again(self):
        return WatchFeed(self.person, self.wish, self.picture)

    def close(self):
        self.stream.cancel()


def come_back_with(wish, picture):
    subscribe = frame_pb2.Subscribe(epoch=picture.epoch, **wish)
    subscribe.seen.update(picture.seen)
    return subscribe


def read(stream, picture):
    """Reads a stream in a thread of its own until it ends."""

    def run():
        try:
            for answer in stream:
                picture.apply(answer.frame)
        except grpc.RpcError:
            pass
        picture.end()

    threading.Thread(target=run, daemon=True).start()


def reason(error):
    """The reason of a refusal, as guildhall.error.v1 names it."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return None
