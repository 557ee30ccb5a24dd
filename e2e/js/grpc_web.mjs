// @connectrpc/connect-web under Node: grpc-web over the transport that browsers use, calls and the Watch stream.
//
//   node grpc_web.mjs 127.0.0.1:8080

import { shows } from "./checks.mjs";
import { Connect } from "./connect.mjs";
import { Person } from "./person.mjs";
import { Picture } from "./picture.mjs";
import { story } from "./story.mjs";

class WebPerson extends Person {
  constructor(name, address) {
    super(name);
    const bearer = () => (this.tokens.access ? { authorization: `Bearer ${this.tokens.access}` } : {});
    this.hall = new Connect(`http://${address}`, bearer);
  }

  call(rpc, request) {
    return this.hall.call(rpc, request);
  }

  async live(wish, picture = new Picture()) {
    const stop = new AbortController();
    const end = () => picture.end();
    this.hall.watch(wish, (frame) => picture.apply(frame), stop.signal).then(end, end);
    return { wish, picture, close: () => stop.abort() };
  }
}

const hall = process.argv[2];
const client = { person: async (name, address) => new WebPerson(name, address) };
await shows("connect-web, Watch", (check) => story(client, hall, check));
process.exit();
