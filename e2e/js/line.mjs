// A line between a client and the hall that goes bad when it is told to: what a tunnel, a lift or a closed lid does.

import { createServer, connect } from "node:net";

export class Line {
  #server;
  #pairs = new Set();
  #isCut = false;
  #isDeaf = false;

  // A line to `address`, "127.0.0.1:8080". Clients go to `line.address`.
  static async to(address) {
    const line = new Line();
    const [host, port] = address.split(":");
    line.#server = createServer((client) => line.#join(client, connect({ host, port: Number(port), noDelay: true })));
    await new Promise((listening) => line.#server.listen(0, "127.0.0.1", listening));
    line.address = `127.0.0.1:${line.#server.address().port}`;
    return line;
  }

  // Ends every connection in the middle of whatever it says, and lets no new one through.
  cut() {
    this.#isCut = true;
    for (const [client, hall] of this.#pairs) {
      client.resetAndDestroy();
      hall.destroy();
    }
  }

  // Lets nothing of what the hall says through any more; the hall still hears the client.
  deafen() {
    this.#isDeaf = true;
  }

  mend() {
    this.#isCut = false;
    this.#isDeaf = false;
  }

  close() {
    this.cut();
    this.#server.close();
  }

  #join(client, hall) {
    client.on("error", () => hall.destroy());
    hall.on("error", () => client.destroy());
    if (this.#isCut) {
      client.resetAndDestroy();
      hall.destroy();
      return;
    }
    const pair = [client.setNoDelay(true), hall];
    this.#pairs.add(pair);
    client.on("close", () => this.#pairs.delete(pair));
    client.pipe(hall);
    hall.on("data", (bytes) => this.#isDeaf || client.write(bytes));
    hall.on("end", () => client.end());
  }
}
