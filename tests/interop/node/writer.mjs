// Counts up one profile's errorCount under OpenClaw's lock, as OpenClaw writes its state: temp file, rename.
// Words: state file, lock path, profile, updates (0: until standard input ends), ms of work under the lock, fsync.
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { dirname } from "node:path";
import { PATIENT, withFileLock, words } from "./file-lock.mjs";

const [state, lock, profile, updates, workMs, fsync] = words;

async function update() {
  const value = JSON.parse(fs.readFileSync(state, "utf8"));
  value.usageStats ??= {};
  const entry = (value.usageStats[profile] ??= {});
  entry.errorCount = (entry.errorCount ?? 0) + 1;
  if (Number(workMs)) await new Promise((done) => setTimeout(done, Number(workMs)));
  const temporary = `${state}.${randomUUID()}.tmp`;
  const file = fs.openSync(temporary, "wx", 0o600);
  fs.writeSync(file, `${JSON.stringify(value, null, 2)}\n`);
  if (Number(fsync)) fs.fsyncSync(file);
  fs.closeSync(file);
  fs.renameSync(temporary, state);
  if (Number(fsync)) {
    const directory = fs.openSync(dirname(state), "r");
    fs.fsyncSync(directory);
    fs.closeSync(directory);
  }
}

let done = 0;
let failed = 0;
let longestMs = 0;
let ended = false;

console.log("ready");
await new Promise((go) => process.stdin.once("data", go));
process.stdin.on("end", () => (ended = true));
const began = performance.now();
while (Number(updates) ? done + failed < Number(updates) : !ended) {
  const asked = performance.now();
  try {
    await withFileLock(lock, PATIENT, async () => {
      longestMs = Math.max(longestMs, performance.now() - asked);
      await update();
    });
    done += 1;
  } catch {
    failed += 1;
  }
}
console.log(JSON.stringify({ done, failed, longestMs, seconds: (performance.now() - began) / 1000 }));
process.exit(0);
