// grpc-web by @connectrpc/connect-web with generated stubs: the same file runs under Node and in the page of a browser.

import { fromJson, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { AccountService } from "./gen/guildhall/auth/v1/account_service_pb.js";
import { SessionService } from "./gen/guildhall/auth/v1/session_service_pb.js";
import { SpaceService } from "./gen/guildhall/auth/v1/space_service_pb.js";
import { ChannelService } from "./gen/guildhall/chat/v1/channel_service_pb.js";
import { MessageService } from "./gen/guildhall/chat/v1/message_service_pb.js";
import { ServerFrameSchema } from "./gen/guildhall/live/v1/frame_pb.js";
import { LiveService } from "./gen/guildhall/live/v1/live_service_pb.js";
import { StartService } from "./gen/guildhall/live/v1/start_service_pb.js";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { Refusal } from "./refusal.mjs";

const SERVICES = [
  AccountService,
  SessionService,
  SpaceService,
  ChannelService,
  MessageService,
  LiveService,
  StartService,
];
// As REST prints: fields without presence always.
const PRINTED = { alwaysEmitImplicit: true };

export class Connect {
  #rpcs = {};
  #live;

  // `headers()` gives what goes along with every call.
  constructor(baseUrl, headers) {
    const add = (next) => (request) => {
      for (const [name, value] of Object.entries(headers())) request.header.set(name, value);
      return next(request);
    };
    const transport = createGrpcWebTransport({ baseUrl, interceptors: [add] });
    for (const service of SERVICES) {
      const client = createClient(service, transport);
      for (const method of service.methods) this.#rpcs[method.name] = { client, method };
    }
    this.#live = createClient(LiveService, transport);
  }

  // One call, proto JSON in and out.
  async call(rpc, request) {
    const { client, method } = this.#rpcs[rpc];
    try {
      const answer = await client[method.localName](fromJson(method.input, request));
      return toJson(method.output, answer, PRINTED);
    } catch (error) {
      throw refusal(error);
    }
  }

  // Reads the live feed until it ends, frame by frame.
  async watch(subscribe, tell, signal) {
    const request = fromJson(LiveService.method.watch.input, { subscribe });
    for await (const { frame } of this.#live.watch(request, { signal })) {
      tell(toJson(ServerFrameSchema, frame, PRINTED));
    }
  }
}

function refusal(error) {
  const { code, rawMessage, findDetails } = ConnectError.from(error);
  const name = Code[code].replace(/(?<=.)(?=[A-Z])/g, "_").toUpperCase();
  const info = findDetails.call(error, ErrorInfoSchema)[0];
  return new Refusal(name, info?.reason, rawMessage);
}
