// picket itself: got, verified, and run as root.
"use strict";
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const crypto = require("node:crypto");
const { spawnSync } = require("node:child_process");

// More is not picket.
const LARGEST = 256 << 20;

// What picket is told of the job. No variable that could hold a secret is among them.
const VARIABLES = [
  "CI", "GITHUB_ACTIONS", "GITHUB_ACTION", "GITHUB_ACTOR", "GITHUB_BASE_REF", "GITHUB_EVENT_NAME",
  "GITHUB_HEAD_REF", "GITHUB_JOB", "GITHUB_REF", "GITHUB_REPOSITORY", "GITHUB_RUN_ATTEMPT",
  "GITHUB_RUN_ID", "GITHUB_RUN_NUMBER", "GITHUB_SERVER_URL", "GITHUB_SHA", "GITHUB_STEP_SUMMARY",
  "GITHUB_WORKFLOW", "GITHUB_WORKSPACE", "RUNNER_TEMP",
];

const sha256 = (bytes) => crypto.createHash("sha256").update(bytes).digest("hex");

// The checksum that a file of this name must have, by checksums.txt: lines as sha256sum writes them.
function listed(name) {
  const text = fs.readFileSync(path.join(__dirname, "checksums.txt"), "utf8");
  const lines = text.split("\n").map((line) => line.match(/^([0-9a-f]{64}) [ *](\S+)$/));
  return lines.find((line) => line?.[2] === name)?.[1];
}

async function fetched(url) {
  if (new URL(url).protocol !== "https:") throw new Error(`${url}: expected https`);
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return Buffer.from(await answer.arrayBuffer());
}

// Gets picket and verifies it. Returns a copy that was written from the bytes that were verified,
// and its checksum.
async function get({ binary, url, sha256: wanted }) {
  if (!binary && !url) throw new Error("expected the input `binary` or `url`: where is picket?");
  const name = binary ? path.basename(binary) : path.basename(new URL(url).pathname);
  const expected = (wanted || listed(name) || "").toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(expected)) {
    throw new Error(`no SHA-256 of ${name} is known: give it in the input \`sha256\``);
  }
  const bytes = binary ? fs.readFileSync(binary) : await fetched(url);
  if (bytes.length > LARGEST) throw new Error(`${name} has ${bytes.length} bytes: that is not picket`);
  const found = sha256(bytes);
  if (found !== expected) {
    throw new Error(`${name} has the SHA-256 ${found}, expected ${expected}: it is not run`);
  }
  const dir = fs.mkdtempSync(path.join(process.env.RUNNER_TEMP || os.tmpdir(), "picket-"));
  const copy = path.join(dir, "picket");
  fs.writeFileSync(copy, bytes, { mode: 0o755, flag: "wx" });
  return { copy, checksum: found };
}

// Runs it as root. Its output is the step's.
function run({ copy, checksum }, args) {
  if (sha256(fs.readFileSync(copy)) !== checksum) {
    throw new Error(`${copy} was changed since it was verified: it is not run`);
  }
  const told = VARIABLES.filter((name) => process.env[name]).map((name) => `${name}=${process.env[name]}`);
  const words = ["env", ...told, copy, "ci", ...args];
  if (process.getuid() !== 0) words.unshift("sudo", "-n");
  const done = spawnSync(words[0], words.slice(1), { stdio: "inherit" });
  if (done.error) throw new Error(`cannot run picket: ${done.error.message}`);
  return done.status ?? 1;
}

module.exports = { get, run };
