// Counts up one profile's errorCount in OpenClaw's auth state, as another Node process with the database open does.
import { createRequire } from "node:module";

const [, , , path, table, keyColumn, key, valueColumn, timeColumn, profile, times] = process.argv;
const { DatabaseSync } = createRequire(import.meta.url)("node:sqlite");
const db = new DatabaseSync(path);
db.exec("PRAGMA busy_timeout=30000");
for (let done = 0; done < Number(times); done += 1) {
  db.exec("BEGIN IMMEDIATE");
  const row = db.prepare(`SELECT ${valueColumn} AS value FROM ${table} WHERE ${keyColumn}=?`).get(key);
  const state = row ? JSON.parse(row.value) : { version: 1 };
  state.usageStats ??= {};
  const entry = (state.usageStats[profile] ??= {});
  entry.errorCount = (entry.errorCount ?? 0) + 1;
  db.prepare(
    `INSERT INTO ${table}(${keyColumn},${valueColumn},${timeColumn}) VALUES(?,?,?) ON CONFLICT(${keyColumn}) ` +
      `DO UPDATE SET ${valueColumn}=excluded.${valueColumn},${timeColumn}=excluded.${timeColumn}`,
  ).run(key, JSON.stringify(state), Date.now());
  db.exec("COMMIT");
}
db.close();
console.log("done");
