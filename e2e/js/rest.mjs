// Which rpc is which call of REST, under /api/v1. The rest of a request goes into the body, or into the query of a GET.

const CALLS = {
  Register: "POST /auth/register",
  Login: "POST /auth/login",
  Refresh: "POST /auth/refresh",
  Logout: "POST /auth/logout",
  Start: "POST /auth/start",
  GetMe: "GET /auth/me",
  CreateSpace: "POST /spaces",
  RemoveMember: "DELETE /spaces/{spaceId}/members/{userId}",
  CreateChannel: "POST /spaces/{spaceId}/channels",
  OpenDirect: "POST /channels/direct",
  ListChannels: "GET /channels",
  MarkRead: "PUT /channels/{channelId}/read",
  PostMessage: "POST /channels/{channelId}/messages",
  ListMessages: "GET /channels/{channelId}/messages",
  ListChanges: "GET /channels/{channelId}/changes",
  EditMessage: "PATCH /channels/{channelId}/messages/{messageId}",
  DeleteMessage: "DELETE /channels/{channelId}/messages/{messageId}",
  SendTyping: "POST /channels/{channelId}/typing",
};

// The method, path and body of a call.
export function restOf(rpc, request) {
  const [method, template] = CALLS[rpc].split(" ");
  const rest = { ...request };
  const path = template.replace(/\{(\w+)\}/g, (_, field) => {
    const value = encodeURIComponent(rest[field]);
    delete rest[field];
    return value;
  });
  const bare = method === "GET" || method === "DELETE";
  return { method, path: `/api/v1${path}${bare ? query(rest) : ""}`, body: bare ? undefined : JSON.stringify(rest) };
}

// Fields as a query: repeated ones by repeated keys, nested ones by `prefix`.
export function query(fields, prefix = "") {
  const pairs = Object.entries(fields).flatMap(([field, value]) => [value].flat().map((one) => [prefix + field, one]));
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}
