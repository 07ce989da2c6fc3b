// Opens the gate.
"use strict";
const path = require("node:path");
const os = require("node:os");
const picket = require("./picket.js");
const { input, fail, saveState, setOutput } = require("./runner.js");

async function main() {
  const got = await picket.get({ binary: input("binary"), url: input("url"), sha256: input("sha256") });
  const state = path.join(process.env.RUNNER_TEMP || os.tmpdir(), "picket-ci");
  // A runner does one job at a time: a gate that is still open is of one that never closed it.
  const args = ["start", "--state", state, "--replace"];
  args.push("--without-evidence", input("without-evidence") || "fail");
  for (const name of ["baseline", "base-baseline"]) {
    if (input(name)) args.push(`--${name}`, input(name));
  }
  const code = picket.run(got, args);
  if (code !== 0) {
    throw new Error(`the gate did not open (exit code ${code}): see the log above`);
  }
  saveState("opened", JSON.stringify({ ...got, state }));
  setOutput("state", state);
}

main().catch(fail);
