// Chromium: two people in a browser context each, on pages of the hall's own site, signed in by cookies. The story is told for
// each way in which a page may hear the hall.
//
//   node browser.mjs 127.0.0.1:8080 /usr/bin/chromium

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

import { shows } from "./checks.mjs";
import { Person } from "./person.mjs";
import { Picture } from "./picture.mjs";
import { Refusal } from "./refusal.mjs";
import { story } from "./story.mjs";

const [hall, executablePath] = process.argv.slice(2);
const QUIET = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // The sandbox needs rights that a container and root do not have; the only pages here are the hall's.
  "--no-sandbox",
];
const WAYS = [
  { calls: "rest", live: "EventSource" },
  { calls: "rest", live: "WebSocket" },
  { calls: "rest", live: "binary WebSocket" },
  { calls: "grpc-web", live: "grpc-web" },
];

class PagePerson extends Person {
  #feeds = [];

  // Opens the page of the API in a browser context, cookie jar and all, of its own.
  static async open(browser, script, way, name, address) {
    const person = new PagePerson(name);
    person.way = way;
    person.context = await browser.newContext();
    await person.context.exposeBinding("tell", (_, id, frame) => person.#hear(id, frame));
    await person.context.addInitScript(script);
    person.page = await person.visit(address);
    return person;
  }

  async visit(address) {
    const page = await this.context.newPage();
    // The one page of the hall so far that may call: the front page has no script at all.
    await page.goto(`http://${address}/docs`);
    return page;
  }

  signIn(rpc, request) {
    return this.call(rpc, { ...request, cookie: true });
  }

  // The token is in a cookie that the browser sends to /api/v1/auth only: no other wire gets it.
  refresh() {
    return this.call("Refresh", {}, "rest");
  }

  async call(rpc, request, by = this.way.calls) {
    const { answer, refused } = await this.run("call", by, rpc, request);
    if (refused) throw new Refusal(refused.code, refused.reason, refused.detail);
    return answer;
  }

  async live(wish, picture = new Picture()) {
    const id = this.#feeds.push(picture) - 1;
    await this.run("live", this.way.live, id, wish);
    const goesBothWays = this.way.live.endsWith("WebSocket");
    const say = goesBothWays ? (frame) => this.run("say", id, frame) : undefined;
    return { id, wish, picture, say, close: () => this.run("close", id) };
  }

  // An EventSource comes back by itself, with the id of the last event that it got.
  async comeBack(feed) {
    return this.way.live === "EventSource" ? feed : super.comeBack(feed);
  }

  leave() {
    return this.context.close();
  }

  // Calls an export of page.mjs.
  run(name, ...given) {
    return this.page.evaluate(([name, given]) => page[name](...given), [name, given]);
  }

  #hear(id, frame) {
    if (frame) this.#feeds[id].apply(frame);
    else this.#feeds[id].end();
  }
}

// What only a browser can show, told when two people are there and signed in.
async function cookies({ alice, bob, check }) {
  await check("cookies are there, and no script sees them", async () => {
    const jar = await bob.context.cookies();
    const flags = ({ name, path, httpOnly, secure, sameSite }) => ({ name, path, httpOnly, secure, sameSite });
    const kept = { httpOnly: true, secure: true, sameSite: "Strict" };
    assert.deepEqual(jar.map(flags).sort((a, b) => (a.name < b.name ? -1 : 1)), [
      { name: "__Host-guildhall-access", path: "/", ...kept },
      { name: "__Secure-guildhall-refresh", path: "/api/v1/auth", ...kept },
    ]);
    assert.equal(await bob.page.evaluate(() => document.cookie), "");
    assert.equal(await bob.page.evaluate(() => Object.keys({ ...localStorage, ...sessionStorage }).length), 0);
  });
  await check("a post without the CSRF token is refused", async () => {
    const headers = { "content-type": "application/json" };
    for (const more of [{}, { "x-csrf-token": "made-up" }]) {
      const options = { method: "POST", headers: { ...headers, ...more }, body: JSON.stringify({ userIds: [alice.id] }) };
      const { status, problem } = await bob.run("bare", "/api/v1/channels/direct", options);
      assert.equal(status, 403);
      assert.match(problem.reason, /REASON_CSRF$/);
    }
  });
  await check("a page of another site gets neither answers nor a socket", async () => {
    const hall = new URL(bob.page.url()).host;
    // Another site by its name; what answers there is the same hall, whose own policy would not let its pages try.
    const elsewhere = await bob.context.browser().newContext({ bypassCSP: true });
    await elsewhere.addInitScript(script);
    const other = await elsewhere.newPage();
    const site = hall.replace(/.*:/, "localhost:");
    await other.goto(`http://${site}/docs`);
    const knock = (where) => other.evaluate((url) => page.knock(url), `ws://${where}/live`);
    assert.equal(await knock(site), "open");
    assert.equal(await knock(hall), 1006);
    const ask = (where) =>
      other.evaluate((url) => fetch(url).then(() => "answered", () => "kept from it"), `http://${where}/openapi.json`);
    assert.equal(await ask(site), "answered");
    assert.equal(await ask(hall), "kept from it");
    await elsewhere.close();
  });
}

// A page that was away for longer than the gateway remembers loads what it lacks: a new EventSource has no last event id.
async function aNewPage({ bob, places, feeds, line, alice, check }) {
  await check("a page opened anew catches up by the list of changes", async () => {
    line.cut();
    await feeds.bob.close();
    for (const text of ["one", "two", "three"]) await alice.post(places.general.id, text);
    line.mend();
    const { picture } = feeds.bob;
    const from = picture.frames.length;
    feeds.bob = await bob.live(feeds.bob.wish, picture);
    const { ready } = await picture.frame("ready", (frame) => frame.ready, { from });
    for (const { channelId, rev } of ready.heads) {
      while (picture.seen[channelId] < rev) {
        const request = { channelId, afterRev: picture.seen[channelId], epoch: ready.epoch, limit: 2 };
        const { messages, throughRev } = await bob.call("ListChanges", request);
        picture.keep(messages);
        picture.seen[channelId] = throughRev;
      }
    }
    assert.deepEqual(picture.messages(places.general.id).slice(-3).map((message) => message.text), ["one", "two", "three"]);
    const posted = await alice.post(places.general.id, "four");
    await picture.frame("live again", (frame) => frame.message?.id === posted.id, { from });
    assert.deepEqual(picture.holes, []);
  });
}

const folder = dirname(fileURLToPath(import.meta.url));
const bundle = await build({
  entryPoints: [join(folder, "page.mjs")],
  bundle: true,
  format: "iife",
  globalName: "page",
  write: false,
});
const script = `${bundle.outputFiles[0].text}; window.page = page;`;
const browser = await chromium.launch({ executablePath, args: QUIET, headless: true });
await Promise.all(
  WAYS.map((way) => {
    const client = { person: (name, address) => PagePerson.open(browser, script, way, name, address) };
    client.further = async (parts) => {
      await cookies(parts);
      if (way.live === "EventSource") await aNewPage(parts);
    };
    return shows(`Chromium, ${way.calls === "rest" ? "REST and " : ""}${way.live}`, (check) => story(client, hall, check));
  }),
);
await browser.close();
process.exit();
