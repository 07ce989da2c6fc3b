// What the runner gives an action, and what it takes from it, without any package.
"use strict";
const fs = require("node:fs");
const crypto = require("node:crypto");

// An input of action.yml.
function input(name) {
  return (process.env[`INPUT_${name.toUpperCase()}`] ?? "").trim();
}

// Appends a value to a file of the runner's. The end mark is new each time, so that no value holds it.
function tell(file, name, value) {
  const path = process.env[file];
  if (!path) throw new Error(`the runner has not set ${file}`);
  const end = `picket_${crypto.randomUUID()}`;
  fs.appendFileSync(path, `${name}<<${end}\n${value}\n${end}\n`);
}

// For a command to the runner: a line break would begin another one.
function escape(text) {
  return String(text).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
}

// Fails the step, and says why.
function fail(error) {
  process.stdout.write(`::error title=picket::${escape(error.message ?? error)}\n`);
  process.exitCode = 1;
}

module.exports = {
  input,
  fail,
  saveState: (name, value) => tell("GITHUB_STATE", name, value),
  setOutput: (name, value) => tell("GITHUB_OUTPUT", name, value),
  state: (name) => process.env[`STATE_${name}`] ?? "",
};
