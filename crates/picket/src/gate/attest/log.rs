//! What was seen: processes, listeners, files.

use std::collections::HashSet;

use event::{Detection, Peer, ProcessKey};
use serde_json::{Value, json};

use super::super::bounded::fit;
use super::super::report::{Found, Report};
use super::super::verdict::Verdict;
use crate::escape::uri;

/// The log, and of how many detections it tells: as many as there is room for.
pub(super) fn log(report: &Report, command: &[String]) -> (Value, usize) {
    let code = match report.verdict {
        Verdict::CommandFailed(code) => code,
        _ => 0,
    };
    let mut processes = Vec::new();
    if let Some(program) = command.first() {
        processes.push(json!({
            "eventType": "command",
            "processBinary": program,
            "arguments": command,
            "exitCode": code,
        }));
    }
    let mut told = HashSet::new();
    let each = report.found.iter().map(|found| {
        let mut entries = parents(found, &mut told);
        entries.push(process(found));
        (entries, &found.detection)
    });
    let size = |entries: &[Value]| entries.iter().map(|entry| entry.to_string().len()).sum();
    let (kept, _) = fit(each, |(entries, _)| size(entries));
    let listed = kept.len();
    let detections: Vec<&Detection> = kept.iter().map(|(_, detection)| *detection).collect();
    processes.extend(kept.into_iter().flat_map(|(entries, _)| entries));
    let mut network: Vec<Value> = detections.iter().flat_map(|d| listeners(d)).collect();
    network.extend(report.peers().map(peer));
    let files: Vec<Value> = detections.iter().flat_map(|d| files(d)).collect();
    (json!({"process": processes, "network": network, "fileAccess": files}), listed)
}

/// The chain above a process, from the command on; each once, as what it ran.
fn parents<'f>(found: &'f Found, told: &mut HashSet<(ProcessKey, Option<&'f str>)>) -> Vec<Value> {
    let all = &found.detection.ancestry;
    let above = all.iter().skip(1).map(|parent| Some(parent.pid)).chain([None]);
    let chain: Vec<_> = found.chain().iter().zip(above).collect();
    let mut entries = Vec::new();
    for (ancestor, above) in chain.into_iter().rev() {
        if told.insert((ancestor.key(), ancestor.exe.as_deref())) {
            entries.push(json!({
                "eventType": "parent",
                "pid": ancestor.pid,
                "parentPid": above,
                "startedOn": ancestor.start,
                "comm": ancestor.comm,
                "processBinary": ancestor.exe,
                "arguments": ancestor.args,
            }));
        }
    }
    entries
}

fn process(found: &Found) -> Value {
    let d = &found.detection;
    let p = &d.process;
    let techniques: Vec<&String> = d.attack.techniques.iter().map(|t| &t.id).collect();
    json!({
        "eventType": "detection",
        "pid": p.pid,
        "parentPid": p.ppid,
        "startedOn": p.start,
        "comm": p.comm,
        "processBinary": p.exe.path,
        "arguments": p.args,
        "argumentsTruncated": p.args_truncated,
        "invokedAs": p.invoked_as,
        "workingDirectory": p.cwd,
        "uid": p.uid,
        "privileged": p.uid == 0,
        "container": d.container.as_ref().map(|container| &container.id),
        "detection": {
            "id": d.id,
            "time": d.time,
            "recipe": d.recipe.name,
            "recipeVersion": d.recipe.version,
            "severity": d.severity,
            "reasons": d.reasons,
            "attack": {"version": d.attack.version, "techniques": techniques},
            "server": d.server,
            "launcher": d.launcher,
            "baseline": d.baseline,
            "runsOn": found.runs,
        },
    })
}

fn listeners(d: &Detection) -> Vec<Value> {
    let listeners = d.listen.iter().map(|listener| {
        json!({
            "direction": "listen",
            "ip": listener.address,
            "port": listener.port,
            "protocol": listener.protocol,
            "invokingProcess": {"pid": d.process.pid, "comm": d.process.comm},
        })
    });
    listeners.collect()
}

/// Whom a server, or what it executed, connected to.
fn peer(peer: &Peer) -> Value {
    json!({
        "direction": "outbound",
        "ip": peer.address,
        "port": peer.port,
        "protocol": peer.protocol,
        "connections": peer.connections,
        "bytesSent": peer.bytes_sent,
        "bytesReceived": peer.bytes_received,
    })
}

/// Files whose digest is known.
fn files(d: &Detection) -> Vec<Value> {
    let exe = &d.process.exe;
    let program = exe.sha256.as_ref().map(|digest| (&exe.path, digest));
    let script = d.process.target.as_ref().and_then(|t| Some((&t.path, t.sha256.as_ref()?)));
    let described = |(path, digest): (&String, &String)| {
        let uri = path.starts_with('/').then(|| format!("file://{}", uri(path)));
        json!({
            "name": path,
            "uri": uri,
            "digest": {"sha256": digest},
            "annotations": {"process": d.process.pid, "access": "execute"},
        })
    };
    program.into_iter().chain(script).map(described).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{HOSTILE, detection, is_inert, report};
    use super::*;

    #[test]
    fn hostile_text_is_text_and_each_parent_is_told_once() {
        let (log, listed) = log(&report(vec![detection(HOSTILE), detection(HOSTILE)], 2), &[]);
        is_inert(&String::from_utf8(crate::escape::json(&log)).unwrap());
        let kinds: Vec<&str> = log["process"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|p| p["eventType"].as_str())
            .collect();
        assert_eq!((listed, kinds), (2, vec!["parent", "detection", "detection"]));
    }
}
