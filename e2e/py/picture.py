"""What a reader of the live feed keeps: the rules of js/picture.mjs, for Python, where frames come in a thread of their own."""

import threading

PATIENCE = 8


class Picture:
    """`seen` and `epoch` are what a reader comes back with; `holes` are changes that do not follow what came before."""

    def __init__(self):
        self.seen, self.epoch = {}, ""
        self.known = {}
        self.holes, self.frames = [], []
        self.ended = False
        # Guards all of it: frames come in their stream's thread, the story waits in its own.
        self.news = threading.Condition()

    def apply(self, frame):
        with self.news:
            self.frames.append(frame)
            if frame.HasField("ready"):
                self.epoch = frame.ready.epoch
                for head in frame.ready.heads:
                    self.seen.setdefault(head.channel_id, head.rev)
            if frame.rev:
                self._follow(frame)
            if frame.HasField("gone"):
                self.seen.pop(frame.channel_id, None)
            self.news.notify_all()

    def end(self):
        with self.news:
            self.ended = True
            self.news.notify_all()

    def keep(self, messages):
        """Takes in messages that came by a call."""
        for message in messages:
            channel = self.known.setdefault(message.channel_id, {})
            if message.seq not in channel or channel[message.seq].rev <= message.rev:
                channel[message.seq] = message

    def messages(self, channel):
        """The messages known of a channel, in their order."""
        with self.news:
            return [message for _, message in sorted(self.known.get(channel, {}).items())]

    def frame(self, what, test, start=0, patience=PATIENCE):
        """Waits for a frame that passes `test`, from the `start`th on."""
        return self.until(what, lambda: next(filter(test, self.frames[start:]), None), patience)

    def until(self, what, test, patience=PATIENCE):
        """Waits until `test` gives something and returns that."""
        with self.news:
            found = self.news.wait_for(test, patience)
            assert found, f"{what}: not within {patience} s. The last frames: {self.frames[-5:]}"
            return found

    def _follow(self, frame):
        seen = self.seen.get(frame.channel_id, 0)
        if frame.rev <= seen:
            return
        if frame.after_rev > seen:
            self.holes.append((seen, frame))
        self.seen[frame.channel_id] = frame.rev
        if frame.HasField("message"):
            self.keep([frame.message])
