// The story that every client tells: two people sign up, talk, see each other live, lose the line and catch up.
//
// It knows no wire. A client gives it people who can `call(rpc, request)`, proto JSON in and out, and `live(wish, known)`, which
// answers with a feed: its `picture`, `close()`, and `say(frame)` where the wire goes both ways.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { refused } from "./checks.mjs";
import { Line } from "./line.mjs";

const PASSWORD = "a bench by the river, 1926";
// The hall shows somebody as offline 10 s after the last stream ended.
const LEAVING = 20_000;

// Tells it. `client.person(name, address)` makes somebody who is not signed in, at the hall or at a line to it.
export async function story(client, hall, check) {
  const line = await Line.to(hall);
  const alice = await client.person("alice", hall);
  const bob = await client.person("bob", line.address);
  try {
    await signUp(alice, bob, check);
    const places = await gather(alice, bob, check);
    const feeds = await goLive(alice, bob, places, check);
    await talk(alice, bob, places, feeds, check);
    await loseAnAnswer(alice, bob, places, feeds, line, check);
    await loseTheLine(alice, bob, places, feeds, line, check);
    await client.further?.({ alice, bob, places, feeds, line, check });
    await part(alice, bob, places, feeds, check);
  } finally {
    await alice.leave?.();
    await bob.leave?.();
    line.close();
  }
}

async function signUp(alice, bob, check) {
  const tag = randomUUID().slice(0, 8);
  const form = (name) => ({
    username: `${name}-${tag}`,
    email: `${name}-${tag}@example.org`,
    password: PASSWORD,
    displayName: name,
  });

  await check("two people register", async () => {
    for (const person of [alice, bob]) {
      const { account } = await person.signIn("Register", form(person.name));
      person.id = account.user.id;
      assert.equal(account.user.username, `${person.name}-${tag}`);
      assert.equal(account.email, `${person.name}-${tag}@example.org`);
    }
  });
  await check("a taken username is named", async () => {
    const again = { ...form("alice"), email: `other-${tag}@example.org` };
    await refused(bob.call("Register", again), "ALREADY_EXISTS", "REASON_USERNAME_TAKEN");
  });
  await check("bob signs in again and refreshes", async () => {
    await bob.signIn("Login", { username: `BOB-${tag}`, password: PASSWORD });
    await bob.refresh();
    const { account } = await bob.call("GetMe", {});
    assert.equal(account.user.id, bob.id);
  });
}

async function gather(alice, bob, check) {
  const direct = await check("a direct conversation is the same whoever opens it", async () => {
    const { channel } = await alice.call("OpenDirect", { userIds: [bob.id] });
    const again = await bob.call("OpenDirect", { userIds: [alice.id] });
    assert.equal(again.channel.id, channel.id);
    assert.equal(channel.kind, "CHANNEL_KIND_DIRECT");
    return channel;
  });
  const [space, general, plans] = await check("alice makes a team with two channels, bob finds them", async () => {
    const team = { kind: "SPACE_KIND_TEAM", name: "Bridge builders", memberIds: [bob.id], key: randomUUID() };
    const { space } = await alice.call("CreateSpace", team);
    assert.equal(space.myRole, "SPACE_ROLE_OWNER");
    const make = async (name) =>
      (await alice.call("CreateChannel", { spaceId: space.id, name, key: randomUUID() })).channel;
    const made = [await make("general"), await make("plans")];

    const { channels } = await bob.call("ListChannels", {});
    const found = channels.map((state) => state.channel.id).sort();
    assert.deepEqual(found, [direct, ...made].map((channel) => channel.id).sort());
    return [space, ...made];
  });
  return { direct, space, general, plans };
}

async function goLive(alice, bob, { direct, general, plans }, check) {
  const wish = (other) => ({ typingChannelIds: [general.id], presenceUserIds: [other.id] });

  return check("both go live; alice sees bob come", async () => {
    const feeds = { alice: await alice.live(wish(bob)) };
    await feeds.alice.picture.frame("alice is told that bob is not there", presence(bob, "OFFLINE"));
    feeds.bob = await bob.live(wish(alice));
    for (const { picture } of [feeds.alice, feeds.bob]) {
      const { ready } = await picture.frame("ready", (frame) => frame.ready);
      const heads = ready.heads.map((head) => head.channelId).sort();
      assert.deepEqual(heads, [direct.id, general.id, plans.id].sort());
      assert.ok(ready.epoch);
    }
    await feeds.alice.picture.frame("alice sees bob", presence(bob, "ONLINE"));
    await feeds.bob.picture.frame("bob sees alice", presence(alice, "ONLINE"));
    return feeds;
  });
}

async function talk(alice, bob, { direct, general }, feeds, check) {
  const first = await check("each sees what the other posts", async () => {
    const messages = [];
    for (const [from, to, channel, text] of [
      [alice, feeds.bob, direct, "Bob, are you there?"],
      [bob, feeds.alice, direct, "I am. 👋 Ça va, Αλίκη?"],
      [alice, feeds.bob, general, "Good morning, everybody"],
      [bob, feeds.alice, general, "Good morning"],
    ]) {
      const posted = await from.post(channel.id, text);
      const { message } = await to.picture.frame(`"${text}"`, of(posted));
      assert.deepEqual(message, posted);
      messages.push(posted);
    }
    return messages[2];
  });
  await check("edits and deletions are seen", async () => {
    const at = { channelId: general.id, messageId: first.id };
    const { message: edited } = await alice.call("EditMessage", { ...at, text: "Good morning, you two" });
    const seen = await feeds.bob.picture.frame("the edit", of(edited));
    assert.equal(seen.message.text, "Good morning, you two");
    assert.ok(seen.message.editedAt && seen.rev > first.rev);

    await refused(bob.call("EditMessage", { ...at, text: "Good night" }), "PERMISSION_DENIED", "REASON_NOT_AUTHOR");
    await alice.call("DeleteMessage", at);
    const { message } = await feeds.bob.picture.frame("the tombstone", (frame) => frame.message?.deletedAt);
    assert.equal(message.id, first.id);
    assert.equal(message.text, "");
  });
  await check("bob reads, alice sees how far", async () => {
    const posted = await alice.post(general.id, "Who brings the rope?");
    const state = async () =>
      (await bob.call("ListChannels", {})).channels.find((state) => state.channel.id === general.id);
    assert.equal((await state()).unreadCount, 1);
    await bob.call("MarkRead", { channelId: general.id, messageId: posted.id });
    assert.equal((await state()).unreadCount, 0);
    const read = (frame) => frame.readMoved?.userId === bob.id && frame.readMoved.toSeq === posted.seq;
    await feeds.alice.picture.frame("bob's read mark", read);
  });
  await check("alice sees bob type", async () => {
    await bob.type(general.id, feeds.bob);
    const types = (frame) => frame.typing?.userId === bob.id && frame.typing.channelId === general.id;
    await feeds.alice.picture.frame("typing", types);
  });
  if (!feeds.bob.say) return;
  await check("alice sees bob go away and come back", async () => {
    for (const state of ["AWAY", "ONLINE"]) {
      const from = feeds.alice.picture.frames.length;
      await feeds.bob.say({ presence: { state: `PRESENCE_STATE_${state}` } });
      await feeds.alice.picture.frame(state, presence(bob, state), { from });
    }
  });
}

async function loseAnAnswer(alice, bob, { direct }, feeds, line, check) {
  await check("a post whose answer is lost stands once when it is repeated", async () => {
    const key = randomUUID();
    const post = () => bob.call("PostMessage", { channelId: direct.id, text: "Did you get this?", key });
    line.deafen();
    const first = post().catch((error) => error);
    const { message } = await feeds.alice.picture.frame("bob's post", (frame) => frame.message?.key === key);
    line.cut();
    line.mend();
    await first;
    const repeated = (await insist(post)).message;
    assert.equal(repeated.id, message.id);
    await catchUp(bob, feeds, "after a lost answer");
    assert.equal(feeds.bob.picture.messages(direct.id).filter((message) => message.key === key).length, 1);
  });
}

async function loseTheLine(alice, bob, places, feeds, line, check) {
  const { direct, space, general, plans } = places;

  await check("bob loses the line; alice posts, edits, deletes, makes a channel", async () => {
    line.cut();
    const posted = [];
    for (let count = 0; count < 30; count += 1) {
      posted.push(await alice.post(count % 3 ? general.id : direct.id, `while you were away, ${count}`));
    }
    for (const { channelId, id } of posted.slice(0, 3)) {
      await alice.call("EditMessage", { channelId, messageId: id, text: "never mind" });
    }
    for (const { channelId, id } of posted.slice(2, 6)) await alice.call("DeleteMessage", { channelId, messageId: id });
    const late = { spaceId: space.id, name: "late", key: randomUUID() };
    places.late = (await alice.call("CreateChannel", late)).channel;
    await alice.post(places.late.id, "made while bob was away");
  });
  await check("bob comes back and lacks nothing", async () => {
    line.mend();
    await catchUp(bob, feeds, "after the line was cut");
    const { picture } = feeds.bob;
    assert.ok(places.late.id in picture.seen, "the channel made meanwhile is in no Ready");
    for (const channel of [direct, general, plans, places.late]) await agrees(bob, channel, picture);
    assert.deepEqual(picture.holes, []);
  });
  await check("and goes on live", async () => {
    const posted = await alice.post(places.late.id, "Welcome back");
    await feeds.bob.picture.frame("the post", of(posted));
    const key = randomUUID();
    const answer = await insist(() => bob.post(general.id, "Thanks", key));
    await feeds.alice.picture.frame("the answer", of(answer));
    await agrees(alice, general, feeds.alice.picture);
  });
  await check("opening the app tells the same in one trip", async () => {
    const start = await bob.call("Start", { channelId: general.id });
    assert.equal(start.account.user.id, bob.id);
    assert.equal(start.channels.length, 4);
    assert.deepEqual(start.history.messages, feeds.bob.picture.messages(general.id).slice(-50));
    assert.deepEqual(start.users.map((user) => user.id).sort(), [alice.id, bob.id].sort());
    const states = start.presence.map((presence) => presence.state);
    assert.deepEqual(states, ["PRESENCE_STATE_ONLINE", "PRESENCE_STATE_ONLINE"]);
  });
}

async function part(alice, bob, { space, general, direct }, feeds, check) {
  await check("who is removed from the team hears and reads no more of it", async () => {
    await alice.call("RemoveMember", { spaceId: space.id, userId: bob.id });
    await feeds.bob.picture.frame("gone", (frame) => frame.gone && frame.channelId === general.id);
    const from = feeds.bob.picture.frames.length;
    await alice.post(general.id, "Just us now");
    const posted = await alice.post(direct.id, "Still here?");
    await feeds.bob.picture.frame("what is still bob's", of(posted));
    assert.deepEqual(feeds.bob.picture.frames.slice(from).filter((frame) => frame.channelId === general.id && frame.message), []);
    await refused(bob.call("ListMessages", { channelId: general.id }), "NOT_FOUND", "REASON_NOT_FOUND");
  });
  await check("alice sees bob leave", async () => {
    const from = feeds.alice.picture.frames.length;
    await feeds.bob.close();
    await feeds.alice.picture.frame("offline", presence(bob, "OFFLINE"), { from, ms: LEAVING });
  });
  await check("signing out ends the stream and the session", async () => {
    await alice.call("Logout", {});
    await feeds.alice.picture.until("the end of the stream", () => feeds.alice.picture.ended);
    await refused(alice.call("GetMe", {}), "UNAUTHENTICATED", "REASON_SESSION_ENDED", "REASON_TOKEN_MISSING");
  });
}

// Comes back with what is known, and waits until everything has come that the heads promise. A channel that is new is loaded.
async function catchUp(bob, feeds, when) {
  const before = feeds.bob.picture;
  const from = before.frames.length;
  const known = new Set(Object.keys(before.seen));
  feeds.bob = await insist(() => bob.comeBack(feeds.bob));
  const { picture } = feeds.bob;
  const { ready } = await picture.frame(`ready ${when}`, (frame) => frame.ready, { from, ms: 15_000 });
  for (const { channelId, rev } of ready.heads) {
    if (!known.has(channelId)) picture.keep((await bob.call("ListMessages", { channelId, limit: 100 })).messages);
    await picture.until(`change ${rev} of ${channelId} ${when}`, () => picture.seen[channelId] >= rev);
  }
}

// The picture holds what the hall stores, without a gap.
async function agrees(person, channel, picture) {
  const { messages, hasOlder } = await person.call("ListMessages", { channelId: channel.id, limit: 100 });
  assert.equal(hasOlder, false);
  assert.deepEqual(messages.map((message) => message.seq), messages.map((_, at) => at + 1));
  assert.deepEqual(picture.messages(channel.id), messages, channel.name);
}

// A line that was just mended may refuse for a moment.
export async function insist(act) {
  for (let left = 20; ; left -= 1) {
    try {
      return await act();
    } catch (error) {
      if (!left) throw error;
      await new Promise((later) => setTimeout(later, 250));
    }
  }
}

const presence = (person, state) => (frame) =>
  frame.presence?.userId === person.id && frame.presence.state === `PRESENCE_STATE_${state}`;

const of = (posted) => (frame) => frame.message?.id === posted.id && frame.rev === posted.rev;
