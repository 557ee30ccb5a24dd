// Somebody at a client: what is the same on every wire. Wires add `call` and `live`.

import { randomUUID } from "node:crypto";

export class Person {
  // Tokens of a client that keeps them itself; pages have cookies instead.
  tokens = {};

  constructor(name) {
    this.name = name;
  }

  // Registers or logs in.
  async signIn(rpc, request) {
    const answer = await this.call(rpc, request);
    this.tokens = { access: answer.accessToken, refresh: answer.refreshToken };
    return answer;
  }

  // Trades the refresh token for the next pair.
  async refresh() {
    await this.signIn("Refresh", { refreshToken: this.tokens.refresh });
  }

  async post(channelId, text, key = randomUUID()) {
    return (await this.call("PostMessage", { channelId, text, key })).message;
  }

  // By the feed where it goes both ways.
  async type(channelId, feed) {
    await (feed.say ? feed.say({ typing: { channelId } }) : this.call("SendTyping", { channelId }));
  }

  // Opens a feed anew that goes on where the last one ended.
  async comeBack({ wish, picture }) {
    picture.ended = false;
    return this.live({ ...wish, seen: picture.seen, epoch: picture.epoch }, picture);
  }
}
