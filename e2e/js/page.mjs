// What a page of the hall's own site does, with nothing but what its browser brings: fetch, EventSource, WebSocket. It is bundled
// into one script whose exports are `page`; browser.mjs calls them, and hears frames by the `tell` that it lends.

import { fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";

import { Connect } from "./connect.mjs";
import { ClientFrameSchema, ServerFrameSchema } from "./gen/guildhall/live/v1/frame_pb.js";
import { query, restOf } from "./rest.mjs";

// The newest CSRF token. The page stores nothing else of who it is: that is in cookies, which it cannot see.
let csrf;
const feeds = new Map();
const web = new Connect(location.origin, () => (csrf ? { "x-csrf-token": csrf } : {}));

// One call by "rest" or "grpc-web". What the hall refuses is an answer here: errors do not cross into browser.mjs whole.
export async function call(by, rpc, request) {
  try {
    const answer = by === "rest" ? await rest(rpc, request) : await web.call(rpc, request);
    csrf = answer.csrfToken ?? csrf;
    return { answer };
  } catch (error) {
    return { refused: { code: error.code, reason: error.reason, detail: error.message } };
  }
}

// A bare fetch: its status, and the problem if it is one.
export async function bare(path, options) {
  const response = await fetch(path, options);
  return { status: response.status, problem: response.ok ? undefined : await response.json() };
}

// The answer of a WebSocket that never opens: its close code.
export function knock(url) {
  return new Promise((closed) => {
    const socket = new WebSocket(url);
    socket.onclose = (event) => closed(event.code);
    socket.onopen = () => closed("open");
  });
}

// Opens a feed by `wire`; its frames are told under `id`.
export function live(wire, id, wish) {
  const tell = (frame) => window.tell(id, frame);
  const end = () => window.tell(id, null);
  feeds.set(id, OPEN[wire](wish, tell, end));
}

export function say(id, frame) {
  feeds.get(id).say(frame);
}

export function close(id) {
  feeds.get(id).close();
}

const OPEN = {
  EventSource(wish, tell, end) {
    const source = new EventSource(`/api/v1/live${query(wish, "subscribe.")}`);
    source.onmessage = (event) => tell(JSON.parse(event.data));
    // While it is to come back by itself the browser says CONNECTING.
    source.onerror = () => source.readyState === EventSource.CLOSED && end();
    return source;
  },

  WebSocket: (wish, tell, end) =>
    socket("guildhall.live.v1.json", wish, tell, end, { write: JSON.stringify, read: JSON.parse }),

  "binary WebSocket": (wish, tell, end) =>
    socket("guildhall.live.v1.proto", wish, tell, end, {
      write: (frame) => toBinary(ClientFrameSchema, fromJson(ClientFrameSchema, frame)),
      read: (bytes) =>
        toJson(ServerFrameSchema, fromBinary(ServerFrameSchema, new Uint8Array(bytes)), { alwaysEmitImplicit: true }),
    }),

  "grpc-web"(wish, tell, end) {
    const stop = new AbortController();
    web.watch(wish, tell, stop.signal).then(end, end);
    return { close: () => stop.abort() };
  },
};

function socket(protocol, wish, tell, end, { write, read }) {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/live`, protocol);
  socket.binaryType = "arraybuffer";
  let id = 0;
  const say = (frame) => socket.send(write({ id: (id += 1), ...frame }));
  socket.onopen = () => say({ hello: { subscribe: wish } });
  socket.onmessage = (event) => tell(read(event.data));
  socket.onclose = end;
  return { say, close: () => socket.close() };
}

async function rest(rpc, request) {
  const { method, path, body } = restOf(rpc, request);
  const headers = {};
  if (body) headers["content-type"] = "application/json";
  if (csrf && method !== "GET") headers["x-csrf-token"] = csrf;
  const response = await fetch(path, { method, headers, body });
  const answer = await response.json();
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.detail), { code: answer.code, reason: answer.reason?.split(".").pop() });
}
