// A call that the hall refused, as every wire tells it.

export class Refusal extends Error {
  // `code` as gRPC names it, "NOT_FOUND"; `reason` as guildhall.error.v1 does, "REASON_NOT_FOUND".
  constructor(code, reason, detail) {
    super(`${code} ${reason}: ${detail}`);
    Object.assign(this, { code, reason });
  }
}
