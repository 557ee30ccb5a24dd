// @grpc/grpc-js: gRPC over HTTP/2 without TLS, stubs by proto-loader, calls and the Open stream.
//
//   node grpc_js.mjs 127.0.0.1:8080 PROTO_FOLDER

import { join } from "node:path";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

import { shows } from "./checks.mjs";
import { Person } from "./person.mjs";
import { Picture } from "./picture.mjs";
import { Refusal } from "./refusal.mjs";
import { story } from "./story.mjs";

const [hall, proto] = process.argv.slice(2);
const FILES = [
  "guildhall/auth/v1/account_service.proto",
  "guildhall/auth/v1/session_service.proto",
  "guildhall/auth/v1/space_service.proto",
  "guildhall/chat/v1/channel_service.proto",
  "guildhall/chat/v1/message_service.proto",
  "guildhall/live/v1/live_service.proto",
  "guildhall/live/v1/start_service.proto",
  "google/rpc/status.proto",
  "google/rpc/error_details.proto",
];
const loaded = loadSync(FILES, {
  includeDirs: [proto, join(proto, "third_party")],
  enums: String,
  longs: Number,
  defaults: true,
  oneofs: true,
});
const SERVICES = Object.entries(loaded).filter(([name, entry]) => /^guildhall\..*Service$/.test(name) && !entry.format);
// A phone that comes out of a tunnel does not wait long either.
const OPTIONS = { "grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 500 };

class GrpcPerson extends Person {
  #rpcs = {};

  constructor(name, address) {
    super(name);
    const insecure = grpc.credentials.createInsecure();
    for (const [service, definition] of SERVICES) {
      const client = new (grpc.makeGenericClientConstructor(definition, service))(address, insecure, OPTIONS);
      for (const method of Object.keys(definition)) this.#rpcs[method] = client[method].bind(client);
    }
  }

  call(rpc, request) {
    const options = { deadline: Date.now() + 10_000 };
    return new Promise((answered, refused) => {
      this.#rpcs[rpc](request, this.#metadata(), options, (error, answer) =>
        error ? refused(refusal(error)) : answered(answer),
      );
    });
  }

  async live(wish, picture = new Picture()) {
    const stream = this.#rpcs.Open(this.#metadata());
    stream.on("data", ({ frame }) => picture.apply(frame));
    stream.on("error", () => picture.end());
    stream.on("end", () => picture.end());
    let id = 0;
    const say = (body) => stream.write({ frame: { id: (id += 1), ...body } });
    say({ hello: { subscribe: wish } });
    return { wish, picture, say, close: () => stream.cancel() };
  }

  #metadata() {
    const metadata = new grpc.Metadata({ waitForReady: true });
    if (this.tokens.access) metadata.set("authorization", `Bearer ${this.tokens.access}`);
    return metadata;
  }
}

function refusal(error) {
  const [details] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const infos = details ? loaded["google.rpc.Status"].deserialize(details).details : [];
  const info = infos.find((any) => any.type_url.endsWith("google.rpc.ErrorInfo"));
  const reason = info && loaded["google.rpc.ErrorInfo"].deserialize(info.value).reason;
  return new Refusal(grpc.status[error.code], reason, error.details);
}

const client = { person: async (name, address) => new GrpcPerson(name, address) };
await shows("grpc-js, Open", (check) => story(client, hall, check));
process.exit();
