// A talking holder of OpenClaw's session write lock. Reads lines: "at FILE" names the session file; "take MS" asks for
// its lock with that timeout and answers "held" or "refused <code>"; "drop" gives it back and answers "dropped";
// "count MS N" adds N to the number in the session file, each time under the lock, and answers "counted N".
import fs from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const installed = process.argv[2];
const resolve = createRequire(`${installed}/x.js`).resolve;
const sdk = await import(pathToFileURL(resolve("openclaw/plugin-sdk/agent-harness-runtime")));

const take = (timeoutMs) =>
  sdk.acquireSessionWriteLock({ sessionFile, timeoutMs, staleMs: 1800000, maxHoldMs: 300000 });
let sessionFile = null;
let held = null;

async function answer(word, first, count) {
  if (word === "at") {
    sessionFile = first;
    return "at";
  }
  if (word === "take") {
    held = await take(Number(first));
    return "held";
  }
  if (word === "drop") {
    await held.release();
    return "dropped";
  }
  for (let n = 0; n < Number(count); n += 1) {
    const lock = await take(Number(first));
    const value = Number(fs.readFileSync(sessionFile, "utf8"));
    await new Promise((done) => setTimeout(done, 1));
    fs.writeFileSync(sessionFile, String(value + 1));
    await lock.release();
  }
  return `counted ${count}`;
}

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(await answer(...line.split(" ")));
  } catch (error) {
    console.log(`refused ${error.code ?? error.message}`);
  }
}
process.exit(0);
