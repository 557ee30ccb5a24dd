// What a reader of the live feed keeps: the rules that every client follows, written down once.
//
// A frame with a `rev` is the next change of its channel: one at or below `seen` is dropped, one that follows something above
// `seen` leaves a hole. Frames without a `rev` only say what is so now.

export class Picture {
  // channel -> the last change applied; with `epoch` that is what a reader comes back with.
  seen = {};
  epoch = "";
  // channel -> the messages known, by their place.
  #messages = {};
  // Changes that cannot be told from what came before.
  holes = [];
  // Every frame, in the order in which they came.
  frames = [];
  // Whether the stream is over.
  ended = false;
  #waiting = new Set();

  apply(frame) {
    this.frames.push(frame);
    if (frame.ready) this.#begin(frame.ready);
    if (frame.rev) this.#follow(frame);
    if (frame.gone) delete this.seen[frame.channelId];
    this.#look();
  }

  end() {
    this.ended = true;
    this.#look();
  }

  // Takes in messages that came by a call.
  keep(messages) {
    for (const message of messages) {
      const channel = (this.#messages[message.channelId] ??= {});
      if (!(channel[message.seq]?.rev > message.rev)) channel[message.seq] = message;
    }
  }

  // The messages known of a channel, in their order.
  messages(channelId) {
    return Object.values(this.#messages[channelId] ?? {});
  }

  // Waits for a frame that passes `test`, from the `from`th frame on.
  async frame(what, test, { from = 0, ms = 8000 } = {}) {
    return this.until(what, () => this.frames.slice(from).find(test), ms);
  }

  // Waits until `test` gives something and returns that.
  until(what, test, ms = 8000) {
    return new Promise((found, fail) => {
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        const last = this.frames.slice(-8).map((frame) => JSON.stringify(frame).slice(0, 200));
        fail(new Error(`${what}: not within ${ms} ms. The last frames:\n${last.join("\n")}`));
      }, ms);
      const look = () => {
        const result = test();
        if (!result) return;
        clearTimeout(late);
        this.#waiting.delete(look);
        found(result);
      };
      this.#waiting.add(look);
      look();
    });
  }

  #look() {
    for (const look of this.#waiting) look();
  }

  // Heads of channels that are known already change nothing: what lies between comes as frames.
  #begin(ready) {
    this.epoch = ready.epoch;
    for (const head of ready.heads) this.seen[head.channelId] ??= head.rev;
  }

  #follow(frame) {
    const seen = this.seen[frame.channelId] ?? 0;
    if (frame.rev <= seen) return;
    if (frame.afterRev > seen) this.holes.push({ seen, ...frame });
    this.seen[frame.channelId] = frame.rev;
    if (frame.message) this.keep([frame.message]);
  }
}
