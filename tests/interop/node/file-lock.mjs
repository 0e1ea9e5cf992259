// OpenClaw's public file lock, with the options of its auth store (docs/formats.md 3).
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const installed = process.argv[2];
const resolve = createRequire(`${installed}/x.js`).resolve;

export const { withFileLock } = await import(pathToFileURL(resolve("openclaw/plugin-sdk/file-lock")));
export const words = process.argv.slice(3);
export const PATIENT = {
  retries: { retries: 10, factor: 2, minTimeout: 100, maxTimeout: 10000, randomize: true },
  stale: 30000,
};
export const HURRIED = {
  retries: { retries: 3, factor: 1, minTimeout: 50, maxTimeout: 50, randomize: false },
  stale: 30000,
};
