// Says what was seen, one line a check, in the form that e2e/run counts.

import assert from "node:assert/strict";

// Tells the story of one wire: `tell(check)` is to call `check(sentence, act)` for each thing that it shows. What fails ends
// this story, not the others.
export async function shows(wire, tell) {
  const began = Date.now();
  try {
    await tell(async (sentence, act) => {
      try {
        const result = await act();
        console.log(`ok    ${wire}: ${sentence}`);
        return result;
      } catch (error) {
        console.log(`FAIL  ${wire}: ${sentence}`);
        throw error;
      }
    });
    console.log(`told  ${wire}, ${((Date.now() - began) / 1000).toFixed(1)} s`);
  } catch (error) {
    console.log(String(error.stack ?? error).replace(/^/gm, "      "));
    process.exitCode = 1;
  }
}

// Wants `call` to be refused with this code and, where given, one of these reasons.
export async function refused(call, code, ...reasons) {
  const answer = await call.then(
    (answer) => assert.fail(`expected ${code}, was answered ${JSON.stringify(answer)}`),
    (refusal) => refusal,
  );
  assert.equal(answer.code, code, answer.stack);
  if (reasons.length) assert.ok(reasons.includes(answer.reason), answer.message);
}
