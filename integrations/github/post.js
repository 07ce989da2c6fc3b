// Closes the gate, and fails the job if picket says so.
"use strict";
const picket = require("./picket.js");
const { input, fail, state } = require("./runner.js");

function post() {
  // It did not open: main has said why, and has failed.
  if (!state("opened")) return;
  const opened = JSON.parse(state("opened"));
  const args = ["stop", "--state", opened.state];
  args.push("--fail-on", input("fail-on") || "high");
  args.push("--without-evidence", input("without-evidence") || "fail");
  for (const name of ["write-baseline", "records"]) {
    if (input(name)) args.push(`--${name}`, input(name));
  }
  process.exitCode = picket.run(opened, args);
}

try {
  post();
} catch (error) {
  fail(error);
}
