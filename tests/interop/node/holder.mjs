// A talking lock holder. Reads lines: "take" and "try" ask for the lock (patiently, hurriedly) and answer "held" or
// "refused <code>"; "drop" gives it back and answers "dropped".
import { createInterface } from "node:readline";
import { HURRIED, PATIENT, withFileLock, words } from "./file-lock.mjs";

const [path] = words;
let drop = null;
let finished = null;

async function take(options) {
  await new Promise((answered) => {
    finished = withFileLock(path, options, () => {
      console.log("held");
      answered();
      return new Promise((release) => (drop = release));
    }).catch((error) => {
      console.log(`refused ${error.code ?? error.message}`);
      answered();
    });
  });
}

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "drop") {
    drop();
    await finished;
    console.log("dropped");
  } else {
    await take(line === "try" ? HURRIED : PATIENT);
  }
}
